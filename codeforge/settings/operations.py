"""Settings of what operators look at: traces and Flower."""

from pydantic import Field, SecretStr, field_validator
from pydantic_settings import BaseSettings

from codeforge.settings.values import split_commas


class TracingSettings(BaseSettings):
    """Where traces go, if anywhere."""

    otlp_endpoint: str | None = None
    """The collector's base URL for OTLP over HTTP; none is no tracing."""
    otlp_headers: SecretStr | None = None
    """`name=value` for the collector, comma-separated."""
    trace_sample_ratio: float = Field(default=1.0, ge=0, le=1)
    """Of the traces that begin here, from 0 to 1."""

    @field_validator("otlp_headers")
    @classmethod
    def _names_and_values(cls, value: SecretStr | None) -> SecretStr | None:
        for number, pair in enumerate(split_commas("" if value is None else value.get_secret_value()), start=1):
            if not all(pair.partition("=")):
                raise ValueError(f"expected name=value, which entry {number} is not")
        return value

    @property
    def otlp_header_pairs(self) -> tuple[tuple[str, str], ...]:
        """The headers for the collector; their values are secret."""
        given = "" if self.otlp_headers is None else self.otlp_headers.get_secret_value()
        pairs = (pair.partition("=") for pair in split_commas(given))
        return tuple((name.strip(), value.strip()) for name, _, value in pairs)


class FlowerSettings(BaseSettings):
    """Flower, which shows the tasks that workers took."""

    flower_host: str = "127.0.0.1"
    """The address that Flower listens on."""
    flower_port: int = Field(default=5555, ge=1, le=65_535)
    """Its port."""
    flower_max_tasks: int = Field(default=10_000, ge=1)
    """Tasks that Flower keeps in memory, some 6 kB each."""
    flower_basic_auth: SecretStr | None = None
    """`user:password` that Flower asks for."""

    @field_validator("flower_basic_auth")
    @classmethod
    def _user_and_password(cls, value: SecretStr | None) -> SecretStr | None:
        if value is not None and not all(value.get_secret_value().partition(":")):
            raise ValueError("expected user:password")
        return value

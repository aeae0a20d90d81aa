"""Where settings come from besides prefixed variables."""

import os
from pathlib import Path
from typing import Any

from pydantic.fields import FieldInfo
from pydantic_settings import BaseSettings, EnvSettingsSource, PydanticBaseSettingsSource

from codeforge.errors import SettingsError
from codeforge.settings.names import BARE_NAMES, PREFIX, SECRETS_DIR


class BareNames(EnvSettingsSource):
    """The environment without the prefix, for `BARE_NAMES` only."""

    def get_field_value(self, field: FieldInfo, field_name: str) -> tuple[Any, str, bool]:
        """(value or None, key, whether it is complex)."""
        if field_name.upper() not in BARE_NAMES:
            return None, field_name, False
        return super().get_field_value(field, field_name)


class SecretFiles(PydanticBaseSettingsSource):
    """The files in the directory that `CODEFORGE_SECRETS_DIR` names. An empty one says nothing."""

    def __init__(self, settings_cls: type[BaseSettings]) -> None:
        super().__init__(settings_cls)
        directory = os.environ.get(SECRETS_DIR)
        try:
            self._files = {path.name.lower(): path for path in Path(directory).iterdir()} if directory else {}
        except OSError as error:
            raise SettingsError(f"{SECRETS_DIR}: {error.strerror}") from error

    def get_field_value(self, field: FieldInfo, field_name: str) -> tuple[Any, str, bool]:
        """(value or None, key, whether it is complex)."""
        path = self._files.get(field_name)
        try:
            text = "" if path is None else path.read_text(encoding="utf-8").strip()
        except (OSError, UnicodeDecodeError) as error:
            raise SettingsError(f"{PREFIX}{field_name.upper()}: its file cannot be read") from error
        return text or None, field_name, False

    def __call__(self) -> dict[str, Any]:
        """Every setting that a file gives."""
        values = {name: self.get_field_value(field, name)[0] for name, field in self.settings_cls.model_fields.items()}
        return {name: value for name, value in values.items() if value is not None}

"""The model's service."""

from codeforge.llm.client import OpenAICompatibleClient
from codeforge.settings import Settings


def model_client(settings: Settings) -> OpenAICompatibleClient | None:
    """The model's service, where one is configured."""
    if not settings.model_configured:
        return None
    return OpenAICompatibleClient(
        settings.model_address,
        settings.model_key,
        settings.model_name,
        settings.llm_timeout_s,
        settings.llm_max_connections,
    )

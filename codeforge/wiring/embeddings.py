"""What gives texts their vectors. Its libraries are imported with the first embedder: a worker may never need one."""

import asyncio
from collections.abc import Sequence
from importlib.util import find_spec

from codeforge.errors import SettingsError
from codeforge.settings import Settings
from codeforge.stores.ports import Embedder


def check_embeddings(settings: Settings) -> None:
    """Raises SettingsError where `embedder` cannot work: production images ship without the `wordllama` package."""
    if settings.embeddings_base_url is None and find_spec("wordllama") is None:
        raise SettingsError(
            "CODEFORGE_EMBEDDINGS_BASE_URL: needed, for the built-in embeddings (wordllama) are not installed"
        )
    if settings.embeddings_base_url is not None and settings.embeddings_model is None:
        raise SettingsError("CODEFORGE_EMBEDDINGS_MODEL: needed where CODEFORGE_EMBEDDINGS_BASE_URL is set")


def check_dimension(settings: Settings) -> None:
    """Raises SettingsError where the built-in embeddings are asked for a dimension that they do not have."""
    if settings.embeddings_base_url is None and "embeddings_dim" in settings.model_fields_set:
        from codeforge.stores.embeddings.builtin import check_dim

        check_dim(settings.embeddings_dim)


def embedder(settings: Settings) -> Embedder:
    """The configured service, else the model inside the `wordllama` package. Raises SettingsError."""
    from codeforge.stores.embeddings import HttpEmbedder, WordLlamaEmbedder

    check_embeddings(settings)
    if settings.embeddings_base_url is None or settings.embeddings_model is None:
        return WordLlamaEmbedder(settings.embeddings_dim)
    return HttpEmbedder(
        settings.embeddings_base_url, settings.embeddings_api_key, settings.embeddings_model, settings.embeddings_dim
    )


class EmbedderOnDemand:
    """`embedder`, made when the first text comes (`codeforge.agent.TextEmbedder`)."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._made: Embedder | None = None
        self._making = asyncio.Lock()

    async def embed(self, texts: Sequence[str]) -> Sequence[Sequence[float]]:
        """See `Embedder.embed`. Raises SettingsError too."""
        async with self._making:
            if self._made is None:
                self._made = await asyncio.to_thread(embedder, self._settings)
        return await self._made.embed(texts)

    async def close(self) -> None:
        """Closes what was made."""
        if self._made is not None:
            await self._made.close()


def embedder_if_configured(settings: Settings) -> EmbedderOnDemand | None:
    """None where a process that can do without has none."""
    try:
        check_embeddings(settings)
    except SettingsError:
        return None
    return EmbedderOnDemand(settings)

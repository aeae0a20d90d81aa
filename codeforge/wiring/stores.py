"""The stores, and the embeddings between them."""

from importlib.util import find_spec

from codeforge.errors import SettingsError
from codeforge.settings import Settings
from codeforge.stores.embeddings import BUILT_IN_MODEL, HttpEmbedder, WordLlamaEmbedder
from codeforge.stores.neo4j import Neo4jStore
from codeforge.stores.ports import Embedder, GraphStore, VectorStore
from codeforge.stores.qdrant import QdrantStore


def graph_store(settings: Settings) -> GraphStore:
    """Neo4j, or what speaks its protocol."""
    return Neo4jStore(settings.neo4j_address, settings.neo4j_user, settings.neo4j_password, settings.neo4j_database)


def vector_store(settings: Settings) -> VectorStore:
    """Qdrant."""
    return QdrantStore(
        settings.qdrant_address,
        settings.qdrant_api_key,
        settings.qdrant_collection,
        settings.embeddings_dim,
        model=BUILT_IN_MODEL if settings.embeddings_base_url is None else settings.embeddings_model,
    )


def check_embeddings(settings: Settings) -> None:
    """Raises SettingsError where `embedder` cannot work: production images ship without the `wordllama` package."""
    if settings.embeddings_base_url is None and find_spec("wordllama") is None:
        raise SettingsError(
            "CODEFORGE_EMBEDDINGS_BASE_URL: needed, for the built-in embeddings (wordllama) are not installed"
        )
    if settings.embeddings_base_url is not None and settings.embeddings_model is None:
        raise SettingsError("CODEFORGE_EMBEDDINGS_MODEL: needed where CODEFORGE_EMBEDDINGS_BASE_URL is set")


def embedder(settings: Settings) -> Embedder:
    """The configured service, else the model inside the `wordllama` package. Raises SettingsError."""
    check_embeddings(settings)
    if settings.embeddings_base_url is None or settings.embeddings_model is None:
        return WordLlamaEmbedder(settings.embeddings_dim)
    return HttpEmbedder(
        settings.embeddings_base_url, settings.embeddings_api_key, settings.embeddings_model, settings.embeddings_dim
    )

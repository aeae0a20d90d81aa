"""The vector store. A module of its own: the worker's image has no driver for the graph."""

from codeforge.settings import Settings
from codeforge.stores.embeddings import BUILT_IN_MODEL
from codeforge.stores.ports import VectorStore
from codeforge.stores.qdrant import QdrantStore


def vector_store(settings: Settings, *, timeout_s: float = 10.0) -> VectorStore:
    """Qdrant, each call of which ends within `timeout_s` seconds."""
    return QdrantStore(
        settings.qdrant_address,
        settings.qdrant_api_key,
        settings.qdrant_collection,
        settings.embeddings_dim,
        replicas=settings.qdrant_replicas,
        model=BUILT_IN_MODEL if settings.embeddings_base_url is None else settings.embeddings_model,
        timeout_s=timeout_s,
    )

"""The stores."""

from codeforge.settings import Settings
from codeforge.stores.embeddings import BUILT_IN_MODEL
from codeforge.stores.neo4j import Neo4jStore
from codeforge.stores.ports import GraphStore, VectorStore
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
        replicas=settings.qdrant_replicas,
        model=BUILT_IN_MODEL if settings.embeddings_base_url is None else settings.embeddings_model,
    )

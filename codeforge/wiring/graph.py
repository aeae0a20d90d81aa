"""The graph store."""

from codeforge.settings import Settings
from codeforge.stores.neo4j import Neo4jStore
from codeforge.stores.ports import GraphStore


def graph_store(settings: Settings) -> GraphStore:
    """Neo4j, or what speaks its protocol."""
    return Neo4jStore(settings.neo4j_address, settings.neo4j_user, settings.neo4j_password, settings.neo4j_database)

"""The front door's services."""

from dataclasses import dataclass

from codeforge.ledger.port import Ledger
from codeforge.ledger.rates import Rates
from codeforge.lineage import Lineage
from codeforge.provenance import Provenance
from codeforge.scaling.demand import Autoscaling
from codeforge.search import Search
from codeforge.settings import Settings
from codeforge.stores.ports import Embedder, GraphStore, VectorStore
from codeforge.submission import Submissions
from codeforge.web.guard import AddressGuard
from codeforge.wiring.embeddings import embedder
from codeforge.wiring.graph import graph_store
from codeforge.wiring.ledger import REQUEST_S, rates, redis_ledger
from codeforge.wiring.vectors import vector_store

API_CONNECTIONS = 64
STREAM_CONNECTIONS = 210


@dataclass(frozen=True, slots=True)
class ApiServices:
    """What the front door works with: use cases, and the ports that health checks ask."""

    ledger: Ledger
    submissions: Submissions
    lineage: Lineage
    provenance: Provenance
    search: Search
    graph: GraphStore
    vectors: VectorStore
    embedder: Embedder
    rates: Rates
    autoscaling: Autoscaling

    async def close(self) -> None:
        """Closes every client."""
        for part in (self.embedder, self.vectors, self.graph, self.rates, self.ledger):
            await part.close()


async def api_services(settings: Settings) -> ApiServices:
    """The front door's services."""
    ledger = redis_ledger(settings, connections=API_CONNECTIONS, blocking=STREAM_CONNECTIONS, within_s=REQUEST_S)
    graph, vectors, texts = graph_store(settings), vector_store(settings), embedder(settings)
    limits = rates(settings)
    guard = AddressGuard(settings.allow_private_hosts)
    return ApiServices(
        ledger=ledger,
        submissions=Submissions(ledger, guard, limits, model_configured=settings.model_configured),
        lineage=Lineage(graph),
        provenance=Provenance(graph),
        search=Search(vectors, texts),
        graph=graph,
        vectors=vectors,
        embedder=texts,
        rates=limits,
        autoscaling=Autoscaling(ledger, settings.max_agents or 0),
    )

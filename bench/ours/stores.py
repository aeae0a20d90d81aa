"""`python -m bench.ours.stores vectors [graph]`: prepares stores as the projector does, before anything is written."""

import asyncio
import sys
from collections.abc import Callable, Mapping, Sequence

from codeforge.settings import Settings, load_settings
from codeforge.stores.ports import GraphStore, VectorStore
from codeforge.wiring.graph import graph_store
from codeforge.wiring.vectors import vector_store

MAKERS: Mapping[str, Callable[[Settings], GraphStore | VectorStore]] = {
    "graph": graph_store,
    "vectors": vector_store,
}


async def prepare(names: Sequence[str]) -> None:
    """The graph's constraints, the vectors' collection and its indexes."""
    for name in names:
        store = MAKERS[name](load_settings())
        try:
            await store.prepare()
        finally:
            await store.close()


if __name__ == "__main__":
    asyncio.run(prepare(sys.argv[1:]))

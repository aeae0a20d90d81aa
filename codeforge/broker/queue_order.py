"""The order in which a worker asks its queues: strict between priorities, in turn between types of one priority."""

from collections.abc import Iterable

from codeforge.worker_types import Priority, WorkerType, queue_name

QUEUE_ORDER = "codeforge.broker.queue_order:StrictTurns"
"""kombu's transport option `queue_order_strategy`: the name by which it imports the class."""


class StrictTurns:
    """A cycle strategy for kombu's Redis transport, which sends `BRPOP` with `consume`'s queues in their order and
    tells `rotate` which one answered. kombu's own are either strict (the first type starves the others of its
    priority) or in turn (a low priority is served before a high one); this is both.
    """

    def __init__(self, queues: Iterable[str] | None = None) -> None:
        self._band = {
            queue_name(type_, priority): band for band, priority in enumerate(Priority) for type_ in WorkerType
        }
        self._queues: list[str] = []
        self.update(queues or ())

    def update(self, queues: Iterable[str]) -> None:
        """The queues that are consumed from now on; those known already keep their turn."""
        wanted = list(dict.fromkeys(queues))
        known = [queue for queue in self._queues if queue in wanted]
        self._queues = known + [queue for queue in wanted if queue not in known]
        self._sort()

    def consume(self, count: int) -> list[str]:
        """The first `count` queues in the order to ask them."""
        return self._queues[:count]

    def rotate(self, last_used: str) -> str:
        """A queue gave a message: it goes behind the others of its priority."""
        if last_used in self._queues:
            self._queues.remove(last_used)
            self._queues.append(last_used)
            self._sort()
        return last_used

    def _sort(self) -> None:
        self._queues.sort(key=lambda queue: self._band.get(queue, len(Priority)))  # stable: turns are kept

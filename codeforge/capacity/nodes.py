"""The nodes of a cluster: where pods find room, and how long they take to start there."""

from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field

from codeforge.capacity.assumptions import Cluster
from codeforge.capacity.events import EventLoop
from codeforge.errors import CapacityError

ROUNDING = 1e-9
Placed = Callable[["Node", float], None]


@dataclass(slots=True, eq=False)
class Node:
    """What is free on it, and since when it is empty. `images` are those that it holds, by workload."""

    number: int
    cpu: float
    memory: float
    since_s: float
    pods: int = 0
    all_images: bool = False
    images: set[str] = field(default_factory=set)
    empty_since_s: float = 0.0


@dataclass(slots=True)
class Request:
    """A pod that wants room; `placed` is called with its node and the seconds until it is ready."""

    owner: str
    cpu: float
    memory: float
    placed: Placed
    cancelled: bool = False


class Nodes:
    """The scheduler and the cluster autoscaler, simplified: a pod goes where most CPU is free; one that fits nowhere
    makes a node start; the queue of such pods is strict."""

    def __init__(self, loop: EventLoop, cluster: Cluster) -> None:
        self._loop = loop
        self._cluster = cluster
        self._cpu = cluster.node_cpu - cluster.reserved_cpu
        self._memory = cluster.node_memory - cluster.reserved_memory
        self._waiting: deque[Request] = deque()
        self._starting = 0
        self._made = 0
        self._node_s = 0.0
        self.nodes: list[Node] = []
        self.most = 0
        for _ in range(cluster.nodes):
            self._add(all_images=True)

    @property
    def waiting(self) -> int:
        """Pods without a node."""
        return sum(not request.cancelled for request in self._waiting)

    def node_hours(self) -> float:
        """Of all nodes until now."""
        return (self._node_s + sum(self._loop.now_s - node.since_s for node in self.nodes)) / 3600

    def request(self, request: Request) -> None:
        """Finds room, now or later. Raises CapacityError for a pod that is larger than a node."""
        if request.cpu > self._cpu + ROUNDING or request.memory > self._memory:
            raise CapacityError(f"a pod of {request.owner} is larger than a node: see --node-cpu and --node-memory")
        self._waiting.append(request)
        self._schedule()

    def release(self, node: Node, cpu: float, memory: float) -> None:
        """A pod is gone from its node."""
        node.cpu += cpu
        node.memory += memory
        node.pods -= 1
        if not node.pods:
            node.empty_since_s = self._loop.now_s
            self._loop.after(self._cluster.node_idle_s + 1, self._shrink)
        self._schedule()

    def _schedule(self) -> None:
        while self._waiting:
            request = self._waiting[0]
            if not request.cancelled:
                node = self._roomiest(request)
                if node is None:
                    self._grow()
                    return
                self._place(request, node)
            self._waiting.popleft()

    def _roomiest(self, request: Request) -> Node | None:
        fitting = [n for n in self.nodes if n.cpu + ROUNDING >= request.cpu and n.memory >= request.memory]
        return max(fitting, key=lambda node: (node.cpu, -node.number), default=None)

    def _place(self, request: Request, node: Node) -> None:
        node.cpu -= request.cpu
        node.memory -= request.memory
        node.pods += 1
        start_s = self._cluster.pod_start_s
        if not node.all_images and request.owner not in node.images:
            start_s += self._cluster.image_pull_s
            node.images.add(request.owner)
        request.placed(node, start_s)

    def _grow(self) -> None:
        """Starts as many nodes as the waiting pods need, by the larger of their sums."""
        live = [request for request in self._waiting if not request.cancelled]
        by_cpu = sum(request.cpu for request in live) / self._cpu
        by_memory = sum(request.memory for request in live) / self._memory
        wanted = int(max(by_cpu, by_memory) - ROUNDING) + 1
        room = self._cluster.max_nodes - len(self.nodes) - self._starting
        for _ in range(min(wanted - self._starting, room)):
            self._starting += 1
            self._loop.after(self._cluster.node_start_s, self._arrived)

    def _arrived(self) -> None:
        self._starting -= 1
        self._add(all_images=False)
        self._loop.after(self._cluster.node_idle_s + 1, self._shrink)
        self._schedule()

    def _add(self, *, all_images: bool) -> None:
        now_s = self._loop.now_s
        node = Node(self._made, self._cpu, self._memory, now_s, all_images=all_images, empty_since_s=now_s)
        self.nodes.append(node)
        self._made += 1
        self.most = max(self.most, len(self.nodes))

    def _shrink(self) -> None:
        long_ago_s = self._loop.now_s - self._cluster.node_idle_s
        for node in reversed(self.nodes[:]):
            if len(self.nodes) > self._cluster.nodes and not node.pods and node.empty_since_s <= long_ago_s:
                self.nodes.remove(node)
                self._node_s += self._loop.now_s - node.since_s

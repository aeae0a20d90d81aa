"""One worker in the simulation: its queue, its pods, and what happens to tasks when pods come and go."""

import random
from collections import deque
from functools import partial

from codeforge.capacity.assumptions import Assumptions
from codeforge.capacity.events import EventLoop
from codeforge.capacity.measures import PoolMeasures
from codeforge.capacity.nodes import Node, Nodes, Request
from codeforge.capacity.pods import Pod, PodState, SimTask, victims
from codeforge.capacity.redis_load import RedisMeter
from codeforge.capacity.workloads import Workload


class Pool:
    """A worker's pods and tasks."""

    def __init__(
        self,
        workload: Workload,
        loop: EventLoop,
        nodes: Nodes,
        given: Assumptions,
        meter: RedisMeter,
        rng: random.Random,
    ) -> None:
        self.workload = workload
        self.measures = PoolMeasures()
        self.queue: deque[SimTask] = deque()
        self.running = 0
        self.pods: list[Pod] = []
        self._loop = loop
        self._nodes = nodes
        self._given = given
        self._meter = meter
        self._rng = rng
        self._ready: deque[Pod] = deque()

    @property
    def replicas(self) -> int:
        """Pods that the ReplicaSet counts, ready or not."""
        return sum(pod.active for pod in self.pods)

    @property
    def ready_slots(self) -> int:
        """Slots of the pods that are ready."""
        return len(self._ready) * self.workload.slots

    def arrive(self, work_s: float) -> None:
        """A task is submitted."""
        self.measures.arrived += 1
        self._meter.submitted()
        self.queue.append(SimTask(self._loop.now_s, work_s))
        self._hand_out()

    def scale_to(self, wanted: int) -> None:
        """Makes pods, or ends some."""
        current = self.replicas
        self.measures.changes += wanted != current
        for _ in range(wanted - current):
            self._make_pod()
        leaving = victims(self.pods, current - wanted, self._loop.now_s, mark_busy=self._given.control.mark_busy)
        for pod in leaving if wanted < current else ():
            self._end(pod)
        self.measures.most_pods = max(self.measures.most_pods, wanted)

    def _make_pod(self) -> None:
        pod = Pod(self._rng.random(), self._loop.now_s)
        self.pods.append(pod)
        pod.request = Request(self.workload.name, self.workload.cpu, self.workload.memory, partial(self._placed, pod))
        self._nodes.request(pod.request)

    def _count(self, change: int) -> None:
        if self.workload.slots:  # an engine's pod is no worker process
            self._meter.pods(change)

    def _placed(self, pod: Pod, node: Node, start_s: float) -> None:
        pod.node, pod.placed_s, pod.state = node, self._loop.now_s, PodState.STARTING
        self._loop.after(start_s, partial(self._started, pod))

    def _started(self, pod: Pod) -> None:
        if pod.state is not PodState.STARTING:
            return
        pod.state, pod.ready_s = PodState.READY, self._loop.now_s
        self._ready.append(pod)
        self._count(1)
        self._hand_out()

    def _hand_out(self) -> None:
        """Waiting tasks to free slots; pods take turns, as consumers that wait on one Redis list do."""
        full = 0
        while self.queue and full < len(self._ready):
            pod = self._ready[0]
            self._ready.rotate(-1)
            if len(pod.running) >= self.workload.slots:
                full += 1
                continue
            full = 0
            self._begin(self.queue.popleft(), pod)

    def _begin(self, task: SimTask, pod: Pod) -> None:
        task.began_s = self._loop.now_s
        task.run += 1
        if task.first_began_s is None:
            task.first_began_s = task.began_s
            self.measures.waits.append(task.began_s - task.arrived_s)
        pod.running[task] = None
        self.running += 1
        self._meter.claimed()
        self._loop.after(task.left_s, partial(self._finish, task, pod, task.run))

    def _finish(self, task: SimTask, pod: Pod, run: int) -> None:
        if task.run != run or task not in pod.running:
            return
        self._leave(task, pod)
        self.measures.finished += 1
        self._meter.finished()
        if pod.state is PodState.TERMINATING and not pod.running:
            self._gone(pod)
        self._hand_out()

    def _leave(self, task: SimTask, pod: Pod) -> None:
        pod.running.pop(task, None)
        task.run += 1
        self.running -= 1

    def _end(self, pod: Pod) -> None:
        """Deleted: SIGTERM to one that runs, nothing to wait for with one that does not."""
        if pod.state is PodState.READY:
            self._ready.remove(pod)
            self._count(-1)
        had_started = pod.state is PodState.READY
        pod.state = PodState.TERMINATING
        if pod.request is not None:
            pod.request.cancelled = True
        if not had_started or not pod.running:
            self._gone(pod)
            return
        self.measures.stopped_busy += 1
        drains = self.workload.hands_back and self.workload.drain_s < self.workload.grace_s
        self._loop.after(
            self.workload.drain_s if drains else self.workload.grace_s, partial(self._stop, pod, hand_back=drains)
        )

    def _stop(self, pod: Pod, *, hand_back: bool) -> None:
        """What still runs is handed back, or dies with the pod."""
        if pod.state is PodState.GONE:
            return
        for task in sorted(pod.running, key=lambda task: task.arrived_s):
            self._leave(task, pod)
            self.measures.repeated_s += task.journal(self._loop.now_s, self._given.task.step_s)
            if hand_back:
                self.measures.handed_back += 1
                self._meter.handed_back()
                self.queue.appendleft(task)
            else:
                self._cut(task)
        self._gone(pod)
        self._hand_out()

    def _cut(self, task: SimTask) -> None:
        """With a ledger the lease runs out and the task goes on elsewhere; without one it is lost with all its work."""
        self.measures.cut += 1
        if self.workload.hands_back:
            self.measures.recovering += 1
            self._loop.after(self._given.lease_s, partial(self._take_back, task))
        else:
            self.measures.repeated_s += task.done_s
            self.measures.lost += 1
            self._meter.finished()

    def _take_back(self, task: SimTask) -> None:
        self.measures.recovering -= 1
        self._meter.handed_back()
        self.queue.appendleft(task)
        self._hand_out()

    def _gone(self, pod: Pod) -> None:
        pod.state = PodState.GONE
        self.pods.remove(pod)
        if pod.node is not None:
            self.measures.pod_s += self._loop.now_s - pod.placed_s
            self._nodes.release(pod.node, self.workload.cpu, self.workload.memory)

    def pod_hours(self) -> float:
        """Of all pods that had a node, until now."""
        living = sum(self._loop.now_s - pod.placed_s for pod in self.pods if pod.node is not None)
        return (self.measures.pod_s + living) / 3600

"""What the ledger costs on the hot path: commands that Redis gets for a task, and the time that it spends on them.

Commands are counted by MONITOR, less what the service asks for while it has nothing to do; a script is one command. A
script's time is the mean of its entries in the slow log, another command's the mean of its INFO commandstats. Each load
runs twice, so that counting does not slow down what is timed.
"""

import tempfile
import threading
import time
from collections import Counter, defaultdict
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from hashlib import sha1
from importlib.resources import files
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import redis

from codeforge.broker.message import ring
from codeforge.ledger.admission import NO_CAPS, constants
from codeforge.ledger.scripts import SHARED, script_text
from codeforge.wiring.ledger import bells
from codeforge.worker_types import Priority, WorkerType
from tests.faults.loads import poison
from tests.faults.rig import Rig, Setup, running_rig
from tests.faults.verdict import wait_settled
from tests.servers.celery_worker import wait_until

TASKS = 300
IDLE_S = 10.0
SETTLED_S = 60.0
LEAST_A_TASK = 0.05
THE_END = "the end of the count"
BEFORE, EMPTY, CALLS = "Celery alone", "empty task", "three model calls"


@dataclass
class Count:
    """Commands of the service by name (`script:<name>` for scripts) in so many seconds."""

    commands: Counter[str]
    seconds: float


class Watch:
    """Counts what Redis gets from everybody but its own client."""

    def __init__(self, client: "redis.Redis", names: dict[str, str]) -> None:
        self._client = client
        self._names = names
        self._commands: Counter[str] = Counter()
        self._thread = threading.Thread(target=self._listen, name="monitor", daemon=True)
        self._listening = threading.Event()

    def __enter__(self) -> Self:
        self._own = str(self._client.client_info()["addr"])
        self._thread.start()
        assert self._listening.wait(10.0)
        self._began = time.monotonic()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        seconds = time.monotonic() - self._began
        self._client.echo(THE_END)
        self._thread.join(SETTLED_S)
        self.count = Count(self._commands, seconds)

    def _listen(self) -> None:
        with redis.Redis(**_address(self._client)).monitor() as monitor:
            self._listening.set()
            for line in monitor.listen():
                if THE_END in line["command"]:
                    return
                address = f"{line['client_address']}:{line['client_port']}"
                if line["client_type"] != "lua" and address != self._own:
                    self._commands[self._name(line["command"])] += 1

    def _name(self, command: str) -> str:
        words = command.split(" ", 2)
        return self._names.get(words[1], "unknown script") if words[0] == "EVALSHA" else words[0].upper()


def table() -> list[str]:
    """Runs all loads; the lines of the table."""
    names = script_names()
    counts: dict[str, dict[str, float]] = {}
    times: dict[str, float] = {}
    with _rig(Setup(workers=0)) as rig:
        rig.add_worker("plain", "tests.faults.plain_celery")  # it takes no lease that could be waited for
        counts[BEFORE], times_of_plain = _measured(rig, names, lambda: _rung(rig))
        times |= times_of_plain
    with _rig(Setup(module="tests.faults.worker")) as rig:
        for load, deed in ((EMPTY, "nothing"), (CALLS, "call")):
            counts[load], times_of_load = _measured(rig, names, lambda deed=deed: _submitted(rig, deed))  # type: ignore[misc]
            times |= times_of_load
    return _lines(counts, times)


def script_names() -> dict[str, str]:
    """sha -> `script:<name>`, with a deployment's constants and, as the lease keeper runs it, without."""
    names: dict[str, str] = {}
    scripts = [Path(str(path)).stem for path in (files("codeforge.ledger") / "lua").iterdir()]
    for name in scripts:
        if name not in SHARED:
            flags, _, rest = script_text(name).partition("\n")
            for text in (script_text(name), f"{flags}\n{constants(NO_CAPS, bells())}\n{rest}", f"{flags}\n\n{rest}"):
                names[sha1(text.encode(), usedforsecurity=False).hexdigest()] = f"script:{name}"
    return names


@contextmanager
def _rig(setup: Setup) -> Iterator[Rig]:
    with tempfile.TemporaryDirectory(prefix="cost-") as place, running_rig(Path(place), 0.01, 0.02, setup) as rig:
        yield rig


def _measured(rig: Rig, names: dict[str, str], load: Callable[[], None]) -> tuple[dict[str, float], dict[str, float]]:
    """(commands a task by name, mean time of each in microseconds)."""
    load()  # connections are made, scripts are loaded
    with Watch(rig.redis, names) as idle:
        time.sleep(IDLE_S)
    with Watch(rig.redis, names) as busy:
        load()
    a_second = {name: count / idle.count.seconds for name, count in idle.count.commands.items()}
    counts = {
        name: (count - a_second.get(name, 0.0) * busy.count.seconds) / TASKS
        for name, count in busy.count.commands.items()
    }
    return {name: count for name, count in counts.items() if count >= LEAST_A_TASK}, _timed(rig, names, load)


def _timed(rig: Rig, names: dict[str, str], load: Callable[[], None]) -> dict[str, float]:
    rig.redis.config_set("slowlog-max-len", 1_000_000)
    rig.redis.config_set("slowlog-log-slower-than", 0)
    rig.redis.slowlog_reset()
    rig.redis.config_resetstat()
    load()
    rig.redis.config_set("slowlog-log-slower-than", -1)
    stats = rig.redis.info("commandstats")
    times = {
        name.removeprefix("cmdstat_").split("|")[0].upper(): float(row["usec_per_call"]) for name, row in stats.items()
    }
    durations: defaultdict[str, list[int]] = defaultdict(list)
    for entry in rig.redis.slowlog_get(1_000_000):
        words = _text(entry["command"]).split(" ", 2)
        if words[0].upper() == "EVALSHA":
            durations[names.get(words[1], "unknown script")].append(int(entry["duration"]))
    return times | {name: sum(each) / len(each) for name, each in durations.items()}


def _submitted(rig: Rig, deed: str) -> None:
    rig.accepted.clear()
    key = f"{deed}-{time.monotonic()}"
    for number in range(TASKS):
        rig.submit([poison(deed)], f"{key}-{number}")
    wait_settled(rig, SETTLED_S)
    assert {tuple(row) for row in rig.rows("state", "stored").values()} == {("succeeded", "1")}


def _rung(rig: Rig) -> None:
    """Messages that want a result, put into the queue as a client of Celery's does."""
    prefix = f"plain{time.monotonic_ns()}"
    bodies = [ring(f"{prefix}-{n}", WorkerType.SCRAPE, Priority.NORMAL) for n in range(TASKS)]
    with rig.engines.client() as client:
        for message in bodies:
            client.lpush(message.queue, message.body.replace(b'"ignore_result":true', b'"ignore_result":false'))
    results = [f"celery-task-meta-{prefix}-{n}" for n in range(TASKS)]
    wait_until(lambda: int(rig.redis.exists(*results)) == TASKS, "all results", SETTLED_S)
    wait_until(lambda: not rig.redis.exists("unacked"), "all acknowledged", SETTLED_S)


def _lines(counts: dict[str, dict[str, float]], times: dict[str, float]) -> list[str]:
    loads = (BEFORE, EMPTY, CALLS)
    names = sorted({name for load in loads for name in counts[load]}, key=lambda name: (":" not in name, name))
    lines = [
        "| command | " + " | ".join(f"{load}: a task" for load in loads) + " | microseconds each |",
        "| --- |" + " --- |" * (len(loads) + 1),
    ]
    for name in names:
        cells = [f"{counts[load][name]:.2f}" if name in counts[load] else "" for load in loads]
        lines.append(f"| {name.replace('script:', 'script ')} | {' | '.join(cells)} | {times.get(name, 0.0):.0f} |")
    total = [sum(counts[load].values()) for load in loads]
    spent = [sum(count * times.get(name, 0.0) for name, count in counts[load].items()) for load in loads]
    lines.append("| **commands in all** | " + " | ".join(f"**{value:.1f}**" for value in total) + " | |")
    lines.append("| **microseconds in all** | " + " | ".join(f"**{value:.0f}**" for value in spent) + " | |")
    return lines


def _address(client: "redis.Redis") -> dict[str, Any]:
    known = client.connection_pool.connection_kwargs
    return {name: known[name] for name in ("host", "port", "password") if name in known} | {"decode_responses": True}


def _text(value: bytes | str) -> str:
    return value.decode("utf-8", "replace") if isinstance(value, bytes) else value

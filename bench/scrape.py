"""Pages: 200 of them over ten local hosts at once, beside the plain loop of httpx on the same pages."""

import json
import os
import subprocess
import sys
import tempfile
import urllib.request
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from bench.engines import running_valkey
from bench.processes import KEPT, ROOT, Processes
from bench.scale import Scale
from bench.turns import Turns

NAME = "scrape"
OURS = "CodeForge"
LOOP = "httpx loop"
LIMITED = "httpx loop, 8 a host"
EXTRACTING = "httpx loop, 8 a host, trafilatura"
AT_ONCE = 8
"""What a host may see at once: the default for sites of others."""

HOSTS = 10
LONGEST_S = 120.0


@dataclass(frozen=True, slots=True)
class Contender:
    """The program that fetches: `python -m <module...>`, addresses on its standard input. What has a ledger of its
    own is told of one more host, which is not measured, to start what it starts with its first pages."""

    module: Sequence[str]
    own_ledger: bool = False


CONTENDERS = {
    LOOP: Contender(("bench.peers.plain_fetch", "0")),
    LIMITED: Contender(("bench.peers.plain_fetch", str(AT_ONCE))),
    EXTRACTING: Contender(("bench.peers.plain_fetch", str(AT_ONCE), "extract")),
    OURS: Contender(("bench.ours.scraper",), own_ledger=True),
}


def measure(turns: Turns) -> None:
    """All contenders in turns."""
    piece = turns.piece(NAME)
    rounds = dict.fromkeys(CONTENDERS, turns.scale.rounds)
    turns.take(piece, rounds, {name: partial(_run, of, turns.scale) for name, of in CONTENDERS.items()})


def _run(contender: Contender, scale: Scale) -> Mapping[str, float]:
    """New hosts and an empty Valkey for each; starting and importing are not measured."""
    with (
        tempfile.TemporaryDirectory(prefix="bench-") as directory,
        running_valkey(Path(directory)) as valkey,
        Processes(Path(directory)) as processes,
    ):
        processes.start("hosts", "bench.site_server", str(HOSTS + 1))
        processes.wait_output("hosts", "serving")
        *ports, warm = [int(word) for word in processes.output("hosts").split() if word.isdigit()]
        urls = [f"http://127.0.0.1:{port}/{number}" for port in ports for number in range(scale.pages // HOSTS)]
        settings = {
            "CODEFORGE_REDIS_URL": valkey.url,
            "CODEFORGE_ALLOW_PRIVATE_HOSTS": "127.0.0.1",
            "CODEFORGE_HOST_CONCURRENCY": str(AT_ONCE),
        }
        if contender.own_ledger:
            took_s = _fetched([*contender.module, f"http://127.0.0.1:{warm}"], urls, settings)
        else:
            took_s = _fetched(contender.module, urls, {})
        logs = [_log(port) for port in ports]
    if min(log["requests"] for log in logs) < scale.pages // HOSTS:
        raise RuntimeError("a host saw fewer requests than it has pages")
    most = max(log["most_at_once"] for log in logs)
    if contender.own_ledger and most > AT_ONCE:
        raise RuntimeError(f"a host saw {most} requests at once, and may see {AT_ONCE}")
    return {"seconds": took_s, "most_at_once": most}


def _fetched(module: Sequence[str], urls: Sequence[str], settings: Mapping[str, str]) -> float:
    kept = {name: os.environ[name] for name in KEPT if name in os.environ}
    done = subprocess.run(
        [sys.executable, "-m", *module],
        input="\n".join(urls), capture_output=True, text=True, timeout=LONGEST_S, cwd=ROOT, env=kept | dict(settings),
    )  # fmt: skip
    if done.returncode:
        raise RuntimeError(f"{module[0]} failed: {done.stderr[-2000:]}")
    return float(done.stdout.rpartition("took ")[2])


def _log(port: int) -> dict[str, int]:
    with urllib.request.urlopen(f"http://127.0.0.1:{port}/log", timeout=10) as answer:
        log: dict[str, int] = json.load(answer)
    return log

"""Takes each fence and claim check out of the ledger's scripts, one at a time, and sees whether the property test
notices: `python -m tests.faults.mutants`. The exit code is 1 when one survives.
"""

import sys
import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from unittest.mock import patch

from hypothesis import HealthCheck, Phase, settings
from hypothesis.stateful import run_state_machine_as_test

from codeforge.ledger.scripts import script_text
from tests.contract.ledger_machine import LedgerMachine
from tests.servers.valkey import ValkeyServer

EXAMPLES = 300
STEPS = 40


@dataclass(frozen=True)
class Mutant:
    """`script` with `old` replaced by `new`, everywhere in its text (`*`: in every script)."""

    script: str
    what: str
    old: str
    new: str


OWNS = "return row[1] == 'running' and row[2] == fence and row[3] == claim"

MUTANTS = (
    Mutant("*", "a write is taken in any state", OWNS, "return row[2] == fence and row[3] == claim"),
    Mutant("*", "a write is taken under any fence", OWNS, "return row[1] == 'running' and row[3] == claim"),
    Mutant("*", "a write is taken under any claim id", OWNS, "return row[1] == 'running' and row[2] == fence"),
    *(
        Mutant(script, f"{script} asks for no claim", "if not owns(id, ARGV[2], ARGV[3]) then", "if false then")
        for script in ("record_step", "record_call", "emit", "begin_call", "suspect", "hand_back")
    ),
    Mutant("finish", "finish asks for no claim", "if state ~= 'running' or fence ~= ARGV[2] or row[17] ~= ARGV[3] then",
           "if false then"),
    Mutant("claim", "a claim needs no lease", "if not lease or tonumber(lease) <= now then", "if false then"),
    Mutant("claim", "a claim needs a lease of whatever age", "or tonumber(lease) <= now", ""),
    Mutant("claim", "a claim does not move the fence", "text(fence + 1)", "fence"),
    Mutant("claim", "a task that is delayed is claimed", "score_of('cf:queued:' .. worker_type, id)", "now"),
    Mutant("claim", "a repeated claim claims again", "if state == 'running' and earlier[4] == claim then",
           "if false then"),
    Mutant(
        "claim", "any claim of a running task gets it", "if state == 'running' and earlier[4] == claim then",
        "if state == 'running' then",
    ),
    Mutant("finish", "a repeated finish is answered for any fence", "if state and fence == ARGV[2] and",
           "if state and"),
    Mutant("finish", "a repeated finish is answered for any claim",
           "and redis.call('HGET', key, 'ended_by') == ARGV[3] then", "then"),
    Mutant("finish", "a repeated finish is refused", "if state and fence == ARGV[2] and", "if false and"),
    Mutant("finish", "retries without end", "tonumber(attempts) < tonumber(limits[1])", "true"),
    Mutant("finish", "a retry forgets a cancellation", "if limits[2] == '1' then", "if false then"),
    Mutant("hand_back", "a repeated hand-back is answered for any fence", "row[1] == ARGV[2] and row[2] == mark",
           "row[2] == mark"),
    Mutant("hand_back", "a hand-back forgets a cancellation", "if row[3] == '1' then", "if false then"),
    Mutant("hand_back", "a hand-back costs an attempt", "redis.call('HINCRBY', key, 'attempts', -1)", ""),
    Mutant("record_step", "a second value replaces a step's first", "'HSETNX'", "'HSET'"),
    Mutant("record_call", "a second answer replaces a call's first", "'HSETNX'", "'HSET'"),
    Mutant("replay", "a replay keeps the fence", "redis.call('HINCRBY', key, 'fence', 1)", ""),
    Mutant("replay", "what succeeded is replayed", "row[2] ~= 'dead' and row[2] ~= 'failed'",
           "row[2] ~= 'dead' and row[2] ~= 'succeeded' and row[2] ~= 'failed'"),
    Mutant("reap_leases", "live workers lose their tasks", "'-inf', now,", "'-inf', '+inf',"),
    Mutant("reap_leases", "a crash in company costs an attempt",
           "redis.call('HINCRBY', task_key(id), 'attempts', -1)", ""),
    Mutant("reap_leases", "a suspect is blamed for its worker's death", "if crashes >= SUSPECT then", "if false then"),
    Mutant("claim", "a suspect is claimed without a place", "if crashes >= SUSPECT and", "if false and"),
    Mutant("hand_back", "a crash makes no suspect", "crashes = crash_in_company(id) else", "crashes = 0 else"),
    Mutant("replay", "a replay is a suspect still", ", 'crashes')", ")"),
    Mutant("settle", "an old outcome marks a new one stored", "elseif row[1] == fence and", "elseif"),
    Mutant("submit", "a submission that is repeated overwrites",
           "redis.call('EXISTS', task_key(tasks[1].id)) == 0", "true"),
    Mutant("submit", "a key is taken with any body", "if own.hash ~= body_hash then return {'conflict'} end", ""),
)  # fmt: skip


def check_fit() -> None:
    """Raises ValueError for a mutant whose script has moved on."""
    for mutant in MUTANTS:
        mutated(mutant)(mutant.script if mutant.script != "*" else "emit")


def mutated(mutant: Mutant) -> Callable[[str], str]:
    """`script_text` with the mutant in it. Raises ValueError when the script has moved on and holds no such line."""

    def text(name: str) -> str:
        usual = script_text(name)
        if mutant.script not in ("*", name):
            return usual
        if mutant.old not in usual:
            raise ValueError(f"{name}.lua does not hold {mutant.old!r}")
        return usual.replace(mutant.old, mutant.new)

    return text


def caught(mutant: Mutant, url: str) -> bool:
    """Whether the property test fails on it."""
    chosen = settings(
        max_examples=EXAMPLES, stateful_step_count=STEPS, deadline=None, database=None, print_blob=False,
        phases=[Phase.generate], suppress_health_check=list(HealthCheck), report_multiple_bugs=False,
    )  # fmt: skip
    with patch("codeforge.ledger.scripts.script_text", mutated(mutant)):
        try:
            run_state_machine_as_test(lambda: LedgerMachine(url), settings=chosen)  # type: ignore[arg-type]
        except Exception:  # an assertion of the model, or what the ledger itself raised
            return True
    return False


def main() -> None:
    """Tries all, on a server of its own."""
    check_fit()
    survivors = 0
    with tempfile.TemporaryDirectory(prefix="mutants-") as directory:
        server = ValkeyServer(Path(directory))
        server.start()
        try:
            for mutant in MUTANTS:
                found = caught(mutant, server.url)
                survivors += not found
                script = "common" if mutant.script == "*" else mutant.script
                print(f"| {script} | {mutant.what} | {'caught' if found else 'SURVIVED'} |", flush=True)  # noqa: T201
        finally:
            server.kill()
    sys.exit(1 if survivors else 0)


if __name__ == "__main__":
    main()

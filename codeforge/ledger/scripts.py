"""Loads the Lua scripts and runs them; maps the driver's exceptions to the project's own."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from importlib.resources import files
from typing import Any

from redis.asyncio import Redis
from redis.commands.core import AsyncScript
from redis.exceptions import AuthenticationError, NoScriptError, OutOfMemoryError, RedisError, ResponseError

from codeforge.errors import LedgerFull, LedgerUnavailable
from codeforge.ledger.keys import (
    ALONE,
    HISTOGRAM_BOUNDS_MS,
    HOST_KEPT_MS,
    MAX_EVENTS,
    MAX_MODEL_NAME,
    MAX_MODELS,
    PAGE_SINCE_MS,
    SUSPECT,
)
from codeforge.ledger.pipelining import MAX_IN_FLIGHT, Argument, Pipelined, Run
from codeforge.ledger.rows import CLAIMED_FIELDS, EARLIER_FIELDS

RUN_WHEN_FULL = frozenset(
    {"finish", "settle", "hand_back", "end_lease", "renew_lease", "let_go", "acquire", "renew", "release"}
    | {"hold", "begin_pass", "promote", "ring_missing", "reap_leases", "reap_overdue", "cancel", "add_counters"}
    | {"open_gates", "count_failed_call", "record_call", "enter_host", "leave_host", "look_up"}
)
"""Scripts that must run when the memory is full, so that work which was paid for can end and be stored."""

SHARED = ("common", "places", "endings")
"""What comes before a script's own lines, in this order: each builds on those before it."""

TOGETHER = frozenset({"submit", "claim", "begin_call", "record_call", "record_step", "emit", "finish"})
"""Scripts of which one run takes several calls: what each task needs, when hundreds come, work and end at once. What is
shared above is then set up once for all of them."""

MOST_UNPACKED = 500
"""Arguments that Lua puts into a table at once; it refuses some thousands, and a large batch has more."""

_ONE_BY_ONE = """
local function one(ARGV)
{own}
end
local function arguments(first, width)
  if width <= {most_unpacked} then return {{unpack(ARGV, first, first + width - 1)}} end
  local args = {{}}
  for i = 1, width do args[i] = ARGV[first + i - 1] end
  return args
end
local width, answers = tonumber(ARGV[1]), {{}}
sums, moved = {{}}, {{}}
for first = 2, #ARGV, width do
  local done, answer = pcall(one, arguments(first, width))
  if not done and type(answer) ~= 'table' then answer = {{err = tostring(answer)}} end
  answers[#answers + 1] = answer
end
write_gathered()
return answers
"""
"""A call that fails fails alone: its answer is the error."""

NO_CONSTANTS = ""


@cache
def sources() -> Mapping[str, str]:
    """The scripts' files by their names, read together when a process begins: once the package is another version, the
    code that runs must not meet the new version's scripts."""
    folder = files("codeforge.ledger") / "lua"
    return {file.name.removesuffix(".lua"): file.read_text() for file in folder.iterdir() if file.name.endswith(".lua")}


@cache
def script_text(name: str) -> str:
    """The whole text of a script: flags, constants, the shared functions, its own lines. Those of a deployment
    (`admission.constants`) go after its first line."""
    own = sources()[name]
    bounds = ",".join(str(bound) for bound in HISTOGRAM_BOUNDS_MS)
    flags = "flags=allow-oom" if name in RUN_WHEN_FULL else ""
    return "\n".join(
        (
            f"#!lua {flags}".rstrip(),
            f"local BOUNDS_MS = {{{bounds}}}",
            f"local MAX_EVENTS = {MAX_EVENTS}",
            f"local MAX_MODELS, MAX_MODEL_NAME = {MAX_MODELS}, {MAX_MODEL_NAME}",
            f"local SUSPECT, ALONE = {SUSPECT}, {ALONE}",
            f"local HOST_KEPT_MS, PAGE_SINCE_MS = {HOST_KEPT_MS}, {PAGE_SINCE_MS}",
            f"local CLAIMED, EARLIER = {{{_names(CLAIMED_FIELDS)}}}, {{{_names(EARLIER_FIELDS)}}}",
            *(sources()[shared] for shared in SHARED),
            _ONE_BY_ONE.format(own=own, most_unpacked=MOST_UNPACKED) if name in TOGETHER else own,
        )
    )


def _names(fields: Sequence[str]) -> str:
    return ",".join(f"'{field}'" for field in fields)


async def answer(pending: Any) -> Any:
    """Awaits a command. Raises LedgerUnavailable for anything that the driver or the server raises.

    Untyped on purpose: the driver types every answer as a union over protocols and decodings, of which ours is one.
    """
    try:
        return await pending
    except OutOfMemoryError as error:
        raise LedgerFull("the ledger's memory is full; nothing was accepted") from error
    except ResponseError as error:
        raise LedgerUnavailable(f"the ledger refused a command: {str(error)[:200]}") from error
    except AuthenticationError as error:
        text = "the ledger refuses the user or the password: see REDIS_URL, or REDIS_USER and REDIS_PASSWORD"
        raise LedgerUnavailable(text) from error
    except (RedisError, OSError, TimeoutError) as error:
        # The driver's text may name the host, which is the operator's business: the class is enough here.
        raise LedgerUnavailable(f"the ledger cannot be reached ({type(error).__name__})") from error


@dataclass(frozen=True, slots=True)
class Replication:
    """How many replicas must have a write, and how long in milliseconds to wait for them; 0 replicas: no waiting."""

    replicas: int = 0
    wait_ms: int = 1_000


class Scripts:
    """The scripts on one connection pool. They are loaded at first use and again after a server lost them."""

    def __init__(self, redis: Redis, constants: str = NO_CONSTANTS, in_flight: int = MAX_IN_FLIGHT) -> None:
        """`constants` are Lua lines, see `admission.constants`; those that move no task need none. `in_flight` is how
        many round trips go at a time."""
        self._redis = redis
        self._constants = constants
        self._pipelined = Pipelined(redis, in_flight)
        sources()
        self._scripts: dict[str, AsyncScript] = {}

    async def run(self, name: str, args: Sequence[Argument]) -> Any:
        """Runs `lua/<name>.lua` with ARGV = args. Raises LedgerUnavailable."""
        return await answer(self._pipelined.run(self._script(name), args, together=name in TOGETHER))

    async def run_replicated(self, name: str, args: Sequence[Argument], wanted: Replication) -> tuple[Any, bool]:
        """Runs it and waits for replicas: the script's answer, and whether enough have what it wrote.

        WAIT speaks of all that was written up to the last write of its own connection, so both go there in one
        pipeline, and the script writes in any case. Raises LedgerUnavailable.
        """
        if not wanted.replicas:
            return await self.run(name, args), True
        run = Run(self._script(name), args, together=name in TOGETHER)
        replies = await self._and_wait(run, wanted)
        if isinstance(replies[0], NoScriptError):
            await answer(self._redis.script_load(run.script.script))
            replies = await self._and_wait(run, wanted)
        (reply,), confirmed = run.replies(replies[0]), replies[1]
        for part in (reply, confirmed):
            if isinstance(part, Exception):
                await answer(_failed(part))
        return reply, confirmed >= wanted.replicas

    async def _and_wait(self, run: Run, wanted: Replication) -> Any:
        async with self._redis.pipeline(transaction=False) as pipe:
            pipe.evalsha(run.script.sha, 0, *run.args)
            pipe.execute_command("WAIT", wanted.replicas, wanted.wait_ms)
            return await answer(pipe.execute(raise_on_error=False))

    def _script(self, name: str) -> AsyncScript:
        script = self._scripts.get(name)
        if script is None:
            script = self._scripts[name] = self._redis.register_script(self._text(name))
        return script

    def _text(self, name: str) -> str:
        flags, _, rest = script_text(name).partition("\n")
        return f"{flags}\n{self._constants}\n{rest}"


async def _failed(error: Exception) -> None:
    raise error

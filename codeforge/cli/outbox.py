"""`codeforge outbox`: what waits for the stores, and what they refused."""

import asyncio
import sys
from collections.abc import AsyncIterator, Callable, Sequence
from dataclasses import asdict
from datetime import UTC, datetime

import click
import orjson

from codeforge.ledger.outbox_port import DeadLetter, OutboxKeeper, OutboxState, Requeued
from codeforge.settings import load_settings

PAGE = 500
MEGABYTE = 1024 * 1024
Say = Callable[[str], None]

WORDS = {
    Requeued.QUEUED: "waits for the projector again",
    Requeued.WAITING: "waits already; letter dropped",
    Requeued.STORED: "is stored by now; letter dropped",
    Requeued.MOVED_ON: "was replayed since; letter dropped",
    Requeued.GONE: "is not kept any more; letter dropped",
}


@click.group()
def outbox() -> None:
    """Look at the results that wait for the stores, and at those that a store refused."""


@outbox.command()
@click.option("--json", "as_json", is_flag=True, help="One JSON object instead of a table.")
@click.option("--limit", default=100, show_default=True, type=click.IntRange(0, 100_000), help="Dead letters shown.")
def inspect(as_json: bool, limit: int) -> None:
    """Show the partitions' depths and owners, and the dead letters.

    A dead letter is a result that a store refused for what is in it: it names the task and the store's reason.
    """
    from codeforge.wiring.outbox import outbox_keeper

    settings = load_settings()

    async def main() -> tuple[OutboxState, Sequence[DeadLetter]]:
        async with outbox_keeper(settings) as keeper:
            return await keeper.state(), [letter async for letter in oldest_letters(keeper, limit)]

    state, letters = asyncio.run(main())
    if as_json:
        click.echo(report_json(state, letters, settings.outbox_max_bytes))
        return
    for line in report_lines(state, letters, settings.outbox_max_bytes):
        click.echo(line)


@outbox.command()
@click.argument("task_ids", nargs=-1, metavar="[TASK_ID]...")
@click.option("--all", "every", is_flag=True, help="All dead letters.")
def retry(task_ids: tuple[str, ...], every: bool) -> None:
    """Have refused results projected again, those of the tasks named or all.

    Do so once the reason is gone. A result is dropped when its task was replayed since: it must not overwrite a newer
    one. Exits with 1 when a task that was named has no dead letter.
    """
    if bool(task_ids) == every:
        raise click.UsageError("name tasks, or give --all")
    from codeforge.wiring.outbox import outbox_keeper

    settings = load_settings()

    async def main() -> set[str]:
        async with outbox_keeper(settings) as keeper:
            return await retry_letters(keeper, None if every else set(task_ids), click.echo)

    missing = asyncio.run(main())
    for task_id in sorted(missing):
        click.echo(f"{task_id}  has no dead letter", err=True)
    if missing:
        sys.exit(1)


async def oldest_letters(keeper: OutboxKeeper, limit: int) -> AsyncIterator[DeadLetter]:
    """The oldest `limit` dead letters, read in pages."""
    after = ""
    while limit > 0 and (page := await keeper.letters_after(after, min(PAGE, limit))):
        for letter in page:
            yield letter
        limit -= len(page)
        after = page[-1].id


async def retry_letters(keeper: OutboxKeeper, wanted: set[str] | None, say: Say) -> set[str]:
    """Retries the letters of the tasks wanted (None: all) and says what became of each; answers which of them had none.

    Only the letters that are there at the start: what is refused again while this runs is left for the next time.
    """
    missing = set(wanted or ())
    queued = 0
    # Read whole before any is removed: a letter is some hundred bytes.
    letters = [letter async for letter in oldest_letters(keeper, (await keeper.state()).dead_letters)]
    chosen = [letter for letter in letters if wanted is None or letter.task_id in wanted]
    for start in range(0, len(chosen), PAGE):
        page = chosen[start : start + PAGE]
        for letter, word in zip(page, await keeper.retry(page), strict=True):
            missing.discard(letter.task_id)
            queued += word is Requeued.QUEUED
            say(f"{letter.task_id}  {WORDS[word]}")
    say(f"{queued} of {len(chosen)} put back")
    return missing


def report_json(state: OutboxState, letters: Sequence[DeadLetter], max_bytes: int) -> str:
    """The report as one JSON object; times are RFC 3339 in UTC."""
    report = {
        "entries": state.entries,
        "bytes": state.bytes,
        "max_bytes": max_bytes,
        "partitions": [asdict(partition) for partition in state.partitions],
        "dead_letters": state.dead_letters,
        "letters": [asdict(letter) | {"at": _when(letter)} for letter in letters],
    }
    return orjson.dumps(report).decode()


def report_lines(state: OutboxState, letters: Sequence[DeadLetter], max_bytes: int) -> list[str]:
    """The report as text."""
    limit = f" of {max_bytes / MEGABYTE:.1f} MB" if max_bytes else ""
    lines = [f"{state.entries} results wait, {state.bytes / MEGABYTE:.1f} MB{limit}", ""]
    lines.append(f"{'partition':<10} {'waiting':>8} {'oldest':>10}  owner")
    lines += [
        f"{part.number:<10} {part.entries:>8} {part.oldest_s:>8.1f} s  {part.owner or '-'}" for part in state.partitions
    ]
    lines += ["", f"{state.dead_letters} dead letters"]
    if letters:
        lines.append(f"{'task':<36}  {'when':<24}  reason")
    lines += [f"{letter.task_id:<36}  {_when(letter):<24}  {letter.reason}" for letter in letters]
    if len(letters) < state.dead_letters:
        lines.append(f"... and {state.dead_letters - len(letters)} more: --limit")
    return lines


def _when(letter: DeadLetter) -> str:
    moment = datetime.fromtimestamp(letter.at / 1000, tz=UTC)
    return moment.isoformat(timespec="milliseconds").replace("+00:00", "Z")

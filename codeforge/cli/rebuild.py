"""`codeforge rebuild`: fills stores that lost their data."""

import asyncio

import click

from codeforge.settings import load_settings


@click.group()
def rebuild() -> None:
    """Fill a store that lost its data. Safe to repeat, and to run while tasks run."""


@rebuild.command()
def vectors() -> None:
    """Fill the vector store from the text that the graph holds.

    Texts get the ids that they had. Not in the graph, and so not found again: the diff of a coding task whose result is
    over 64 kB, and the ends of texts over 64 kB.
    """
    from codeforge.wiring.rebuilding import vector_rebuild

    settings = load_settings()

    async def main() -> None:
        texts = 0
        async with vector_rebuild(settings) as work:
            async for step in work.run():
                texts = step.texts
                click.echo(f"{step.tasks} tasks, {step.texts} texts ({step.cut} put together, {step.rejected} refused)")
        click.echo(f"done: {texts} texts can be searched")

    asyncio.run(main())


@rebuild.command()
def graph() -> None:
    """Have the projector write every result that the ledger still keeps, of all tenants, to both stores again.

    Restore the graph's backup first, if there is one: results older than RETENTION_S are in it only. A projector must
    be running.
    """
    from codeforge.wiring.rebuilding import graph_rebuild

    settings = load_settings()

    async def main() -> None:
        added = 0
        async with graph_rebuild(settings) as work:
            async for step in work.run():
                added = step.added
                click.echo(f"{step.seen} of {step.total} tasks seen, {step.added} results put into the outbox")
        click.echo(f"done: the projector writes {added} results; `codeforge outbox inspect` shows how many wait")

    asyncio.run(main())

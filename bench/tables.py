"""What the page shows of each piece."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from bench import agents, crews, density, empty, exposition, frontdoor, projector, scrape, search
from bench.figures import Figure, Piece


@dataclass(frozen=True, slots=True)
class Column:
    """One figure of each contender; with `base` its ratio to that contender's, which may depend on the contender."""

    title: str
    figure: str
    digits: int = 0
    base: str | Callable[[str], str] | None = None
    grows: bool = False
    """Of a contender that was given up, this is what it had reached: more than that in truth."""

    def value(self, piece: Piece, contender: str) -> Figure | None:
        """None where it was not measured."""
        if self.base is None:
            return piece.get(contender, self.figure)
        base = self.base if isinstance(self.base, str) else self.base(contender)
        return piece.ratio(contender, base, self.figure)

    def text(self, piece: Piece, contender: str) -> str:
        """The cell."""
        found = self.value(piece, contender)
        if found is None:
            return ""
        if self.grows and not got_through(piece, contender):
            return f"> {found.median:,.{self.digits}f}"
        return found.text(self.digits)


@dataclass(frozen=True, slots=True)
class Table:
    """A piece's heading, what was done, and its columns."""

    heading: str
    text: str
    columns: Sequence[Column]


def got_through(piece: Piece, contender: str) -> bool:
    """Whether it did all its tasks, as far as that is a question."""
    finished = piece.get(contender, "finished_percent")
    return finished is None or min(finished.values) == agents.WHOLE


def _ours(contender: str) -> str:
    """This service at the same number of agents."""
    return f"{crews.OURS} at {contender.rpartition(' at ')[2]}"


TABLES: Mapping[str, Table] = {
    frontdoor.NAME: Table(
        "Front door",
        "POSTs of one small task by 32 clients (wrk, one thread), each process alone on its own Valkey.",
        (
            Column("requests/s", "per_s"),
            Column("tasks/s", "tasks_per_s"),
            Column("p50 ms", "p50_ms", 1),
            Column("p99 ms", "p99_ms", 1),
            Column("requests/s to the bare one", "per_s", 2, frontdoor.BARE),
        ),
    ),
    exposition.NAME: Table(
        "Scrapes",
        "`GET /metrics` in OpenMetrics format by one client, one after another; tasks were submitted and claimed "
        "through the ledger.",
        (
            Column("p50 ms", "p50_ms", 1),
            Column("p99 ms", "p99_ms", 1),
            Column("processor ms", "cpu_ms", 1),
            Column("kB", "kb", 1),
        ),
    ),
    agents.NAME: Table(
        "Agents in flight",
        "Ten tasks a slot, each with three model calls of 2 s, from the first submission until every result is in both "
        "stores; ideal is 60 s. A contender is given up after twice the ideal when its pace leads to seven times it: "
        "its seconds are then those that it had. Memory is the most that was seen, as proportional set size; the other "
        "columns of processor time are of all Python processes of a contender, and of Valkey.",
        (
            Column("finished %", "finished_percent", 1),
            Column("seconds", "makespan_s", 1, grows=True),
            Column("to the ideal", "over_ideal", 2, grows=True),
            Column("workers MB", "workers_mb"),
            Column("all processes MB", "all_mb"),
            Column("processor ms/task", "cpu_ms_per_task", 1),
            Column("Valkey ms/task", "broker_ms_per_task", 1),
            Column("seconds to ours", "makespan_s", 2, _ours, grows=True),
        ),
    ),
    density.NAME: Table(
        "Agents that wait",
        "As many agents as slots, each in a model call of 20 s with a connection of its own: memory of all worker "
        "processes, and their processor time while nothing happens but that time goes by.",
        (
            Column("workers MB", "workers_mb"),
            Column("kB/agent", "kb_per_agent"),
            Column("processor %", "cpu_percent", 1),
            Column("Valkey %", "broker_percent", 1),
            Column("s until all are in a call", "ramp_s", 1),
            Column("MB to ours", "workers_mb", 2, _ours),
        ),
    ),
    empty.NAME: Table(
        "Empty tasks",
        "Tasks that do nothing, waiting in the queue before two worker processes of 100 slots each start; from the "
        "first that is done.",
        (
            Column("tasks/s", "per_s"),
            Column("to dramatiq", "per_s", 2, crews.DRAMATIQ),
            Column("processor ms/task", "cpu_ms_per_task", 2),
            Column("Valkey ms/task", "broker_ms_per_task", 2),
        ),
    ),
    projector.NAME: Table(
        "Projector",
        "Finished tasks of three model calls and a report (five nodes, four edges and one text or more), from a full "
        "outbox into ArcadeDB and Qdrant's engine; beside a program that embeds and writes one at a time.",
        (
            Column("results/s", "per_s"),
            Column("to one at a time", "per_s", 1, projector.SINGLES),
            Column("projector MB", "mb"),
            Column("growth MB", "growth_mb", 1),
            Column("projector ms/result", "cpu_ms", 2),
            Column("graph ms/result", "graph_ms", 2),
            Column("vectors ms/result", "vectors_ms", 2),
        ),
    ),
    scrape.NAME: Table(
        "Pages",
        "200 pages of 17 kB over ten local hosts at once, each page taking 0.2 s. This service runs one scrape task, "
        "with all on (robots.txt, hosts' limits over Redis, shared pages, extraction, journal, events), and "
        "has its processes that read pages since an earlier one; httpx fetches in a plain loop of asyncio, with and "
        "without the same limit and extraction. The most requests at once are from the hosts' own logs.",
        (
            Column("seconds", "seconds", 2),
            Column("to the plain loop", "seconds", 2, scrape.LOOP),
            Column("to it with limit and extraction", "seconds", 2, scrape.EXTRACTING),
            Column("most at one host at once", "most_at_once"),
        ),
    ),
    search.NAME: Table(
        "Search",
        "`GET /search` by one client, questions of five words, vectors of 256 numbers, exact search (the embedded "
        "engine builds no index).",
        (Column("p50 ms", "p50_ms", 1), Column("p99 ms", "p99_ms", 1), Column("vector store MB", "server_mb")),
    ),
}


def markdown(piece: Piece) -> str:
    """The piece's table."""
    table = TABLES[piece.name]
    lines = [f"### {table.heading}", "", table.text, ""]
    lines.append("| | " + " | ".join(column.title for column in table.columns) + " | runs |")
    lines.append("|---|" + "---:|" * (len(table.columns) + 1))
    for contender in piece.figures:
        cells = [column.text(piece, contender) for column in table.columns]
        lines.append(f"| {contender} | " + " | ".join(cells) + f" | {piece.rounds(contender)} |")
    notes = "; ".join(f"{name}: {value}" for name, value in sorted(piece.notes.items()))
    lines += ["", f"{piece.machine}.{f' {notes}.' if notes else ''}"]
    return "\n".join(lines)

"""Names of the ledger's keys, and what the Lua scripts share with Python. One prefix: `cf:`."""

from codeforge.worker_types import WorkerType

PREFIX = "cf:"

STATS = f"{PREFIX}stats"
EXEMPLARS = f"{PREFIX}exemplars"
LEASES = f"{PREFIX}lease"
HELD = f"{PREFIX}held"
WORKERS = f"{PREFIX}workers"
TENANTS = f"{PREFIX}tenants"
REAPER_LEADER = f"{PREFIX}reaper"
REAPER_PASS = f"{PREFIX}reaper:pass"
OUTBOX_DEAD = f"{PREFIX}outbox:dead"
OUTBOX_BYTES = f"{PREFIX}outbox:bytes"

HISTOGRAM_BOUNDS_MS = (10, 50, 100, 500, 1_000, 5_000, 10_000, 30_000, 60_000, 300_000, 1_800_000, 7_200_000)
"""Upper bounds of the wait and duration histograms, in milliseconds; the last bucket is unbounded."""

COMPANY = {2: 32, 3: 8, 4: 1}
"""With how many tasks at most a suspect shares a process, by the number of processes that died with it and others. A
suspect runs in a child process of its worker, among its like; each further crash in company leaves it fewer of them,
and in the end none. One bad node, or one update that is killed at its grace, makes no suspects."""

SUSPECT, ALONE = min(COMPANY), max(COMPANY)
"""So many crashes make a suspect, and one that runs alone."""

MAX_MODELS = 50
"""Models that are counted under their own names, the first that answered or are the operator's; the rest is counted
together as `other`."""

UNNAMED_MODEL = "default"
"""What calls of the operator's model are counted as, while its service has not told yet how it is called."""

MAX_MODEL_NAME = 100
"""Bytes; a longer name is counted as `other`."""

MAX_EVENTS = 5_000
"""About so many events are kept of one task."""

MAX_LETTERS = 100_000
"""Dead letters that are kept; the oldest goes when there is one more, and its task expires."""

HOST_KEPT_MS = 3_600_000
"""How long what is known of a web site's host is kept after its last request; longer than any lease and any pause."""

PAGE_SINCE_MS = 3_600_000
"""A kept page of a longer time ago serves no task, however old the task is."""

MAX_PER_CALL = 500
"""No script touches more members than this (a batch submission, which must be atomic, may touch 1,000)."""


def task(task_id: str) -> str:
    """The task's row."""
    return f"{PREFIX}task:{task_id}"


def journal(task_id: str) -> str:
    """Finished steps: name -> JSON."""
    return f"{PREFIX}journal:{task_id}"


def calls(task_id: str) -> str:
    """Answered model calls, a list of JSON."""
    return f"{PREFIX}calls:{task_id}"


def begun(task_id: str) -> str:
    """Paid calls that were begun: step name -> fence."""
    return f"{PREFIX}begun:{task_id}"


def events(task_id: str) -> str:
    """The task's event stream."""
    return f"{PREFIX}events:{task_id}"


def owned(worker: str) -> str:
    """The tasks that a worker process runs, as the ledger has it."""
    return f"{PREFIX}owned:{worker}"


def idempotency(tenant: str, key: str) -> str:
    """What a submission with this Idempotency-Key made."""
    return f"{PREFIX}idem:{tenant}:{key}"


def index(tenant: str) -> str:
    """All task ids of a tenant; ids sort by time (UUID version 7)."""
    return f"{PREFIX}tasks:{tenant}"


def queued(worker_type: WorkerType) -> str:
    """Waiting tasks; the score is when they were queued, in milliseconds. KEDA reads its ZCARD."""
    return f"{PREFIX}queued:{worker_type}"


def urgent(worker_type: WorkerType) -> str:
    """Tasks of high priority that were rung for; the score is when, in milliseconds. Some of them wait no more."""
    return f"{PREFIX}urgent:{worker_type}"


def running(worker_type: WorkerType) -> str:
    """Running tasks; the score is when their time is up, in milliseconds. KEDA reads its ZCARD."""
    return f"{PREFIX}running:{worker_type}"


def delayed(worker_type: WorkerType) -> str:
    """Tasks that wait for a time; the score is that time, in milliseconds."""
    return f"{PREFIX}delayed:{worker_type}"


def held(worker_type: WorkerType, tenant: str | None = None) -> str:
    """Tasks that wait for a cap, the deployment's or a tenant's; the score is their turn."""
    return f"{PREFIX}held:{worker_type}" + (f":{tenant}" if tenant else "")


def tenant_figures(tenant: str) -> str:
    """How many tasks of the tenant run, wait, and wait for a worker: name -> count."""
    return f"{PREFIX}tenant:{tenant}"


def dead(worker_type: WorkerType) -> str:
    """Tasks whose attempts are used up; the score is when, in milliseconds."""
    return f"{PREFIX}dead:{worker_type}"


def outbox(partition: int) -> str:
    """Finished tasks that await their projection."""
    return f"{PREFIX}outbox:{partition}"


def outbox_owner(partition: int) -> str:
    """Who may project the partition; expires."""
    return f"{PREFIX}outbox:owner:{partition}"

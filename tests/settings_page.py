"""The table of docs/howto/settings.md, made from the settings' classes: `python -m tests.settings_page`."""

import ast
import inspect
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Literal, get_args, get_origin

from annotated_types import Ge, Gt, Le, Lt
from pydantic import SecretStr
from pydantic.fields import FieldInfo

from codeforge.settings import BARE_NAMES, PREFIX, Settings

PAGE = Path(__file__).parents[1] / "docs" / "howto" / "settings.md"
BEGIN, END = "<!-- made by tests/settings_page.py -->", "<!-- end -->"

READERS = {
    "LedgerSettings": "all",
    "GraphSettings": "API, projector",
    "VectorSettings": "API, projector, worker",
    "ModelSettings": "worker",
    "WebSettings": "worker",
    "WorkerSettings": "worker",
    "AdmissionSettings": "API, worker, projector, reaper",
    "KeySettings": "API",
    "ApiSettings": "API",
    "FlowerSettings": "Flower",
    "TracingSettings": "API, worker, projector, reaper",
    "KubernetesSettings": "reaper",
    "Settings": "none",
    "redis_appendfsync": "`codeforge up`",
    "lease_s": "worker, reaper",
    "submit_replicas": "API",
    "submit_wait_ms": "API",
    "qdrant_replicas": "projector",
    "outbox_max_bytes": "API, `codeforge outbox`, `codeforge rebuild`",
    "openrouter_api_key": "API (whether there is one), worker",
    "llm_base_url": "API (whether there is one), worker",
    "allow_private_hosts": "API, worker",
    "rate_limit": "API",
    "pod_name": "worker",
    "health_file": "worker, projector, reaper",
    "log_level": "all",
    "log_format": "all",
}
"""Who reads the settings of a class, and where it is somebody else, a setting."""


def classes() -> list[type]:
    """Those that declare settings, in their order."""
    return [kind for kind in (*Settings.__mro__[1:], Settings) if own(kind)]


def own(kind: type) -> list[str]:
    """The settings that the class itself declares."""
    return [name for name in inspect.get_annotations(kind) if name in Settings.model_fields]


def described(kind: type) -> dict[str, str]:
    """What stands below each."""
    body = ast.parse(inspect.getsource(kind)).body[0]
    assert isinstance(body, ast.ClassDef)
    texts: dict[str, str] = {}
    for field, below in zip(body.body, body.body[1:], strict=False):
        if isinstance(field, ast.AnnAssign) and isinstance(field.target, ast.Name) and isinstance(below, ast.Expr):
            texts[field.target.id] = str(ast.literal_eval(below.value))
    return texts


def default(field: FieldInfo) -> str:
    """As it would stand in a variable."""
    value = field.default
    if value is None or value in ((), {}):
        return ""
    return f"`{str(value).lower() if isinstance(value, bool) else value}`"


def allowed(field: FieldInfo) -> str:
    """The values of a choice, the bounds of a number."""
    kind = field.annotation
    if get_origin(kind) is Literal:
        return ", ".join(f"`{value}`" for value in get_args(kind))
    if kind is bool:
        return "`true`, `false`"
    return " ".join(bound for rule in field.metadata if (bound := _bound(rule)))


def _bound(rule: Any) -> str:
    signs = {Ge: ("≥", "ge"), Gt: (">", "gt"), Le: ("≤", "le"), Lt: ("<", "lt")}
    sign, name = signs.get(type(rule), ("", ""))
    return f"{sign} {getattr(rule, name):,g}" if sign else ""


def is_secret(field: FieldInfo) -> bool:
    """Whether its value is never shown."""
    return SecretStr in (field.annotation, *get_args(field.annotation)) or "SecretStr" in str(field.annotation)


def row(kind: type, name: str, text: str) -> str:
    """Of one setting."""
    field = Settings.model_fields[name]
    bare = ", bare too" if name.upper() in BARE_NAMES else ""
    notes = f"{'secret' if is_secret(field) else ''}{bare}".removeprefix(", ")
    readers = READERS.get(name, READERS[kind.__name__])
    shown = text.replace("|", "\\|")
    return f"| `{PREFIX}{name.upper()}` | {default(field)} | {allowed(field)} | {shown} | {readers} | {notes} |"


def tables() -> Iterator[str]:
    """One for each class."""
    for kind in classes():
        texts = described(kind)
        title = "The process" if kind is Settings else (inspect.getdoc(kind) or "").split("\n")[0].rstrip(".")
        yield f"\n## {title}\n\n| setting | default | allowed | what it is | read by | |\n|---|---|---|---|---|---|"
        yield from (row(kind, name, texts[name]) for name in own(kind))


def page() -> str:
    """The page with the tables of today."""
    text = PAGE.read_text(encoding="utf-8")
    before, _, rest = text.partition(BEGIN)
    return f"{before}{BEGIN}\n{chr(10).join(tables())}\n\n{END}{rest.partition(END)[2]}"


if __name__ == "__main__":
    PAGE.write_text(page(), encoding="utf-8")

"""The house rules that a program can check, on the source itself."""

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PACKAGES = ("codeforge", "workers")
MAX_LINES = 300
MAX_FUNCTION = 40
SHARE = 0.9
VAGUE_NAMES = {"utils", "util", "helpers", "helper", "misc", "common", "tools"}
UNFINISHED = re.compile(r"#\s*(TODO|FIXME|XXX|HACK)\b|NotImplementedError\(?\)?$")
SUPPRESSION = re.compile(r"#\s*(noqa|type: ignore|pragma: no cover)(?P<rest>.*)")
WAITS = re.compile(r"asyncio\.timeout\((\d[\d.]*)\)|\bwait_for\(.*, (\d[\d.]*)\)")
SHORTEST_S = 30.0
KEPT_BY = re.compile(r"^## Kept true by$", re.MULTILINE)

Function = ast.FunctionDef | ast.AsyncFunctionDef


def modules() -> list[Path]:
    """Every module of the project, tests left out."""
    return sorted(path for package in PACKAGES for path in (ROOT / package).rglob("*.py"))


def name_of(path: Path) -> str:
    return path.relative_to(ROOT).as_posix()


def functions(tree: ast.AST) -> Iterator[Function]:
    return (node for node in ast.walk(tree) if isinstance(node, Function))


def length(node: Function) -> int:
    return (node.end_lineno or node.lineno) - node.lineno + 1


def public_without_docstring(path: Path) -> Iterator[str]:
    """Public modules, functions and classes without one. A class that only narrows another may do without: errors are
    described by the tree in `errors.py`, input models by their fields."""
    tree = ast.parse(path.read_text(encoding="utf-8"))
    if tree.body and ast.get_docstring(tree) is None:
        yield name_of(path)
    for node in tree.body:
        if not isinstance(node, ast.ClassDef | Function) or node.name.startswith("_"):
            continue
        narrows = isinstance(node, ast.ClassDef) and node.bases
        if ast.get_docstring(node) is None and not narrows:
            yield f"{name_of(path)}:{node.lineno} {node.name}"


def test_only_settings_read_the_environment() -> None:
    readers = []
    for path in modules():
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            attribute = isinstance(node, ast.Attribute) and node.attr in {"environ", "environb", "getenv"}
            imported = (
                isinstance(node, ast.ImportFrom)
                and node.module == "os"
                and {"environ", "getenv"} & {alias.name for alias in node.names}
            )
            if attribute or imported:
                readers.append(name_of(path))
    assert set(readers) == {"codeforge/settings/environment.py", "codeforge/settings/sources.py"}


def test_modules_are_nouns() -> None:
    assert [name_of(path) for path in modules() if path.stem in VAGUE_NAMES or path.parent.name in VAGUE_NAMES] == []


def test_nothing_is_left_for_later() -> None:
    found = [
        f"{name_of(path)}:{number}"
        for path in modules()
        for number, line in enumerate(path.read_text(encoding="utf-8").splitlines(), 1)
        if UNFINISHED.search(line)
    ]
    assert found == []


def test_suppressions_carry_their_reason() -> None:
    bare = [
        f"{name_of(path)}:{number}"
        for path in modules()
        for number, line in enumerate(path.read_text(encoding="utf-8").splitlines(), 1)
        if (match := SUPPRESSION.search(line)) and not re.search(r"(#|- ).*\w", match["rest"])
    ]
    assert bare == []


def test_most_files_and_functions_are_short() -> None:
    files = [len(path.read_text(encoding="utf-8").splitlines()) for path in modules()]
    lengths = [length(node) for path in modules() for node in functions(ast.parse(path.read_text(encoding="utf-8")))]
    assert sum(lines <= MAX_LINES for lines in files) >= SHARE * len(files)
    assert sum(lines <= MAX_FUNCTION for lines in lengths) >= SHARE * len(lengths)


def test_public_things_have_docstrings() -> None:
    assert [missing for path in modules() for missing in public_without_docstring(path)] == []


def test_tests_wait_with_patience() -> None:
    """A deadline of a few seconds fails a test whenever the machine does other things too."""
    short = [
        f"{name_of(path)}:{number}"
        for path in sorted((ROOT / "tests").rglob("*.py"))
        for number, line in enumerate(path.read_text(encoding="utf-8").splitlines(), 1)
        if (match := WAITS.search(line)) and float(match[1] or match[2]) < SHORTEST_S
    ]
    assert short == []


def records() -> list[Path]:
    return sorted((ROOT / "docs" / "adr").glob("[0-9]*.md"))


@pytest.mark.parametrize("record", records(), ids=lambda path: path.stem)
def test_decision_records_name_the_checks_that_keep_them_true(record: Path) -> None:
    text = record.read_text(encoding="utf-8")
    assert KEPT_BY.search(text)
    checks = re.findall(r"`((?:tests|codeforge|workers|deploy|bench)/[\w./-]+)`", text.partition("## Kept true by")[2])
    assert checks
    assert [check for check in checks if not (ROOT / check).exists()] == []


def test_decision_records_have_numbers_of_their_own() -> None:
    numbers = [int(record.stem.partition("-")[0]) for record in records()]
    assert numbers == list(range(1, len(numbers) + 1))
    titles = {record: f"# {number}. " for number, record in zip(numbers, records(), strict=True)}
    assert [record.name for record, title in titles.items() if not record.read_text().startswith(title)] == []

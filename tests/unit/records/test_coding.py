"""A coding task in the stores."""

from codeforge.records import records_of
from codeforge.records.model import MAX_CONTENT_BYTES
from codeforge.results import CodingResult
from codeforge.worker_types import WorkerType
from tests.unit.records.samples import edges, finished, nodes

PROMPT = b'{"prompt":"Add a greeting","language":"python"}'


def coded(files: dict[str, str], diff: str = "") -> CodingResult:
    return CodingResult(files=files, diff=diff, tests=None, iterations=[])


def test_files_are_artifacts_with_their_language() -> None:
    files = {"app/hello.py": "print('hello')\n", "README.md": "# Hello\n", "Makefile": "all:\n"}
    task = finished(WorkerType.CODING, coded(files), input=PROMPT)

    records = records_of(task, [])

    artifacts = nodes(records, "Artifact")
    assert {node.props["path"]: node.props["language"] for node in artifacts} == {
        "app/hello.py": "python",
        "README.md": "markdown",
        "Makefile": "python",
    }
    assert artifacts[0].props["content"] == "print('hello')\n"
    assert [edge.end[1] for edge in edges(records, "PRODUCED")] == [node.id for node in artifacts]


def test_the_change_is_searchable_by_prompt_path_and_text() -> None:
    result = coded({"hello.py": "print('hello')\n" * 1_000}, diff="--- a/hello.py\n" + "+line\n" * 1_000)

    records = records_of(finished(WorkerType.CODING, result, input=PROMPT), [])

    diff, artifact = records.texts
    assert (diff.kind, artifact.kind) == ("diff", "artifact")
    assert diff.text.startswith("Add a greeting\n--- a/hello.py\n+line")
    assert artifact.text.startswith("hello.py\nprint('hello')\n")
    assert len(diff.text) <= 1_800
    assert len(artifact.text) == len("hello.py\n") + 1_500


def test_a_large_file_is_cut_between_characters() -> None:
    result = coded({"big.txt": "é" * MAX_CONTENT_BYTES})

    (artifact,) = nodes(records_of(finished(WorkerType.CODING, result, input=PROMPT), []), "Artifact")

    assert artifact.props["content"] == "é" * (MAX_CONTENT_BYTES // 2)


def test_nothing_changed_leaves_nothing_to_search() -> None:
    records = records_of(finished(WorkerType.CODING, coded({}), input=PROMPT), [])

    assert records.texts == []
    assert len(records.graph.nodes) == 1

"""A coding task: its files as Artifacts, and the change as text."""

from pathlib import PurePosixPath

from codeforge.records.identity import stable_id
from codeforge.records.model import MAX_CONTENT_BYTES, Fragment, SearchText, TextKind, clip_bytes, titled
from codeforge.records.question import language_of, question_of
from codeforge.results import CodingResult
from codeforge.stores.graph_model import EdgeType, Label
from codeforge.stores.ports import Edge, Node, Scalar
from codeforge.task import Task

ARTIFACT_TEXT_CHARS = 1_500
DIFF_TEXT_CHARS = 1_500

_OTHER_LANGUAGES = {
    ".css": "css", ".html": "html", ".ini": "ini", ".json": "json", ".md": "markdown", ".sh": "shell", ".sql": "sql",
    ".toml": "toml", ".txt": "text", ".xml": "xml", ".yaml": "yaml", ".yml": "yaml",
}  # fmt: skip
"""Files that stand beside a program, in whatever language it is written."""


def coding_fragment(task: Task, result: bytes) -> Fragment:
    """Raises pydantic.ValidationError when the result is no CodingResult.

    Texts: kind `diff`, the beginning of the change under the prompt, then kind `artifact`, the beginning of each file
    under its path.
    """
    coding = CodingResult.model_validate_json(result)
    language = language_of(task)
    fragment = Fragment()
    if coding.diff.strip():
        text = titled([question_of(task)], coding.diff[:DIFF_TEXT_CHARS])
        fragment.texts.append(SearchText(stable_id(task.id, "diff"), TextKind.DIFF, text))
    for path, content in coding.files.items():
        node_id = stable_id(task.id, "file", path)
        props: dict[str, Scalar] = {
            "tenant": task.tenant,
            "kind": "file",
            "path": path,
            "content": clip_bytes(content, MAX_CONTENT_BYTES),
            "language": _OTHER_LANGUAGES.get(PurePosixPath(path).suffix.lower(), language),
        }
        fragment.nodes.append(Node(Label.ARTIFACT, node_id, props))
        fragment.edges.append(Edge(EdgeType.PRODUCED, (Label.TASK, task.id), (Label.ARTIFACT, node_id)))
        fragment.texts.append(artifact_text(node_id, path, content))
    return fragment


def artifact_text(artifact_id: str, path: str, content: str) -> SearchText:
    """What finds a file: its beginning under its path."""
    return SearchText(artifact_id, TextKind.ARTIFACT, titled([path], content[:ARTIFACT_TEXT_CHARS]))

"""Markdown in pieces that are small enough to search and whole enough to read."""

import re
from collections.abc import Iterator
from dataclasses import dataclass

TARGET_CHARS = 900
"""A chunk is closed before the block that would take it past this."""

MAX_CHARS = 1_500
"""No chunk is longer. Between the two lie whole code blocks, and short sections joined to what follows them."""

MIN_CHARS = 200
"""A chunk below this is not closed at a heading: a title alone says too little to be found by."""

MAX_HEADING_CHARS = 200

_FENCE = re.compile(r" {0,3}(`{3,}(?=[^`\n]*(?:\n|$))|~{3,})")
_HEADING = re.compile(r" {0,3}(#{1,6})(?=\s|$)")
_CLOSING_HASHES = re.compile(r"(?:^|[ \t])#+$")
_SENTENCE_END = re.compile(r"[.!?\u2026\u3002\uff01\uff1f][\"')\]]*\s+")
_BLANK_LINES = re.compile(r"\A(?:[^\S\n]*\n)+")


@dataclass(frozen=True, slots=True)
class TextChunk:
    """A piece of a document: `heading` is the path of headings in force where it begins, outermost first, with
    " > " between them; `ordinal` counts from 0."""

    ordinal: int
    heading: str
    text: str


@dataclass(frozen=True, slots=True)
class _Block:
    """What is kept together: a heading, a paragraph (or list, or table), or a fenced code block, with the blank
    lines after it. `level` is a heading's, 0 for anything else."""

    text: str
    level: int = 0
    title: str = ""
    fenced: bool = False


def chunk_markdown(markdown: str) -> list[TextChunk]:
    """Cuts Markdown at headings, then at blocks, then inside prose at lines, sentences and words.

    No text is lost, repeated or reordered; only white space around the cuts goes. Headings are ATX headings and code
    blocks are fenced, as extractors write them (CommonMark 0.31, 4.2 and 4.5). A code block is cut, at a line, only
    when it alone is longer than MAX_CHARS.
    """
    chunks: list[TextChunk] = []
    path: list[tuple[int, str]] = []
    held, heading, after_heading = "", "", False
    for block in _pieces(markdown):
        if held and _closes(held, block, after_heading=after_heading):
            _append(chunks, heading, held)
            held = ""
        if block.level:
            path = [(level, title) for level, title in path if level < block.level]
            path.append((block.level, block.title))
        if not held:
            heading = _path_text(path)
        held += block.text
        after_heading = block.level > 0 or (after_heading and not block.text.strip())
    _append(chunks, heading, held)
    return chunks


def _closes(held: str, block: _Block, *, after_heading: bool) -> bool:
    """Whether the chunk so far ends before this block. It does not end with a heading if what follows fits."""
    size, joined = len(_trimmed(held)), len(_trimmed(held + block.text))
    if joined > MAX_CHARS:
        return True
    if after_heading or size < MIN_CHARS:
        return False
    return block.level > 0 or joined > TARGET_CHARS


def _append(chunks: list[TextChunk], heading: str, held: str) -> None:
    text = _trimmed(held)
    if text:
        chunks.append(TextChunk(len(chunks), heading, text))


def _trimmed(text: str) -> str:
    """Without the blank lines around it. The first line keeps its indentation, which code needs."""
    return _BLANK_LINES.sub("", text.rstrip())


def _path_text(path: list[tuple[int, str]]) -> str:
    return " > ".join(title for _, title in path if title)[:MAX_HEADING_CHARS]


def _pieces(markdown: str) -> Iterator[_Block]:
    """The blocks, those that are too long cut."""
    for block in _blocks(markdown):
        limit = MAX_CHARS if block.fenced else TARGET_CHARS
        if len(_trimmed(block.text)) <= limit:
            yield block
            continue
        for index, text in enumerate(_cut(block.text, fenced=block.fenced)):
            first = index == 0
            yield _Block(text, block.level if first else 0, block.title if first else "", block.fenced)


def _blocks(markdown: str) -> Iterator[_Block]:
    lines: list[str] = []
    fence = ""
    for line in markdown.splitlines(keepends=True):
        if fence:
            lines.append(line)
            if _closes_fence(line, fence):
                yield _Block("".join(lines), fenced=True)
                lines, fence = [], ""
            continue
        opening, heading = _FENCE.match(line), _HEADING.match(line)
        if lines and (opening or heading or (line.strip() and not lines[-1].strip())):
            yield _Block("".join(lines))
            lines = []
        if heading:
            yield _Block(line, len(heading[1]), _CLOSING_HASHES.sub("", line[heading.end() :].strip()).strip())
            continue
        fence = opening[1] if opening else ""
        lines.append(line)
    if lines:
        yield _Block("".join(lines), fenced=bool(fence))


def _closes_fence(line: str, fence: str) -> bool:
    mark = line.strip()
    return len(mark) >= len(fence) and set(mark) == {fence[0]} and _FENCE.match(line) is not None


def _cut(text: str, *, fenced: bool) -> Iterator[str]:
    """Pieces of at most TARGET_CHARS characters which, put together, are the text."""
    start = 0
    while len(text) - start > TARGET_CHARS:
        end = start + _cut_point(text[start : start + TARGET_CHARS], fenced=fenced)
        yield text[start:end]
        start = end
    if start < len(text):
        yield text[start:]


def _cut_point(window: str, *, fenced: bool) -> int:
    """Where to cut: after the last line, else sentence, in the second half; else after the last word; else at the
    end. Code is cut after the last line wherever it is."""
    half = 0 if fenced else len(window) // 2
    line = window.rfind("\n") + 1
    if line > half:
        return line
    sentence = max((match.end() for match in _SENTENCE_END.finditer(window)), default=0)
    if sentence > half:
        return sentence
    word = max(window.rfind(" "), window.rfind("\n"), window.rfind("\t")) + 1
    return word or len(window)

"""Markdown in pieces."""

import time

from hypothesis import given
from hypothesis import strategies as st

from codeforge.records.chunks import MAX_CHARS, MIN_CHARS, TARGET_CHARS, chunk_markdown

SENTENCE = "The quick brown fox jumps over the lazy dog. "

LINES = st.one_of(
    st.text(max_size=60),
    st.sampled_from(
        ["", "   ", "# One", "## Two ##", "### Three", "#", "```", "```py", "````", "~~~", "- item", "| a | b |"]
    ),
    st.integers(1, 60).map(lambda count: SENTENCE * count),
    st.integers(1, 4_000).map(lambda count: "x" * count),
    st.integers(1, 4_000).map(lambda count: " " * count + "y"),
)
DOCUMENTS = st.lists(LINES, max_size=40).map("\n".join)


def without_white_space(text: str) -> str:
    return "".join(text.split())


@given(DOCUMENTS)
def test_the_chunks_together_are_the_document(markdown: str) -> None:
    chunks = chunk_markdown(markdown)

    assert without_white_space("".join(chunk.text for chunk in chunks)) == without_white_space(markdown)


@given(DOCUMENTS)
def test_no_chunk_is_empty_too_long_or_out_of_order(markdown: str) -> None:
    chunks = chunk_markdown(markdown)

    assert [chunk.ordinal for chunk in chunks] == list(range(len(chunks)))
    for chunk in chunks:
        assert 0 < len(chunk.text.strip()) <= len(chunk.text) <= MAX_CHARS
        assert chunk.text in markdown


@given(st.text(alphabet="`~# \t\nab.", max_size=3_000))
def test_any_mix_of_marks_is_kept(markdown: str) -> None:
    chunks = chunk_markdown(markdown)

    assert without_white_space("".join(chunk.text for chunk in chunks)) == without_white_space(markdown)


def test_a_short_page_is_one_chunk() -> None:
    (chunk,) = chunk_markdown("# Title\n\nA few words.\n\n## Part\n\nSome more.\n")

    assert chunk.text == "# Title\n\nA few words.\n\n## Part\n\nSome more."
    assert chunk.heading == "Title"


def test_sections_of_some_size_are_chunks_under_their_path_of_headings() -> None:
    body = SENTENCE * 8

    chunks = chunk_markdown(f"# Guide\n\n{body}\n\n## Install ##\n\n{body}\n\n### Linux\n\n{body}\n\n## Use\n\n{body}")

    assert [chunk.heading for chunk in chunks] == ["Guide", "Guide > Install", "Guide > Install > Linux", "Guide > Use"]
    assert [chunk.text.splitlines()[0] for chunk in chunks] == ["# Guide", "## Install ##", "### Linux", "## Use"]


def test_long_prose_is_cut_at_sentences_near_the_target() -> None:
    chunks = chunk_markdown(SENTENCE * 100)

    assert all(chunk.text.endswith("dog.") for chunk in chunks)
    assert all(TARGET_CHARS / 2 < len(chunk.text) <= TARGET_CHARS for chunk in chunks[:-1])


def test_a_section_in_several_chunks_has_one_heading() -> None:
    chunks = chunk_markdown("# Long\n\n" + SENTENCE * 60)

    assert len(chunks) > 2
    assert {chunk.heading for chunk in chunks} == {"Long"}


def test_a_heading_goes_with_what_follows_it() -> None:
    before, section = SENTENCE * 3, SENTENCE * 19
    assert len(before) < MIN_CHARS

    chunks = chunk_markdown(
        f"{before}\n\n## A heading that makes the chunk big enough to be closed after it, by size\n\n{section}"
    )

    assert not any(chunk.text.splitlines()[-1].startswith("#") for chunk in chunks)


def test_a_code_block_up_to_the_limit_stays_whole() -> None:
    code = "```python\n" + "".join(f"value_{line} = {line}\n" for line in range(70)) + "```"
    assert TARGET_CHARS < len(code) < MAX_CHARS

    chunks = chunk_markdown(f"{SENTENCE * 12}\n\n{code}\n\n{SENTENCE * 12}")

    assert code in [chunk.text for chunk in chunks]


def test_headings_and_blank_lines_inside_code_are_code() -> None:
    code = "~~~\n" + "# a comment\n\n" * 40 + "~~~"

    chunks = chunk_markdown(f"# Real\n\n{code}\n")

    assert [chunk.text for chunk in chunks] == [f"# Real\n\n{code}"]


def test_a_code_block_over_the_limit_is_cut_at_lines_that_keep_their_indentation() -> None:
    code = "```\n" + "    indented = True\n" * 300 + "```"

    chunks = chunk_markdown(code)

    lines = [line for chunk in chunks for line in chunk.text.splitlines()]
    assert lines == code.splitlines()


def test_a_code_span_on_one_line_opens_no_block() -> None:
    body = SENTENCE * 8

    chunks = chunk_markdown(f"```not a block```\n\n{body}\n\n# Heading\n\n{body}")

    assert [chunk.heading for chunk in chunks] == ["", "Heading"]


def test_a_table_is_cut_between_rows() -> None:
    rows = [f"| {number} | {SENTENCE}|" for number in range(60)]

    chunks = chunk_markdown("\n".join(rows))

    assert [line for chunk in chunks for line in chunk.text.splitlines()] == rows


def test_cutting_takes_time_in_proportion_to_the_size() -> None:
    # Each was slow once, or would be with a careless expression: pages are written by anybody.
    hostile = [
        "#" + " " * 400_000,
        "# " + "#" * 400_000 + "x",
        "`" * 400_000,
        "x" * 400_000,
        "\n" * 400_000,
        " \t" * 200_000,
    ]

    start = time.process_time()
    for markdown in hostile:
        chunk_markdown(markdown)

    assert time.process_time() - start < 10

"""Tables of pages in Markdown: each row says what it is about, and no markup makes them explode."""

import time

import pytest
from lxml import html

from codeforge.web.markdown import to_markdown
from codeforge.web.tables import MAX_ADDED, MAX_REPEATED_CHARS


def markdown(table: str) -> list[str]:
    """The lines, of tables without the rule below the header."""
    lines = to_markdown(html.fragment_fromstring(table, create_parent="div")).split("\n")
    return [line for line in lines if line and not line.startswith("| ---")]


@pytest.mark.parametrize(
    ("table", "lines"),
    [
        pytest.param(
            "<table><tr><th>A<th>B<tr><td rowspan=2>x<td>1<tr><td>2</table>",
            ["| A | B |", "| x | 1 |", "| x | 2 |"],
            id="rowspan",
        ),
        pytest.param(
            "<table><tr><th>A<th>B<th>C<tr><td>x<td colspan=2>both</table>",
            ["| A | B | C |", "| x | both | both |"],
            id="colspan",
        ),
        pytest.param(
            "<table><thead><tr><th rowspan=2>A<th colspan=2>B<tr><th>b1<th>b2<tbody><tr><td>1<td>2<td>3</table>",
            ["| A | B / b1 | B / b2 |", "| 1 | 2 | 3 |"],
            id="two rows of headers",
        ),
        pytest.param(
            "<table><tfoot><tr><td>Sum<td>3</tfoot><thead><tr><th>A<th>B</thead><tbody><tr><td>x<td>1</table>",
            ["| A | B |", "| x | 1 |", "| Sum | 3 |"],
            id="the foot comes last",
        ),
        pytest.param(
            "<table><caption>Sizes</caption><tr><th colspan=2>in cm<tr><th>A<th>B<tr><td>x<td>1</table>",
            ["*Sizes / in cm*", "| A | B |", "| x | 1 |"],
            id="titles",
        ),
        pytest.param(
            "<table><tr><th>A<th>B<tr><td colspan=2>group<tr><td>x<td>1<tr><td colspan=2>&nbsp;</table>",
            ["| A | B |", "| group |  |", "| x | 1 |"],
            id="groups and empty rows",
        ),
        pytest.param(
            "<table><tr><td>Ash<td>one<tr><td>Birch<td>two</table>",
            ["|  |  |", "| Ash | one |", "| Birch | two |"],
            id="no headers",
        ),
        pytest.param(
            "<table><tr><td>Year<td>Rain<tr><td>2023<td>41<tr><td>2024<td>43</table>",
            ["| Year | Rain |", "| 2023 | 41 |", "| 2024 | 43 |"],
            id="words above numbers",
        ),
        pytest.param(
            "<table><tr><th>A<th>B<tr><td>x|y<td><ul><li>one<li>two<li>three.<li>four</ul></table>",
            ["| A | B |", "| x\\|y | one; two; three. four |"],
            id="pipes and lists",
        ),
        pytest.param(
            "<table><tr><th>A<br>(cm)<th>B<tr><td>Ann Lee<br>Bo Chan<td>in two<br>lines</table>",
            ["| A (cm) | B |", "| Ann Lee; Bo Chan | in two lines |"],
            id="line breaks",
        ),
        pytest.param(
            "<table><tr><th>A<th>B<tr><td>a longer text<td><table><tr><td>1<td>2<tr><td>3<td>4</table></table>",
            ["| A | B |", "| a longer text | 1 2; 3 4 |"],
            id="a small table within",
        ),
        pytest.param(
            "<table><tr><td><h2>Left</h2><p>One.<td><h2>Right</h2><p>Two.</table>",
            ["## Left", "One.", "## Right", "Two."],
            id="columns of a page",
        ),
        pytest.param(
            "<table role=presentation><tr><td>One<td>Two</table>", ["One", "Two"], id="says itself that it is none"
        ),
        pytest.param(
            "<table><tr><th>A<th>B<tr><td rowspan=0>x<td>1<tr><td>2<tr><td>3</table>",
            ["| A | B |", "| x | 1 |", "| x | 2 |", "| x | 3 |"],
            id="down to the end",
        ),
        pytest.param(
            "<table><tr><th>A<th>B<tr><td colspan=999>all<tr><td rowspan=-2>x<td colspan=9e9>1</table>",
            ["| A | B |", "| all |  |", "| x | 1 |"],
            id="spans that are none",
        ),
        pytest.param(
            "<table><tr><th>A<th>B<tr><td>Text<p>and more</p>still<td>with<ul><li>one<li>two</ul></table>",
            ["| A | B |", "| Text and more still | with one; two |"],
            id="blocks that begin behind a text",
        ),
        pytest.param(
            "<table><tr><th>A<th>B<tr><td>x<td rowspan=3>1<tr><tr></table>",
            ["| A | B |", "| x | 1 |", "|  | 1 |", "|  | 1 |"],
            id="rows with nothing of their own",
        ),
        pytest.param("<table></table><table><tr></table><table><tr><td></table>", [], id="nothing in them"),
    ],
)
def test_a_table_becomes(table: str, lines: list[str]) -> None:
    assert markdown(table) == lines


def test_a_row_that_is_lost_in_a_cell_is_text_of_it() -> None:
    table = html.fragment_fromstring("<table><tr><th>A<th>B<tr><td>x<td>y<tr><td>1<td>2</table>", create_parent="div")
    rows = list(table.iter("tr"))
    rows[0][1].append(rows[1])
    assert to_markdown(table).startswith("| A | B x y |")


def test_a_span_goes_no_further_than_its_part_of_the_table() -> None:
    table = "<table><thead><tr><th rowspan=9>A<th>B<tbody><tr><td>x<td>1<tr><td>y<td>2</table>"
    assert markdown(table) == ["| A | B |", "| x | 1 |", "| y | 2 |"]


def test_a_long_text_stands_once() -> None:
    text = "word " * (MAX_REPEATED_CHARS // 5 + 1)
    table = f"<table><tr><th>A<th>B<tr><td rowspan=2>{text}<td>1<tr><td>2</table>"
    assert markdown(table)[-1] == "|  | 2 |"


def test_hostile_spans_add_no_more_than_their_bound() -> None:
    wide = "".join(f"<td colspan=1000 rowspan=1000>{number}" for number in range(20))
    table = f"<table>{f'<tr>{wide}' * 1_000}</table>"
    started = time.process_time()
    found = "\n".join(markdown(table))
    assert time.process_time() - started < 20
    assert found.count("|") < 10 * (MAX_ADDED + 20 * 1_000)


def test_a_table_of_too_many_places_becomes_lines() -> None:
    """One long row makes every other as wide."""
    table = f"<table><tr>{'<td>a' * 1_000}{'<tr><td>b<td>c' * 1_000}</table>"
    found = markdown(table)
    assert len(found) == 1_001
    assert found[-1] == "b c"

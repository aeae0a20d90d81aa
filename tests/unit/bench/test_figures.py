"""Figures are kept between runs, compared round by round, and never mixed across states of the code."""

from collections.abc import Mapping
from pathlib import Path

import pytest

from bench import turns
from bench.figures import Figure, Piece, load, save
from bench.goals import GOALS
from bench.plot import svg
from bench.scale import QUICK
from bench.tables import TABLES, markdown
from bench.turns import Turns


def test_a_ratio_is_taken_round_by_round() -> None:
    piece = Piece("frontdoor")
    for ours, bare in ((50, 100), (30, 50), (80, 100)):
        piece.add("ours", per_s=ours)
        piece.add("bare", per_s=bare)
    assert piece.ratio("ours", "bare", "per_s") == Figure((0.5, 0.6, 0.8))
    assert piece.ratio("ours", "nobody", "per_s") is None


def test_a_figure_shows_its_median_and_its_spread() -> None:
    assert Figure((1_200.0, 900.0, 1_000.0)).text() == "1,000 (900 to 1,200)"
    assert Figure((0.551,)).text(2) == "0.55"


def test_what_was_kept_is_read_again(tmp_path: Path) -> None:
    piece = Piece("empty", "a machine", "abc", notes={"tasks": "10"})
    piece.add("arq", per_s=10.0)
    save(tmp_path, piece)
    kept = load(tmp_path, "empty")
    assert kept is not None
    assert (kept.machine, kept.source, kept.notes) == ("a machine", "abc", {"tasks": "10"})
    assert kept.get("arq", "per_s") == Figure((10.0,))
    assert load(tmp_path, "search") is None


def rounds_of(folder: Path, minutes: float = 1.0) -> tuple[Turns, list[str], Piece]:
    """Two contenders over three rounds, one of which fails in its second."""
    order: list[str] = []

    def good() -> Mapping[str, float]:
        order.append("good")
        return {"per_s": 1.0}

    def bad() -> Mapping[str, float]:
        order.append("bad")
        if order.count("bad") > 1:
            raise RuntimeError("broken")
        return {"per_s": 2.0}

    run = Turns(QUICK, folder, minutes)
    piece = run.piece("empty")
    run.take(piece, {"good": 3, "bad": 3}, {"good": good, "bad": bad})
    return run, order, piece


def test_contenders_take_turns_and_one_that_fails_stops_nobody(tmp_path: Path) -> None:
    run, order, piece = rounds_of(tmp_path)
    assert order == ["good", "bad", "good", "bad", "good"]
    assert (piece.rounds("good"), piece.rounds("bad")) == (3, 1)
    assert run.failed == ["empty: bad"]


def test_a_run_goes_on_where_an_earlier_one_was(tmp_path: Path) -> None:
    rounds_of(tmp_path)
    _, order, piece = rounds_of(tmp_path)
    assert order == ["bad", "bad"]
    assert piece.rounds("bad") == 2


def test_figures_of_other_code_are_not_added_to(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    rounds_of(tmp_path)
    monkeypatch.setattr(turns, "source_state", lambda: "another")
    assert Turns(QUICK, tmp_path, 1.0).piece("empty").figures == {}


def test_nothing_is_begun_when_the_time_is_over(tmp_path: Path) -> None:
    run, order, _ = rounds_of(tmp_path, minutes=0.0)
    assert order == []
    assert run.late == ["empty: good", "empty: bad"]


@pytest.mark.parametrize("name", TABLES)
def test_every_piece_is_shown(name: str) -> None:
    piece = Piece(name, "a machine")
    for contender in ("CodeForge at 500", "arq at 500"):
        piece.add(contender, **{column.figure: 2.0 for column in TABLES[name].columns} | {"finished_percent": 100.0})
    table = [line for line in markdown(piece).splitlines() if line.startswith("|")]
    assert len({line.count("|") for line in table}) == 1
    assert len(table) == 4
    assert "CodeForge at 500" in svg({name: piece}) or name == "search"


def test_what_was_given_up_is_a_lower_bound_and_in_no_plot() -> None:
    piece = Piece("agents", "a machine")
    for contender, finished in (("CodeForge at 500", 100.0), ("arq at 500", 19.2)):
        piece.add(contender, finished_percent=finished, over_ideal=2.0)
    rows = {line.split("|")[1].strip(): line for line in markdown(piece).splitlines() if " at 500 " in line}
    assert "| 2.00 |" in rows["CodeForge at 500"]
    assert "| > 2.00 |" in rows["arq at 500"]
    plot = svg({"agents": piece})
    assert "CodeForge at 500" in plot
    assert "arq at 500" not in plot


def test_a_goal_says_whether_it_is_met() -> None:
    goal = GOALS[0]
    piece = Piece("frontdoor")
    assert "not measured" in goal.row({})
    piece.add("CodeForge", per_s=60)
    piece.add("bare ASGI and one pipeline", per_s=100)
    assert goal.row({"frontdoor": piece}).endswith("| 0.60 | met |")
    piece.add("CodeForge", per_s=40)
    piece.add("bare ASGI and one pipeline", per_s=100)
    assert goal.row({"frontdoor": piece}).endswith("| 0.50 (0.40 to 0.60) | **missed** |")

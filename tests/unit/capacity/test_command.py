"""`codeforge capacity` as a user sees it."""

import json
import re
from pathlib import Path
from xml.etree import ElementTree

import pytest
from click.testing import CliRunner, Result

from codeforge.capacity.page import commands
from codeforge.cli.main import main

DOCS = Path(__file__).parents[3] / "docs"
BURST = ("--trace", "burst:tasks=50", "--mix", "coding=1", "--settle", "300")


def call(*arguments: str, stdin: str | None = None) -> Result:
    return CliRunner().invoke(main, ["capacity", *arguments], input=stdin)


def test_simulate_prints_a_table_and_json_and_a_plot(rendered: Path, tmp_path: Path) -> None:
    plot = tmp_path / "run.svg"
    done = call("simulate", "--manifests", str(rendered), *BURST, "--plot", str(plot))
    assert done.exit_code == 0, done.output
    assert re.search(r"^tasks arrived +50$", done.output, re.MULTILINE)
    assert "full capacity after" in done.output
    root = ElementTree.parse(plot).getroot()
    assert len(root.findall("{*}polyline")) == 3
    report = json.loads(call("simulate", "--manifests", str(rendered), *BURST, "--json").output)
    assert report["tasks"]["arrived"] == 50
    assert report["full_capacity_s"] < 60
    assert report["workers"]["agent-worker-coding"]["pods_most"] == 2
    assert report["workers"]["agent-worker-scrape"]["pod_hours"] == 0


def test_manifests_come_from_standard_input_too(rendered: Path) -> None:
    arguments = ("simulate", *BURST, "--manifests")
    assert call(*arguments, "-", stdin=rendered.read_text()).output == call(*arguments, str(rendered)).output


def test_the_same_seed_prints_the_same_and_another_one_does_not(rendered: Path) -> None:
    arguments = ("simulate", "--manifests", str(rendered), *BURST, "--json", "--seed")
    assert call(*arguments, "7").output == call(*arguments, "7").output
    assert call(*arguments, "7").output != call(*arguments, "8").output


def test_compare_shows_naive_setups_beside(rendered: Path, tmp_path: Path) -> None:
    plot = tmp_path / "runs.svg"
    done = call("compare", "--manifests", str(rendered), *BURST, "--plot", str(plot))
    assert done.exit_code == 0, done.output
    assert re.search(r"^ +shipped +LLEN only +HPA on CPU$", done.output, re.MULTILINE)
    assert len(ElementTree.parse(plot).getroot().findall("{*}polyline")) == 9


def test_plan_says_what_breaks_first(rendered: Path) -> None:
    rates = ("--tasks-per-second", "10", "--tasks-per-second", "1000")
    done = call("plan", "--manifests", str(rendered), *rates)
    assert done.exit_code == 0, done.output
    assert re.search(r"^worker pods +150 +15,000$", done.output, re.MULTILINE)
    assert "What breaks first" in done.output
    (first, second) = json.loads(call("plan", "--manifests", str(rendered), *rates, "--json").output)["plans"]
    assert (first["given"]["tasks_s"], second["pods"]) == (10.0, 15_000)
    more_slots = call("plan", "--manifests", str(rendered), *rates, "--slots", "250")
    assert re.search(r"^worker pods +15 +1,500$", more_slots.output, re.MULTILINE)


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (("--trace", "flood:1"), "--trace flood:1: 'flood' is no kind of trace"),
        (("--trace", "burst:tasks=5", "--mix", "bakery=1"), "--mix bakery=1: expected shares"),
        (("--trace", "burst:tasks=5", "--mix", "coding=0"), "--mix coding=0: shares must be 0 or more"),
        (("--trace", "burst:tasks=5", "--duration", "bakery=fixed:1"), "--duration bakery=fixed:1: there is no type"),
        (("--trace", "burst:tasks=5", "--duration", "long"), "--duration long: expected fixed:60"),
        (("--trace", "burst:tasks=5", "--node-memory", "much"), "--node-memory much: must be a quantity"),
        (("--trace", "burst:tasks=5", "--plot", "nowhere/x.svg"), "--plot nowhere/x.svg: No such file"),
    ],
)
def test_wrong_options_are_one_line_that_names_them(rendered: Path, arguments: tuple[str, ...], says: str) -> None:
    done = call("simulate", "--manifests", str(rendered), *arguments)
    assert done.exit_code == 1
    assert done.stderr.startswith(f"codeforge: {says}")
    assert done.stderr.count("\n") == 1


def test_one_type_can_have_a_duration_of_its_own(rendered: Path) -> None:
    arguments = ("--duration", "coding=fixed:5", "--duration", "fixed:5000", "--json")
    done = call("simulate", "--manifests", str(rendered), *BURST, *arguments)
    assert json.loads(done.output)["tasks"]["finished"] == 50


def test_refresh_makes_the_parts_of_a_page_anew(rendered: Path, tmp_path: Path) -> None:
    page = tmp_path / "page.md"
    part = f"<!-- codeforge capacity plan --manifests {rendered} --tasks-per-second 10 -->"
    page.write_text(f"before\n{part}\nold\n<!-- end -->\nafter\n")
    assert call("refresh", str(page)).exit_code == 0
    text = page.read_text()
    assert "old" not in text
    assert text.startswith(f"before\n{part}\n```text\ntasks/s")
    assert text.endswith("```\n<!-- end -->\nafter\n")


def test_the_page_of_the_docs_asks_for_runs_that_there_are() -> None:
    asked = commands((DOCS / "capacity.md").read_text())
    assert {arguments[0] for arguments in asked} == {"compare", "plan", "simulate"}
    for arguments in asked:
        assert call(*arguments, "--help").exit_code == 0

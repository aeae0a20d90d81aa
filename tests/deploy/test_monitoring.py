"""Rules and alerts: well-formed, each alert tried and explained, and every metric in them one that is exported."""

import os
import subprocess
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.deploy.exported import exported
from tests.deploy.promql import metrics_in
from tests.servers.prometheus import MONITORING, PROMTOOL

RULES = sorted((MONITORING / "prometheus" / "rules").glob("*.yaml"))
TESTS = sorted((MONITORING / "prometheus" / "tests").glob("*.yaml"))
ROOT = MONITORING.parents[1]
RUNBOOKS = ROOT / "docs" / "runbooks"
SEVERITIES = {"page", "ticket"}


def promtool(*arguments: str | Path) -> str:
    """What it says to the end. Without promtool the test is skipped, and fails where every lane is required."""
    if PROMTOOL is None:
        message = "no promtool here: apt-get install prometheus"
        if os.environ.get("CODEFORGE_REQUIRE_LANES"):
            pytest.fail(message)
        pytest.skip(message)
    done = subprocess.run([PROMTOOL, *arguments], capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def rules() -> Iterator[Mapping[str, Any]]:
    for path in RULES:
        for group in yaml.safe_load(path.read_text())["groups"]:
            yield from group["rules"]


ALERTS = {rule["alert"]: rule for rule in rules() if "alert" in rule}
RECORDED = {rule["record"] for rule in rules() if "record" in rule}


def cases() -> Iterator[Mapping[str, Any]]:
    for path in TESTS:
        for test in yaml.safe_load(path.read_text())["tests"]:
            yield from test["alert_rule_test"]


def test_promtool_takes_the_rules() -> None:
    promtool("check", "rules", *RULES)


def test_promtool_takes_the_configuration_of_compose() -> None:
    promtool("check", "config", "--syntax-only", ROOT / "deploy" / "compose" / "prometheus.yaml")


def test_alerts_fire_when_they_should_and_only_then() -> None:
    promtool("test", "rules", *TESTS)


def test_every_alert_has_a_case_in_which_it_fires() -> None:
    assert {case["alertname"] for case in cases() if case["exp_alerts"]} == set(ALERTS)


def test_every_alert_has_a_page_and_every_page_an_alert() -> None:
    assert {path.stem for path in RUNBOOKS.glob("*.md")} == set(ALERTS)
    for name, alert in ALERTS.items():
        assert alert["annotations"]["runbook_url"] == f"docs/runbooks/{name}.md"
        assert alert["labels"]["severity"] in SEVERITIES
        text = (RUNBOOKS / f"{name}.md").read_text()
        assert text.startswith(f"# {name}\n")
        assert "## Look at" in text
        assert "## Do" in text


@pytest.mark.parametrize("rule", list(rules()), ids=lambda rule: rule.get("alert") or rule["record"])
def test_every_metric_of_a_rule_is_exported(rule: Mapping[str, Any]) -> None:
    assert metrics_in(rule["expr"]) <= exported() | RECORDED | {"up"}

"""The doctor's report: all checks at once, each within its deadline, one line each."""

import asyncio

import pytest

from codeforge.cli.doctor import (
    CHECKS,
    Check,
    Finding,
    Level,
    check_api,
    check_model,
    check_names,
    check_redis,
    check_web,
    diagnose,
)
from codeforge.errors import LedgerUnavailable
from codeforge.ledger import diagnosis
from codeforge.settings import Settings, load_settings

DIGEST = "a" * 64


def run(checks: dict[str, Check], deadline_s: float = 5.0, **settings: str) -> list[Finding]:
    return asyncio.run(diagnose(load_settings(settings), checks, deadline_s))


def test_a_failure_a_hang_and_a_good_part_are_one_line_each() -> None:
    async def fails(settings: Settings) -> list[Finding]:
        raise LedgerUnavailable("the server refuses the user or the password")

    async def hangs(settings: Settings) -> list[Finding]:
        await asyncio.Event().wait()
        return []

    async def works(settings: Settings) -> list[Finding]:
        return [Finding(Level.OK, "graph", "Neo4j/5")]

    findings = run({"redis": fails, "vectors": hangs, "graph": works}, deadline_s=0.1)
    assert [(finding.level, finding.part) for finding in findings] == [
        (Level.ERROR, "redis"),
        (Level.ERROR, "vectors"),
        (Level.OK, "graph"),
    ]
    assert findings[0].text == "the server refuses the user or the password"
    assert "no answer within" in findings[1].text


@pytest.mark.parametrize(
    ("policy", "append_only", "append_fsync", "levels", "says"),
    [
        ("noeviction", True, "always", [Level.OK, Level.OK], "loses nothing"),
        ("noeviction", True, "everysec", [Level.OK, Level.OK], "about a second"),
        ("noeviction", True, "no", [Level.OK, Level.WARNING], "half a minute"),
        ("allkeys-lru", True, "everysec", [Level.OK, Level.ERROR, Level.OK], "about a second"),
        ("noeviction", False, "everysec", [Level.OK, Level.WARNING], "since the last snapshot"),
        (None, None, None, [Level.OK, Level.WARNING, Level.WARNING], "does not tell whether"),
    ],
)
def test_redis_must_evict_nothing_and_says_what_a_crash_loses(
    monkeypatch: pytest.MonkeyPatch,
    policy: str | None,
    append_only: bool | None,
    append_fsync: str | None,
    levels: list[Level],
    says: str,
) -> None:
    async def examined(address: str, timeout_s: float) -> diagnosis.RedisReport:
        return diagnosis.RedisReport("Redis 7.2", policy, append_only, append_fsync)

    monkeypatch.setattr("codeforge.cli.doctor.examine_redis", examined)
    findings = run({"redis": check_redis})
    assert [finding.level for finding in findings] == levels
    assert says in findings[-1].text


def test_a_missing_model_is_a_warning_that_names_the_settings() -> None:
    (finding,) = run({"model": check_model})
    assert finding.level is Level.WARNING
    assert "OPENROUTER_API_KEY" in finding.text
    assert "LLM_BASE_URL" in finding.text


def test_keys_are_reported_by_name_only() -> None:
    findings = run({"web": check_web}, tavily_api_key="tvly-secret")
    assert findings[0].level is Level.OK
    assert "TAVILY_API_KEY set" in findings[0].text
    assert "secret" not in str(findings)


def test_an_open_api_that_reaches_private_hosts_is_a_warning() -> None:
    open_api = {"api_host": "0.0.0.0", "api_keys": f"acme:{DIGEST}"}
    assert run({"api": check_api}, **open_api)[0].level is Level.OK
    assert run({"api": check_api}, **open_api, allow_private_hosts="10.0.0.0/8")[0].level is Level.WARNING
    assert run({"api": check_api})[0].level is Level.OK


def test_every_part_has_a_check() -> None:
    assert list(CHECKS) == ["settings", "redis", "graph", "vectors", "embeddings", "model", "web search", "api"]


def test_misspelt_variables_are_told_and_others_left_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CODEFORGE_MAX_CONCURENT_TASKS", "3")
    monkeypatch.setenv("CODEFORGE_API_KEY", "acme:secret")
    monkeypatch.setenv("CODEFORGE_SOMETHING_OF_OURS", "x")
    monkeypatch.setenv("CODEFORGE_LEASE_S", "10")
    findings = run({"settings": check_names})
    assert [(finding.level, finding.text) for finding in findings] == [
        (Level.WARNING, "CODEFORGE_API_KEY is no setting, and is ignored: is CODEFORGE_API_KEYS meant?"),
        (
            Level.WARNING,
            "CODEFORGE_MAX_CONCURENT_TASKS is no setting, and is ignored: is CODEFORGE_MAX_CONCURRENT_TASKS meant?",
        ),
    ]

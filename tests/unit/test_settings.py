"""Settings: every name of the contract is read, and what is wrong is named without its value."""

import hashlib
from typing import Any

import pytest
from pydantic import SecretStr

from codeforge.errors import SettingsError
from codeforge.settings import BARE_NAMES, PREFIX, Settings, load_settings, settings_environment

DIGEST = hashlib.sha256(b"a key").hexdigest()

CONTRACT: dict[str, tuple[str, Any]] = {
    "REDIS_URL": ("redis://h/1", "redis://h/1"),
    "REDIS_HOST": ("h", "h"),
    "NEO4J_URI": ("bolt://h", "bolt://h"),
    "NEO4J_HOST": ("h", "h"),
    "NEO4J_USER": ("u", "u"),
    "NEO4J_PASSWORD": ("p", "p"),
    "QDRANT_URL": ("http://h", "http://h"),
    "QDRANT_HOST": ("h", "h"),
    "QDRANT_API_KEY": ("k", "k"),
    "OPENROUTER_API_KEY": ("k", "k"),
    "LLM_BASE_URL": ("http://h/v1", "http://h/v1"),
    "LLM_API_KEY": ("k", "k"),
    "LLM_MODEL": ("m", "m"),
    "EMBEDDINGS_BASE_URL": ("http://h/v1", "http://h/v1"),
    "EMBEDDINGS_MODEL": ("m", "m"),
    "EMBEDDINGS_DIM": ("512", 512),
    "TAVILY_API_KEY": ("k", "k"),
    "EXA_API_KEY": ("k", "k"),
    "ZENROWS_API_KEY": ("k", "k"),
    "WORKER_TYPE": ("scrape", "scrape"),
    "MAX_CONCURRENT_TASKS": ("7", 7),
    "MAX_AGENTS": ("9", 9),
    "API_KEYS": (f"acme:{DIGEST}", {DIGEST: "acme"}),
    "SCALABILITY_MODE": ("compose", "compose"),
    "PHASE": ("2", 2),
    "FEDERATION_ENABLED": ("true", True),
    "LEASE_S": ("20", 20.0),
    "DRAIN_S": ("5", 5.0),
    "ALLOW_PRIVATE_HOSTS": ("localhost, 10.0.0.0/8", ("localhost", "10.0.0.0/8")),
}

WRONG = [
    ("REDIS_URL", "http://user:hunter2@h"),
    ("REDIS_URL", "redis://[hunter2"),
    ("REDIS_PORT", "hunter2"),
    ("LLM_BASE_URL", "ftp://hunter2"),
    ("LLM_BASE_URL", "http://[hunter2"),
    ("LLM_BASE_URL", "http://h:hunter2/"),
    ("EMBEDDINGS_BASE_URL", "hunter2"),
    ("QDRANT_URL", "hunter2:6333"),
    ("TAVILY_BASE_URL", "hunter2"),
    ("EMBEDDINGS_DIM", "7"),
    ("WORKER_TYPE", "hunter2"),
    ("MAX_CONCURRENT_TASKS", "0"),
    ("MAX_AGENTS", "hunter2"),
    ("API_KEYS", "acme:hunter2"),
    ("API_KEYS", f":{DIGEST}"),
    ("SCALABILITY_MODE", "hunter2"),
    ("PHASE", "5"),
    ("FEDERATION_ENABLED", "hunter2"),
    ("LEASE_S", "0"),
    ("DRAIN_S", "-1"),
    ("ALLOW_PRIVATE_HOSTS", "localhost,hunter2/8"),
    ("NEO4J_HOST", "http://hunter2"),
    ("QDRANT_HOST", "hunter2 "),
    ("REDIS_HOST", "hunter2:6379"),
    ("LOG_LEVEL", "hunter2"),
]


@pytest.fixture(autouse=True)
def _empty_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in Settings.model_fields:
        monkeypatch.delenv(name.upper(), raising=False)
        monkeypatch.delenv(PREFIX + name.upper(), raising=False)


def plain(value: Any) -> Any:
    """The value without its wrapping."""
    if isinstance(value, dict):
        return {name: plain(item) for name, item in value.items()}
    return value.get_secret_value() if isinstance(value, SecretStr) else value


@pytest.mark.parametrize("name", CONTRACT)
def test_name_of_the_contract_is_read_with_the_prefix(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    text, value = CONTRACT[name]
    assert plain(getattr(load_settings(), name.lower())) != value
    monkeypatch.setenv(PREFIX + name, text)
    assert plain(getattr(load_settings(), name.lower())) == value


@pytest.mark.parametrize("name", sorted(BARE_NAMES))
def test_name_that_deployments_use_already_is_read_bare(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    text, value = CONTRACT[name]
    monkeypatch.setenv(name, text)
    assert plain(getattr(load_settings(), name.lower())) == value


@pytest.mark.parametrize("name", sorted(set(CONTRACT) - BARE_NAMES))
def test_other_names_are_not_read_bare(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(name, CONTRACT[name][0])
    assert load_settings() == Settings()
    assert plain(getattr(load_settings(), name.lower())) != CONTRACT[name][1]


def test_prefixed_name_wins_over_the_bare_one_and_an_argument_over_both(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("REDIS_HOST", "bare")
    monkeypatch.setenv("CODEFORGE_REDIS_HOST", "prefixed")
    assert load_settings().redis_host == "prefixed"
    assert load_settings({"redis_HOST": "given"}).redis_host == "given"


def test_empty_variable_says_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CODEFORGE_LEASE_S", "")
    assert load_settings().lease_s == 15


@pytest.mark.parametrize(("name", "text"), WRONG)
@pytest.mark.parametrize("by", ["environment", "argument"])
def test_wrong_setting_is_named_in_one_line_without_its_value(
    name: str, text: str, by: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    given = {name: text} if by == "argument" else {}
    if not given:
        monkeypatch.setenv(PREFIX + name, text)
    with pytest.raises(SettingsError) as caught:
        load_settings(given)
    message = str(caught.value)
    assert message.startswith(f"CODEFORGE_{name}: ")
    assert "\n" not in message
    assert "hunter2" not in message
    assert caught.value.__suppress_context__ or caught.value.__context__ is None


def test_pods_are_marked_on_kubernetes_only() -> None:
    with pytest.raises(SettingsError, match=r"^CODEFORGE_MARK_BUSY_PODS: needs SCALABILITY_MODE=kubernetes"):
        load_settings({"MARK_BUSY_PODS": "true"})
    assert load_settings({"MARK_BUSY_PODS": "true", "SCALABILITY_MODE": "kubernetes"}).mark_busy_pods


def test_unknown_argument_is_named() -> None:
    with pytest.raises(SettingsError, match=r"^COLOUR: no such setting$"):
        load_settings({"colour": "red"})


def test_a_redis_url_may_name_sentinels_and_the_refusal_says_so() -> None:
    with pytest.raises(SettingsError, match=r"^CODEFORGE_REDIS_URL: .* sentinel://$"):
        load_settings({"redis_url": "http://a"})


@pytest.mark.parametrize("host", ["127.0.0.1", "::1", "localhost", "127.8.8.8"])
def test_without_keys_the_front_door_binds_loopback(host: str) -> None:
    assert load_settings({"api_host": host}).api_host == host


@pytest.mark.parametrize("host", ["0.0.0.0", "::", "10.0.0.1", "example.org", ""])
def test_without_keys_any_other_address_is_refused(host: str) -> None:
    with pytest.raises(SettingsError, match=r"^CODEFORGE_API_HOST: .* API_KEYS"):
        load_settings({"api_host": host})
    assert load_settings({"api_host": host, "api_keys": f"acme:{DIGEST}"}).api_host == host


def test_several_keys_may_open_one_tenant() -> None:
    other = hashlib.sha256(b"another").hexdigest().upper()
    settings = load_settings({"api_keys": f"acme:{DIGEST}, acme:{other}"})
    assert plain(settings.api_keys) == {DIGEST: "acme", other.lower(): "acme"}


def test_secrets_are_not_shown() -> None:
    names = ("redis_url", "neo4j_password", "qdrant_api_key", "openrouter_api_key", "llm_api_key", "tavily_api_key")
    settings = load_settings(dict.fromkeys(names, "redis://:hunter2@h"))
    assert "hunter2" not in repr(settings)


def test_addresses_follow_from_hosts() -> None:
    settings = load_settings({"redis_host": "r", "redis_port": "1", "neo4j_host": "n", "qdrant_host": "q"})
    assert settings.redis_address == "redis://r:1/0"
    assert settings.neo4j_address == "bolt://n:7687"
    assert settings.qdrant_address == "http://q:6333"


def test_openrouter_s_key_goes_to_openrouter_only() -> None:
    openrouter = load_settings({"openrouter_api_key": "k"})
    assert (openrouter.model_configured, plain(openrouter.model_key)) == (True, "k")
    assert openrouter.model_address.startswith("https://openrouter.ai/")
    other = load_settings({"openrouter_api_key": "k", "llm_base_url": "http://h/v1"})
    assert (other.model_address, other.model_key, other.model_name) == ("http://h/v1", None, None)
    assert not load_settings().model_configured


def test_child_inherits_settings_and_nothing_else(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CODEFORGE_LEASE_S", "20")
    monkeypatch.setenv("REDIS_HOST", "bare")
    monkeypatch.setenv("SOME_SECRET", "hunter2")
    environment = settings_environment({"drain_s": "5", "redis_host": "given"}, without=["lease_s"])
    assert {name: value for name, value in environment.items() if name != "CODEFORGE_SECRETS_DIR"} == {
        "CODEFORGE_DRAIN_S": "5",
        "CODEFORGE_REDIS_HOST": "given",
    }

"""Settings from files: `CODEFORGE_SECRETS_DIR`."""

from pathlib import Path

import pytest

from codeforge.errors import SettingsError
from codeforge.settings import load_settings

DIGEST = "0a" * 32


@pytest.fixture
def secrets(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("CODEFORGE_SECRETS_DIR", str(tmp_path))
    return tmp_path


def test_a_file_gives_the_setting_that_it_is_called_after(secrets: Path) -> None:
    (secrets / "neo4j_password").write_text("from a file\n")
    (secrets / "API_KEYS").write_text(f"acme:{DIGEST}\n")
    (secrets / "something_else").write_text("not ours")
    settings = load_settings()
    assert settings.neo4j_password is not None
    assert settings.neo4j_password.get_secret_value() == "from a file"
    assert settings.api_keys[DIGEST].get_secret_value() == "acme"


def test_a_variable_wins_over_a_file(secrets: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (secrets / "llm_model").write_text("from-a-file")
    monkeypatch.setenv("CODEFORGE_LLM_MODEL", "from-the-environment")
    assert load_settings().llm_model == "from-the-environment"


def test_an_empty_file_says_nothing(secrets: Path) -> None:
    (secrets / "tavily_api_key").write_text("\n")
    assert load_settings().tavily_api_key is None


def test_a_wrong_value_is_not_shown(secrets: Path) -> None:
    (secrets / "api_keys").write_text("hunter2")
    with pytest.raises(SettingsError, match="CODEFORGE_API_KEYS") as raised:
        load_settings()
    assert "hunter2" not in str(raised.value)


def test_a_file_that_is_no_text(secrets: Path) -> None:
    (secrets / "neo4j_password").write_bytes(b"\xff\xfe")
    with pytest.raises(SettingsError, match="CODEFORGE_NEO4J_PASSWORD: its file cannot be read"):
        load_settings()


def test_a_directory_that_is_not_there(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CODEFORGE_SECRETS_DIR", str(tmp_path / "none"))
    with pytest.raises(SettingsError, match="CODEFORGE_SECRETS_DIR: No such file or directory"):
        load_settings()


def test_a_file_that_cannot_be_read(secrets: Path) -> None:
    (secrets / "neo4j_password").mkdir()
    with pytest.raises(SettingsError, match="CODEFORGE_NEO4J_PASSWORD: its file cannot be read"):
        load_settings()


def test_flower_needs_a_user_and_a_password(secrets: Path) -> None:
    (secrets / "flower_basic_auth").write_text("only-a-password")
    with pytest.raises(SettingsError, match=r"CODEFORGE_FLOWER_BASIC_AUTH: .*expected user:password") as raised:
        load_settings()
    assert "only-a-password" not in str(raised.value)


def test_a_redis_password_goes_into_the_address(secrets: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (secrets / "redis_password").write_text("p@ss/word")
    monkeypatch.setenv("CODEFORGE_REDIS_HOST", "redis")
    assert load_settings().redis_address == "redis://:p%40ss%2Fword@redis:6379/0"

"""From options to processes: settings, addresses, and where secrets go."""

import os
from pathlib import Path

import pytest
from click.testing import CliRunner

from codeforge.cli.main import main
from codeforge.errors import SettingsError
from codeforge.local.engines import embedded_engines
from codeforge.local.options import UpOptions
from codeforge.local.part import Kind
from codeforge.local.ports import PORT_OPTIONS
from codeforge.local.up import Stack, plan_stack, wanted_ports
from codeforge.settings import load_settings
from tests.unit.local.children import made_data_dir

PORTS = {name: 21_000 + number for number, name in enumerate(PORT_OPTIONS)}


@pytest.fixture(autouse=True)
def bare_environment(monkeypatch: pytest.MonkeyPatch) -> pytest.MonkeyPatch:
    """Settings of the machine that runs the tests do not count."""
    for name in list(os.environ):
        if name.startswith("CODEFORGE_") or name in {"REDIS_URL", "NEO4J_URI", "NEO4J_PASSWORD", "QDRANT_API_KEY"}:
            monkeypatch.delenv(name)
    return monkeypatch


def planned(tmp_path: Path, **fields: object) -> Stack:
    data_dir = made_data_dir(tmp_path)
    options = UpOptions(data_dir.root, **{"workers": "each"} | fields)  # type: ignore[arg-type]  # each test gives fitting ones
    return plan_stack(options, load_settings(options.overrides), embedded_engines(options), PORTS, data_dir)


def environment_of(stack: Stack, name: str) -> dict[str, str]:
    part = next(part for part in stack.parts if part.name == name)
    return {**stack.environment, **part.spec.env}


def test_a_stack_has_every_part_by_its_name_in_the_contract(tmp_path: Path) -> None:
    stack = planned(tmp_path)
    assert {part.name for part in stack.parts} == {
        "redis", "graph", "vectors", "api", "projector", "reaper", "flower",
        "worker-coding", "worker-analysis", "worker-debate", "worker-scrape",
    }  # fmt: skip
    for part in stack.parts:
        if part.kind is Kind.WORKER:
            line = " ".join(part.spec.argv)
            assert "workers.main" in line
            assert part.name.removeprefix("worker-") in line


def test_by_default_one_general_worker_serves_all_types(tmp_path: Path) -> None:
    stack = planned(tmp_path, workers=UpOptions(tmp_path).workers)
    workers = [part for part in stack.parts if part.kind is Kind.WORKER]
    assert [part.name for part in workers] == ["worker"]
    assert environment_of(stack, "worker")["CODEFORGE_WORKER_TYPE"] == "general"


def test_one_type_of_worker_can_be_asked_for(tmp_path: Path) -> None:
    stack = planned(tmp_path, workers="general", overrides={"worker_type": "scrape"})
    assert [part.name for part in stack.parts if part.kind is Kind.WORKER] == ["worker-scrape"]
    assert environment_of(stack, "worker-scrape")["CODEFORGE_WORKER_TYPE"] == "scrape"
    with pytest.raises(SettingsError, match="WORKER_TYPE"):
        planned(tmp_path, workers="each", overrides={"worker_type": "scrape"})


def test_flower_is_where_and_behind_what_was_set(tmp_path: Path) -> None:
    stack = planned(tmp_path, overrides={"flower_host": "127.0.0.2", "flower_basic_auth": "me:a:b"})
    assert stack.addresses.flower == f"http://127.0.0.2:{PORTS['flower']}"
    assert (stack.addresses.flower_user, stack.addresses.flower_password) == ("me", "a:b")
    assert environment_of(stack, "flower")["FLOWER_BASIC_AUTH"] == "me:a:b"
    (flower,) = (part for part in stack.parts if part.name == "flower")
    assert "--address=127.0.0.2" in flower.spec.argv


def test_ports_named_by_set_are_those_without_an_option(tmp_path: Path) -> None:
    options = UpOptions(tmp_path, overrides={"api_port": "9001", "flower_port": "9002"})
    settings = load_settings(options.overrides)
    wanted = wanted_ports(options, settings, ())
    assert wanted == {"api": 9001, "flower": 9002}
    assert wanted_ports(UpOptions(tmp_path, {"flower": 0}, overrides=options.overrides), settings, ())["flower"] == 0


def test_children_find_the_engines_by_the_environment(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in environment_of(planned(tmp_path), "worker-scrape").items():
        monkeypatch.setenv(name, value)
    settings = load_settings()
    assert settings.redis_address.endswith(f"@127.0.0.1:{PORTS['redis']}/0")
    assert settings.neo4j_address == f"bolt://127.0.0.1:{PORTS['bolt']}"
    assert settings.qdrant_address == f"http://127.0.0.1:{PORTS['qdrant']}"
    assert settings.worker_type == "scrape"
    assert settings.drain_s == 5.0
    assert settings.health_file is not None
    assert settings.health_file.name == "worker-scrape.health"


def test_set_reaches_every_child_of_the_project_and_beats_the_environment(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("CODEFORGE_LEASE_S", "7")
    monkeypatch.setenv("MAX_CONCURRENT_TASKS", "9")
    stack = planned(tmp_path, overrides={"lease_s": "2", "drain_s": "3"})
    for name in ("api", "projector", "reaper", "worker-scrape"):
        environment = environment_of(stack, name)
        assert environment["CODEFORGE_LEASE_S"] == "2"
        assert environment["CODEFORGE_DRAIN_S"] == "3"
        assert environment["MAX_CONCURRENT_TASKS"] == "9"


def test_settings_for_other_engines_do_not_reach_the_children(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("QDRANT_API_KEY", "key-of-a-real-qdrant")
    monkeypatch.setenv("CODEFORGE_NEO4J_DATABASE", "elsewhere")
    monkeypatch.setenv("REDIS_URL", "redis://elsewhere:6379/0")
    stack = planned(tmp_path)
    api = environment_of(stack, "api")
    assert not {"QDRANT_API_KEY", "CODEFORGE_NEO4J_DATABASE", "REDIS_URL"} & set(api)
    assert "elsewhere" not in stack.addresses.redis


def test_an_engine_named_by_set_is_used_instead_of_the_embedded_one(tmp_path: Path) -> None:
    stack = planned(tmp_path, overrides={"redis_url": "redis://10.0.0.5:6379/0"})
    assert "redis" not in {part.name for part in stack.parts}
    assert environment_of(stack, "api")["CODEFORGE_REDIS_URL"] == "redis://10.0.0.5:6379/0"
    assert stack.addresses.redis == "redis://10.0.0.5:6379/0"


@pytest.mark.parametrize(
    ("setting", "engine", "other", "address"),
    [
        ("redis_host=10.0.0.5", "redis", "REDIS_URL=redis://elsewhere", "redis://10.0.0.5:6379/0"),
        ("redis_host=10.0.0.5", "redis", "CODEFORGE_REDIS_SENTINELS=elsewhere:26379", "redis://10.0.0.5:6379/0"),
        (
            "redis_sentinels=10.0.0.5:26379",
            "redis",
            "CODEFORGE_REDIS_URL=redis://elsewhere",
            "sentinel://10.0.0.5:26379",
        ),
        ("neo4j_host=10.0.0.5", "graph", "NEO4J_URI=bolt://elsewhere", "bolt://10.0.0.5:7687"),
        ("qdrant_host=10.0.0.5", "vectors", "QDRANT_URL=http://elsewhere", "http://10.0.0.5:6333"),
    ],
)
def test_an_engine_named_by_its_host_is_used_whatever_the_environment_names(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, setting: str, engine: str, other: str, address: str
) -> None:
    name, _, value = other.partition("=")
    monkeypatch.setenv(name, value)
    monkeypatch.setenv("CODEFORGE_REDIS_USER", "me")  # what is not an address stays
    chosen, _, host = setting.partition("=")
    stack = planned(tmp_path, overrides={chosen: host})
    assert engine not in {part.name for part in stack.parts}
    api = environment_of(stack, "api")
    assert name not in api
    assert api["CODEFORGE_REDIS_USER"] == "me"
    found = {"redis": stack.addresses.redis, "graph": stack.addresses.bolt, "vectors": stack.addresses.qdrant}[engine]
    assert found.replace("me:@", "").startswith(address)


def test_no_secret_is_on_a_command_line_and_engines_get_no_settings(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("CODEFORGE_LLM_API_KEY", "key-of-the-model")
    stack = planned(tmp_path)
    secrets = {(tmp_path / "data" / "secrets" / name).read_text() for name in ("redis", "graph", "flower")}
    for part in stack.parts:
        assert not any(secret in word for secret in secrets for word in part.spec.argv)
        if part.kind is Kind.ENGINE or part.name == "flower":
            assert "key-of-the-model" not in environment_of(stack, part.name).values()
    assert "FLOWER_UNAUTHENTICATED_API" not in environment_of(stack, "flower")


def test_local_model_and_another_address_exclude_each_other(tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match="LLM_BASE_URL"):
        planned(tmp_path, llm="local", overrides={"llm_base_url": "http://127.0.0.1:1"})


@pytest.mark.parametrize(
    ("setting", "named"),
    [
        ("NO_SUCH=1", "NO_SUCH"),
        ("LEASE_S=soon", "LEASE_S"),
        ("CODEFORGE_LEASE_S=0", "LEASE_S"),
        ("LEASE_S", "LEASE_S"),
        ("NEO4J_URI=http://127.0.0.1:1", "NEO4J_URI"),
        ("ALLOW_PRIVATE_HOSTS=not a host", "ALLOW_PRIVATE_HOSTS"),
        ("EMBEDDINGS_BASE_URL=http://127.0.0.1:1", "EMBEDDINGS_MODEL"),
    ],
)
def test_a_wrong_set_stops_before_anything_starts(tmp_path: Path, setting: str, named: str) -> None:
    result = CliRunner().invoke(main, ["up", "--data-dir", str(tmp_path / "data"), "--set", setting])
    assert result.exit_code == 2
    assert len(result.output.strip().splitlines()) == 1
    assert named in result.output
    assert not (tmp_path / "data").exists()


FREE_PORTS = [word for port in PORT_OPTIONS.values() for word in (port.option, "0")]


@pytest.mark.parametrize(
    "used", ["secrets/redis", "run/children.json", "graph/config/server-users.jsonl", "logs/redis.log.3"]
)
def test_a_file_of_the_data_directory_that_cannot_be_used_is_named(tmp_path: Path, used: str) -> None:
    data_dir = made_data_dir(tmp_path)
    (data_dir.root / "logs" / "redis.log.2").touch()
    (data_dir.root / used / "in the way").mkdir(parents=True)
    result = CliRunner().invoke(main, ["up", "--data-dir", str(data_dir.root), *FREE_PORTS])
    assert result.exit_code == 1
    last = result.output.strip().splitlines()[-1]
    assert last.startswith(f"codeforge: {data_dir.root / used} cannot be used: ")


def test_a_ready_file_in_no_directory_is_refused(tmp_path: Path) -> None:
    ready_file = ["--ready-file", str(tmp_path / "none" / "ready.json")]
    result = CliRunner().invoke(main, ["up", "--data-dir", str(tmp_path / "data"), *ready_file, *FREE_PORTS])
    assert result.exit_code == 2
    assert "--ready-file" in result.output

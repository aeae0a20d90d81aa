"""What images, Compose and Kubernetes must agree on, taken from the code wherever it stands there."""

import os
import re
import shutil
from collections.abc import Mapping
from functools import cache
from pathlib import Path
from typing import Any, get_args
from unittest.mock import patch

import yaml
from pydantic import SecretStr

from codeforge import __version__
from codeforge.errors import SettingsError
from codeforge.settings import PREFIX, SECRETS_DIR, Settings, load_settings
from codeforge.worker_types import GENERAL, WorkerType, served_types

ROOT = Path(__file__).parents[2]
NAMESPACE = "codeforge-ai"
OWN_IMAGES = {"codeforge-api": "Dockerfile.api", "codeforge-worker": "Dockerfile.worker"}
OWN_TAG = __version__
HEALTH_FILE = "/tmp/codeforge.health"
BEAT_PROBE = ["python", "-m", "codeforge.health", HEALTH_FILE, "--max-age", "10"]
STOP_MARGIN_S = 10.0
"""What a worker needs after its drain: cut attempts hand back, the lease ends, clients close."""

REQUIRED_SECRETS = {
    "api": {"api_keys", "redis_password", "neo4j_password", "qdrant_api_key", "embeddings_api_key"},
    "worker": {"redis_password", "llm_api_key"},
    "projector": {"redis_password", "neo4j_password", "qdrant_api_key", "embeddings_api_key"},
    "reaper": {"redis_password"},
    "flower": {"redis_password", "flower_basic_auth"},
}
"""By process; nobody gets a secret that it has no use for."""

SENTINEL_SECRETS = {"redis_sentinel_password"}
"""What each process needs besides where it is told of Sentinels."""

EMBEDDING_WORKER_SECRETS = {"embeddings_api_key"}
"""What a worker needs besides where it is told of an embeddings service."""

REUSING_WORKER_SECRETS = {"qdrant_api_key"}
"""What a worker that serves analyses needs besides where it is told of a vector store, in which it looks for earlier
results."""

VECTOR_WRITERS = {"projector"}
"""The processes whose key of the vector store can write; who else has one has the key that only reads."""

OPTIONAL_SECRETS = {"worker": {"tavily_api_key", "exa_api_key", "zenrows_api_key"}}

PLACEHOLDERS = {"api_keys": f"default:{'0a' * 32}", "flower_basic_auth": "user:password"}
"""Values of secrets that have a form; any other may be anything."""


def worker_secrets(environment: Mapping[str, str]) -> set[str]:
    """What a worker with this environment needs beyond what every worker does."""
    needed = set()
    if "CODEFORGE_EMBEDDINGS_BASE_URL" in environment:
        needed |= EMBEDDING_WORKER_SECRETS
    if reuses(environment):
        needed |= REUSING_WORKER_SECRETS
    return needed


def secret_for(process: str, setting: str) -> str:
    """The secret that a process is given as this setting."""
    return "qdrant_read_only_api_key" if setting == "qdrant_api_key" and process not in VECTOR_WRITERS else setting


def reuses(environment: Mapping[str, str]) -> bool:
    """Whether a worker with this environment looks for earlier results in the vector store."""
    served = served_types(environment.get("CODEFORGE_WORKER_TYPE", GENERAL))
    return WorkerType.ANALYSIS in served and "CODEFORGE_QDRANT_HOST" in environment


class _StrictLoader(yaml.SafeLoader):
    """YAML in which a key stands once. The last of two would win silently."""

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Any, Any]:
        keys = [self.construct_object(key, deep=True) for key, _ in node.value if key.tag != "tag:yaml.org,2002:merge"]
        repeated = sorted({str(key) for key in keys if keys.count(key) > 1})
        if repeated:
            raise yaml.constructor.ConstructorError(None, None, f"repeated key {repeated[0]}", node.start_mark)
        return super().construct_mapping(node, deep)


def load_yaml(path: Path) -> Any:
    """The one document of a file."""
    return yaml.load(path.read_text(encoding="utf-8"), _StrictLoader)


def secret_settings() -> set[str]:
    """The settings that are secret, by their type."""
    return {name for name, field in Settings.model_fields.items() if _holds_secret(field.annotation)}


def _holds_secret(annotation: Any) -> bool:
    return annotation is SecretStr or any(_holds_secret(part) for part in get_args(annotation))


def setting_of(variable: str) -> str | None:
    """The setting that a variable sets; None when it sets none."""
    name = variable.removeprefix(PREFIX).lower()
    return name if variable.startswith(PREFIX) and name in Settings.model_fields else None


def unknown_variables(environment: Mapping[str, str]) -> list[str]:
    """Variables that no setting reads."""
    return [name for name in environment if setting_of(name) is None and name != SECRETS_DIR]


def settings_from(environment: Mapping[str, str], secrets: set[str]) -> Settings | str:
    """The settings of a process with this environment and these secrets, or the line with which it would stop."""
    return _settings_from(frozenset(environment.items()), frozenset(secrets))


@cache
def _settings_from(environment: frozenset[tuple[str, str]], secrets: frozenset[str]) -> Settings | str:
    values = {f"{PREFIX}{name.upper()}": PLACEHOLDERS.get(name, "placeholder") for name in secrets}
    plain = {name: value for name, value in environment if name != SECRETS_DIR}
    with patch.dict(os.environ, plain | values, clear=True):
        try:
            return load_settings()
        except SettingsError as error:
            return error.message


def image_fault(image: str) -> str | None:
    """What is wrong with an image's name: no exact tag, or for one of ours another version than the code's."""
    name, _, tag = image.partition("@")[0].rpartition(":")
    if not name or "/" in tag or not any(character.isdigit() for character in tag):
        return f"{image} is not pinned"
    if name in OWN_IMAGES and tag != OWN_TAG:
        return f"{image} is not version {OWN_TAG}"
    return None


def image_files(dockerfile: str, directory: Path) -> None:
    """Puts into a directory what the Dockerfile's COPY instructions put into /app."""
    copied = re.findall(r"(?m)^COPY (\S+) /app/", (ROOT / dockerfile).read_text(encoding="utf-8"))
    for source in copied:
        ignored = shutil.ignore_patterns("__pycache__", "*.pyc")
        shutil.copytree(ROOT / source, directory / source, ignore=ignored)

"""The peers work with the same drivers as the product."""

import re
from pathlib import Path

ROOT = Path(__file__).parents[3]
SHARED = ("httpx", "neo4j", "qdrant-client", "wordllama", "hiredis")


def versions(name: str) -> dict[str, str]:
    """Package -> version of a lock."""
    text = (ROOT / "requirements" / f"{name}.txt").read_text()
    return dict(re.findall(r"^([a-z0-9-]+)==([^ ;\\]+)", text, re.MULTILINE))


def test_shared_packages_have_the_same_versions() -> None:
    peers, product = versions("bench"), versions("dev")
    assert {name: peers[name] for name in SHARED} == {name: product[name] for name in SHARED}


def test_the_peers_are_no_dependency_of_the_product() -> None:
    assert not {"arq", "dramatiq"} & {package for name in ("api", "worker", "dev") for package in versions(name)}

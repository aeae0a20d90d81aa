"""Rules on Prometheus and Grafana in the Compose file: what they are told of is there, and where they look for it."""

import json
from collections.abc import Iterator
from pathlib import Path, PurePosixPath

from tests.deploy.compose import DIRECTORY, Project, Service
from tests.deploy.facts import load_yaml

PROVISIONING = PurePosixPath("/etc/grafana/provisioning")


def files_at(service: Service, pattern: PurePosixPath) -> list[Path]:
    """The files of the repository that a service sees under a pattern."""
    found: list[Path] = []
    for entry in service["volumes"]:
        source, target = entry.split(":")[:2]
        if PurePosixPath(target) == pattern.parent:
            found += (DIRECTORY / source).glob(pattern.name)
        elif PurePosixPath(target).match(str(pattern)) and (DIRECTORY / source).is_file():
            found.append(DIRECTORY / source)
    return found


def prometheus(project: Project) -> Iterator[str]:
    """Prometheus asks services that are there, where they answer, over a network that both are on, and finds rules."""
    services = project["services"]
    configuration = load_yaml(DIRECTORY / "prometheus.yaml")
    for job in configuration["scrape_configs"]:
        for target in [target for entry in job["static_configs"] for target in entry["targets"]]:
            host, _, port = target.partition(":")
            if host not in services or not any(entry.endswith(f":{port}") for entry in services[host].get("ports", [])):
                yield f"prometheus: nothing answers at {target}"
            elif not set(services[host]["networks"]) & set(services["prometheus"]["networks"]):
                yield f"prometheus: shares no network with {host}"
    for pattern in map(PurePosixPath, configuration["rule_files"]):
        if not files_at(services["prometheus"], pattern):
            yield f"prometheus: there are no rules at {pattern}"


def grafana(project: Project) -> Iterator[str]:
    """Grafana finds a provider, dashboards where it looks for them, and the data source that each of them names."""
    service = project["services"]["grafana"]
    sources = [
        source["uid"]
        for path in files_at(service, PROVISIONING / "datasources" / "*.yaml")
        for source in load_yaml(path)["datasources"]
    ]
    providers = [
        provider
        for path in files_at(service, PROVISIONING / "dashboards" / "*.yaml")
        for provider in load_yaml(path)["providers"]
    ]
    if not providers:
        yield "grafana: no provider of dashboards"
    for provider in providers:
        dashboards = files_at(service, PurePosixPath(provider["options"]["path"]) / "*.json")
        if not dashboards:
            yield f"grafana: there are no dashboards in {provider['options']['path']}"
        for dashboard in dashboards:
            for uid in sorted(set(_data_sources(json.loads(dashboard.read_text(encoding="utf-8")))) - set(sources)):
                yield f"grafana: {dashboard.name} asks the data source {uid}, which is not there"


def _data_sources(part: object) -> Iterator[str]:
    """The data sources that a part of a dashboard names; Grafana's own, and variables, left out."""
    if isinstance(part, dict):
        source = part.get("datasource")
        if isinstance(source, dict) and source.get("type") == "prometheus" and not str(source["uid"]).startswith("$"):
            yield str(source["uid"])
        for value in part.values():
            yield from _data_sources(value)
    elif isinstance(part, list):
        for value in part:
            yield from _data_sources(value)

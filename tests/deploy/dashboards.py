"""The dashboards' queries, as they are in the files."""

import json
from collections.abc import Iterator
from typing import NamedTuple

from tests.servers.prometheus import MONITORING

DIRECTORY = MONITORING / "grafana" / "dashboards"


class PanelQuery(NamedTuple):
    """One query, with Grafana's variables still in it."""

    dashboard: str
    panel: str
    expression: str

    def filled(self, interval: str, worker_type: str = ".*") -> str:
        """What Prometheus gets."""
        return self.expression.replace("$__rate_interval", interval).replace("$type", worker_type)


def queries() -> Iterator[PanelQuery]:
    """Of every panel."""
    for path in sorted(DIRECTORY.glob("*.json")):
        for panel in json.loads(path.read_text())["panels"]:
            for target in panel["targets"]:
                yield PanelQuery(path.stem, panel["title"], target["expr"])

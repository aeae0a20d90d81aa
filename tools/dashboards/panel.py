"""Dashboards and their panels, and how Grafana reads them."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

SOURCE = {"type": "prometheus", "uid": "prometheus"}
COLUMNS, WIDTH, HEIGHT, STAT_WIDTH, STAT_HEIGHT = 24, 12, 8, 4, 4

Query = tuple[str, str]
"""An expression and its legend."""


@dataclass(frozen=True, slots=True)
class Panel:
    """A chart, or one number. `unit` is one of Grafana's."""

    title: str
    unit: str
    queries: Sequence[Query]
    about: str
    stat: bool = False


@dataclass(frozen=True, slots=True)
class Dashboard:
    """One file. With `by_type` it has a choice of worker types, `$type` in its queries."""

    name: str
    title: str
    panels: Sequence[Panel]
    by_type: bool = False


def rendered(dashboard: Dashboard) -> dict[str, Any]:
    """As Grafana reads it."""
    return {
        "uid": f"codeforge-{dashboard.name}", "title": dashboard.title, "tags": ["codeforge"], "schemaVersion": 39,
        "editable": False, "refresh": "15s", "time": {"from": "now-1h", "to": "now"}, "timezone": "browser",
        "templating": {"list": [_type_choice()] if dashboard.by_type else []},
        "panels": _laid_out(dashboard.panels),
    }  # fmt: skip


def _type_choice() -> Mapping[str, Any]:
    values = "label_values(codeforge_patience_seconds, type)"
    return {
        "name": "type", "label": "Worker type", "type": "query", "datasource": SOURCE, "query": values,
        "definition": values, "multi": True, "includeAll": True, "current": {"text": "All", "value": "$__all"},
        "refresh": 2,
    }  # fmt: skip


def _laid_out(panels: Sequence[Panel]) -> list[dict[str, Any]]:
    x = y = 0
    row, placed = 0, list[dict[str, Any]]()
    for number, panel in enumerate(panels, start=1):
        width, height = (STAT_WIDTH, STAT_HEIGHT) if panel.stat else (WIDTH, HEIGHT)
        if x + width > COLUMNS or (row and height != row):
            x, y = 0, y + row
        row = height
        placed.append(_panel(number, panel, {"x": x, "y": y, "w": width, "h": height}))
        x += width
    return placed


def _panel(number: int, panel: Panel, place: Mapping[str, int]) -> dict[str, Any]:
    return {
        "id": number, "title": panel.title, "description": panel.about, "datasource": SOURCE, "gridPos": place,
        "type": "stat" if panel.stat else "timeseries",
        "fieldConfig": {"defaults": {"unit": panel.unit, "min": 0}, "overrides": []},
        "targets": [
            {"refId": chr(ord("A") + place), "expr": expression, "legendFormat": legend or "__auto"}
            for place, (expression, legend) in enumerate(panel.queries)
        ],
    }  # fmt: skip


def text(dashboard: Dashboard) -> str:
    """The file's content."""
    return json.dumps(rendered(dashboard), indent=2) + "\n"

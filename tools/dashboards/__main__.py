"""The program; see the package."""

from pathlib import Path

from tools.dashboards.means import AUTOSCALING, MONEY, STORES
from tools.dashboards.panel import text
from tools.dashboards.tasks import OVERVIEW, WORKER_TYPE

DIRECTORY = Path(__file__).parents[2] / "deploy" / "monitoring" / "grafana" / "dashboards"
DASHBOARDS = (OVERVIEW, WORKER_TYPE, MONEY, STORES, AUTOSCALING)


def main() -> None:
    """Writes all files, and removes what is none of them."""
    for path in DIRECTORY.glob("*.json"):
        path.unlink()
    for dashboard in DASHBOARDS:
        (DIRECTORY / f"{dashboard.name}.json").write_text(text(dashboard))


if __name__ == "__main__":
    main()

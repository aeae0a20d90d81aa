"""Writes Grafana's dashboards: `.venv/bin/python -m tools.dashboards`.

The files in deploy/monitoring/grafana/dashboards are this program's output; a test holds them to that.
"""

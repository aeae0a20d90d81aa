"""A worker that dies on order: `celery -A tests.faults.worker worker`."""

from tests.faults.breaking_points import install

install()

from workers.main import app  # noqa: E402  # it reads what was installed

__all__ = ["app"]

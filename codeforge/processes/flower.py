"""Flower as a process: Celery's own, started with what the settings say."""

import os
import sys

from codeforge.errors import SettingsError
from codeforge.sentinel import is_sentinel
from codeforge.settings import PREFIX, Settings, process_environment, require_port


def serve(settings: Settings) -> None:
    """Becomes Flower: the same process, so that signals reach it. Raises SettingsError."""
    command, environment = flower_command(settings)
    require_port("FLOWER_PORT", settings.flower_host, settings.flower_port)
    os.execve(command[0], command, environment)  # noqa: S606  # no shell is the point


def flower_command(settings: Settings) -> tuple[list[str], dict[str, str]]:
    """The command line and the whole environment. What is secret is in the latter only.

    Raises SettingsError without FLOWER_BASIC_AUTH: Flower can shut workers down, so nobody gets in without a password.
    """
    if settings.flower_basic_auth is None:
        raise SettingsError(f"{PREFIX}FLOWER_BASIC_AUTH: needed, as user:password")
    behind_sentinel = is_sentinel(settings.redis_address)
    application = ["-A", "codeforge.broker.sentinel_app"] if behind_sentinel else []
    command = [sys.executable, "-m", "celery", *application, "flower"]
    command += [f"--address={settings.flower_host}", f"--port={settings.flower_port}"]
    command.append(f"--max-tasks={settings.flower_max_tasks}")
    own = {
        f"{PREFIX}REDIS_URL" if behind_sentinel else "CELERY_BROKER_URL": settings.redis_address,
        "FLOWER_BASIC_AUTH": settings.flower_basic_auth.get_secret_value(),
        "PYTHONUNBUFFERED": "1",
    }
    return command, process_environment() | own

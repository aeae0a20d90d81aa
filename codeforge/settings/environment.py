"""What child processes get of this process's environment."""

import os
from collections.abc import Iterable, Mapping

from codeforge.settings.names import BARE_NAMES, PREFIX

PASSED_ON = frozenset(
    {
        "PATH", "HOME", "USER", "LOGNAME", "LANG", "LANGUAGE", "TZ", "TMPDIR", "LD_LIBRARY_PATH", "DYLD_LIBRARY_PATH",
        "SSL_CERT_FILE", "SSL_CERT_DIR", "PYTHONDONTWRITEBYTECODE",
    }
)  # fmt: skip
"""What a child process needs besides the settings: where programs, libraries and certificates are."""

PASSED_ON_PREFIXES = ("LC_", "OMP_", "OPENBLAS_")


def process_environment() -> dict[str, str]:
    """What any child process needs of this one's environment: no setting, and so no secret."""
    return {
        name: value
        for name, value in os.environ.items()
        if name.upper() in PASSED_ON or name.upper().startswith(PASSED_ON_PREFIXES)
    }


def settings_environment(overrides: Mapping[str, str], without: Iterable[str] = ()) -> dict[str, str]:
    """The settings of this process's environment as a child's, with `overrides` (names without the prefix) in place.

    `without` names settings (no prefix, any case) that are left out in both their spellings.
    """
    given = {name.upper(): value for name, value in overrides.items()}
    dropped = {name.upper() for name in (*without, *given)}
    inherited = {
        name: value
        for name, value in os.environ.items()
        if (name.upper() in BARE_NAMES or name.upper().startswith(PREFIX))
        and name.upper().removeprefix(PREFIX) not in dropped
    }
    return inherited | {PREFIX + name: value for name, value in given.items()}


def prefixed_names() -> set[str]:
    """The variables of this process that are spelled like settings, in capitals."""
    return {name.upper() for name in os.environ if name.upper().startswith(PREFIX)}

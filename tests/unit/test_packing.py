"""Commands go out as the driver itself would write them."""

import pytest
from redis.asyncio.connection import Connection

from codeforge.ledger.connection import connect

COMMANDS: tuple[tuple[str | bytes | float, ...], ...] = (
    ("GET", "key"),
    ("SCRIPT LOAD", "return 1"),
    (b"CONFIG GET", b"maxmemory"),
    ("EVALSHA", "0" * 40, 0, 17, -1, 10**20, 0.1, 2.5, 1e22, "naïve \u2713", b"\x00\r\n\xff", ""),
    ("SET", "large", b"x" * 100_000),
)


@pytest.mark.parametrize("command", COMMANDS, ids=lambda command: str(command[0]))
def test_command_is_written_as_the_driver_writes_it(command: tuple[str | bytes | float, ...]) -> None:
    pool = connect("redis://127.0.0.1:1/0", max_connections=1).connection_pool
    ours, usual = pool.connection_class(**pool.connection_kwargs), Connection(**pool.connection_kwargs)
    assert type(ours).pack_command is not Connection.pack_command
    assert b"".join(ours.pack_command(*command)) == b"".join(usual.pack_command(*command))

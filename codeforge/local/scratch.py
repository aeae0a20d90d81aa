"""A Valkey of its own for one measurement: nothing of it is left afterwards."""

import asyncio
import secrets
import tempfile
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

from pydantic import SecretStr

from codeforge.errors import StackError
from codeforge.local.child import Child
from codeforge.local.ports import settle_ports
from codeforge.local.valkey import valkey_spec, valkey_url

READY_S = 10.0
STOP_S = 5.0


@asynccontextmanager
async def scratch_valkey() -> AsyncIterator[str]:
    """Its address. Raises StackError when it cannot be started."""
    password = SecretStr(secrets.token_urlsafe())
    with tempfile.TemporaryDirectory(prefix="codeforge-scratch-") as directory:
        port = settle_ports({"redis": 0})["redis"]
        spec = valkey_spec(Path(directory), port, password)
        child = await Child.start(spec, {}, Path(directory) / "valkey.log")
        try:
            try:
                ready = await asyncio.wait_for(child.become_ready(), READY_S)
            except TimeoutError:
                ready = False
            if not ready:
                raise StackError("the scratch Valkey does not start")
            yield valkey_url(port, password)
        finally:
            child.kill_group()
            await asyncio.wait_for(child.exited(), STOP_S)

"""A TCP proxy on loopback that can hold what passes, or break off at a chosen message."""

import asyncio
import contextlib
import threading
from collections.abc import Callable
from dataclasses import dataclass
from types import TracebackType
from typing import Self

CHUNK = 65_536
STOP_S = 10.0


@dataclass
class Trap:
    """Springs once, on the first connection whose client sends `mark`: when that has been passed on, or, if it is to be
    `answered`, when the answer is there, which is then not passed on. The connection ends with it. `spring` is called
    in a thread."""

    mark: bytes
    answered: bool
    spring: Callable[[], None]


class Proxy:
    """Passes connections on to `port`, in a thread of its own. While it is `blackholed`, connections open and nothing
    arrives, as on a network that drops packets; afterwards the held bytes arrive late."""

    def __init__(self, port: int) -> None:
        self._upstream = port
        self.port = 0
        self._loop = asyncio.new_event_loop()
        self._open = asyncio.Event()
        self._open.set()
        self._trap: Trap | None = None
        self._started = threading.Event()
        self._thread = threading.Thread(target=self._serve, name="proxy", daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        self._started.wait(STOP_S)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._loop.call_soon_threadsafe(self._stop.set)
        self._thread.join(STOP_S)

    def blackhole(self, on: bool) -> None:
        """From now on nothing passes, or all does."""
        self._loop.call_soon_threadsafe(self._open.clear if on else self._open.set)

    def lay(self, trap: Trap) -> None:
        """In the place of the one before."""
        self._trap = trap

    def _serve(self) -> None:
        asyncio.set_event_loop(self._loop)
        self._loop.run_until_complete(self._main())
        self._loop.close()

    async def _main(self) -> None:
        self._stop = asyncio.Event()
        server = await asyncio.start_server(self._connected, "127.0.0.1", 0)
        self.port = server.sockets[0].getsockname()[1]
        self._started.set()
        await self._stop.wait()
        server.close()
        pending = [task for task in asyncio.all_tasks() if task is not asyncio.current_task()]
        for task in pending:
            task.cancel()
        await asyncio.gather(*pending, return_exceptions=True)

    async def _connected(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await self._open.wait()
        try:
            up_reader, up_writer = await asyncio.open_connection("127.0.0.1", self._upstream)
        except OSError:
            writer.close()
            return
        armed: list[Trap] = []
        await asyncio.gather(
            self._pump(reader, up_writer, self._request(armed)), self._pump(up_reader, writer, self._answer(armed))
        )

    def _request(self, armed: list[Trap]) -> Callable[[bytes], Trap | None]:
        """Answers the trap that a request springs; one that awaits the answer goes to `armed`."""

        def passing(data: bytes) -> Trap | None:
            trap = self._trap
            if trap is None or trap.mark not in data:
                return None
            self._trap = None
            if not trap.answered:
                return trap
            armed.append(trap)
            return None

        return passing

    def _answer(self, armed: list[Trap]) -> Callable[[bytes], Trap | None]:
        return lambda _: armed.pop() if armed else None

    async def _pump(
        self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, passing: Callable[[bytes], Trap | None]
    ) -> None:
        with contextlib.suppress(OSError):
            while data := await reader.read(CHUNK):
                await self._open.wait()
                trap = passing(data)
                if trap is None or not trap.answered:
                    writer.write(data)
                    await writer.drain()
                if trap is not None:
                    await asyncio.to_thread(trap.spring)
                    break
        writer.close()

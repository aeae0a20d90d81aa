"""A local web site with well and badly behaved pages, on a loopback port, in a thread of its own.

As a program (`python -m tests.servers.site --port 0`) it prints its address and serves until it is ended.
"""

import argparse
import ssl
import threading
from collections import Counter
from types import TracebackType
from typing import Self

from tests.servers.site_handler import SiteServer
from tests.servers.site_routes import respond

STOP_S = 10.0


class Site:
    """The site, from entering the context to leaving it. `tls` makes it speak HTTPS."""

    def __init__(self, port: int = 0, *, tls: ssl.SSLContext | None = None) -> None:
        self._server = SiteServer(port, respond)
        if tls is not None:
            self._server.socket = tls.wrap_socket(self._server.socket, server_side=True, do_handshake_on_connect=False)
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.05,), name="site", daemon=True)

    @property
    def port(self) -> int:
        """Its TCP port."""
        return self._server.server_port

    @property
    def base_url(self) -> str:
        """Its address without a path."""
        return f"http://127.0.0.1:{self.port}"

    @property
    def hits(self) -> Counter[str]:
        """How often each path was asked for."""
        return self._server.hits

    @property
    def most_at_once(self) -> int:
        """How many requests were ever under way together."""
        return self._server.most_at_once

    @property
    def times(self) -> dict[str, list[float]]:
        """When each path was asked for, by `time.monotonic()`."""
        return self._server.times

    @property
    def pages(self) -> dict[str, str]:
        """Pages that a test adds, by their paths."""
        return self._server.pages

    @property
    def page_s(self) -> float:
        """How many seconds each of those takes."""
        return self._server.page_s

    @page_s.setter
    def page_s(self, seconds: float) -> None:
        self._server.page_s = seconds

    @property
    def robots(self) -> str | None:
        """What its robots.txt says; None where there is none."""
        return self._server.robots

    @robots.setter
    def robots(self, text: str | None) -> None:
        self._server.robots = text

    @property
    def connections(self) -> int:
        """How many connections were accepted."""
        return self._server.connections

    def url(self, path: str = "/") -> str:
        """The address of a page."""
        return self.base_url + path

    def serve(self) -> None:
        """Serves in this thread until the process ends."""
        self._server.serve_forever()

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._server.stopping.set()
        self._server.shutdown()
        self._server.server_close()
        self._thread.join(STOP_S)


def main() -> None:
    """Serves until it is ended."""
    parser = argparse.ArgumentParser(description="A local site for tests and demos.")
    parser.add_argument("--port", type=int, default=0)
    site = Site(parser.parse_args().port)
    print(site.base_url, flush=True)  # noqa: T201  # a program's output
    site.serve()


if __name__ == "__main__":
    main()

"""The ports of a local stack: which options there are, and whether their ports can be had."""

import errno
import os
import random
import socket
from collections.abc import Mapping
from contextlib import ExitStack
from dataclasses import dataclass

from codeforge.errors import StackError

LOOPBACK = "127.0.0.1"
ATTEMPTS = 200


@dataclass(frozen=True, slots=True)
class PortOption:
    """One port of the stack. `option` is the command line's name for it."""

    name: str
    option: str
    default: int
    help: str


PORT_OPTIONS: dict[str, PortOption] = {
    port.name: port
    for port in (
        PortOption("api", "--port", 8080, "The API's port."),
        PortOption("flower", "--flower-port", 5555, "Flower's port."),
        # Each engine's usual port stays free for a real engine on the same machine.
        PortOption("redis", "--redis-port", 6390, "The embedded Valkey's port."),
        PortOption("bolt", "--bolt-port", 7690, "The embedded graph's Bolt port."),
        PortOption("graph_http", "--graph-http-port", 2490, "The embedded graph's HTTP port."),
        PortOption("qdrant", "--qdrant-port", 6343, "The embedded Qdrant's REST port."),
        PortOption("llm", "--llm-port", 8090, "The local model's port, with --llm local."),
    )
}

FREE_RANGE = (20_000, 32_700)
"""Where a free port is looked for: below the range from which Linux and macOS take the ports of outgoing
connections, so that none of those takes it between our look and the engine's start."""


def settle_ports(wanted: Mapping[str, int], hosts: Mapping[str, str] | None = None) -> dict[str, int]:
    """Checks that every wanted port (name -> number, names of `PORT_OPTIONS`) is free, and finds one for each 0.

    All are held until the last is settled, so that no two are the same. `hosts` gives the address to bind where it is
    not 127.0.0.1. Raises StackError with one line that names the option.
    """
    hosts = hosts or {}
    settled: dict[str, int] = {}
    with ExitStack() as held:
        for name in sorted(wanted, key=lambda name: wanted[name] == 0):  # the chosen ones first
            number, host = wanted[name], hosts.get(name, LOOPBACK)
            try:
                probe = _bind(host, number) if number else _bind_free(host)
            except OSError as error:
                raise _refusal(name, number, host, settled, error) from error
            held.enter_context(probe)
            settled[name] = probe.getsockname()[1]
    return settled


def _bind(host: str, number: int) -> socket.socket:
    family, kind, protocol, _, address = socket.getaddrinfo(host, number, type=socket.SOCK_STREAM)[0]
    probe = socket.socket(family, kind, protocol)
    try:
        # A port whose last connections are in TIME_WAIT is free: the engines bind it in the same way.
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        probe.bind(address)
        probe.listen(1)  # on Linux two sockets with SO_REUSEADDR may bind one port until one of them listens
    except OSError:
        probe.close()
        raise
    return probe


def _bind_free(host: str) -> socket.socket:
    chooser = random.SystemRandom()
    for _ in range(ATTEMPTS):
        try:
            return _bind(host, chooser.randint(*FREE_RANGE))
        except OSError as error:
            if error.errno != errno.EADDRINUSE:
                raise
    raise OSError(errno.EADDRINUSE, f"no free port between {FREE_RANGE[0]} and {FREE_RANGE[1]}")


def _refusal(name: str, number: int, host: str, settled: Mapping[str, int], error: OSError) -> StackError:
    option = PORT_OPTIONS[name].option
    twin = next((other for other, taken in settled.items() if taken == number), None)
    if twin is not None:
        reason = f"is the same as {PORT_OPTIONS[twin].option}'s"
    elif error.errno == errno.EADDRINUSE:
        reason = f"is already in use on {host}"
    else:
        reason = f"cannot be used on {host}: {os.strerror(error.errno) if error.errno else error}"
    return StackError(f"port {number} {reason}; choose another with {option} (0 takes a free one)", code="port_in_use")

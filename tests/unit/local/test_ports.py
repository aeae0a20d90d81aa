"""Which ports a stack gets."""

import socket
from collections.abc import Iterator

import pytest

from codeforge.errors import StackError
from codeforge.local.ports import PORT_OPTIONS, settle_ports


@pytest.fixture
def taken() -> Iterator[int]:
    with socket.socket() as server:
        server.bind(("127.0.0.1", 0))
        server.listen()
        yield server.getsockname()[1]


def test_zero_takes_a_free_port_for_each() -> None:
    ports = settle_ports(dict.fromkeys(PORT_OPTIONS, 0))
    assert len(set(ports.values())) == len(PORT_OPTIONS)
    for port in ports.values():
        with socket.socket() as server:
            server.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)  # as every server does; see below
            server.bind(("127.0.0.1", port))
            server.listen()


def test_a_port_in_use_is_named_with_its_option(taken: int) -> None:
    with pytest.raises(StackError) as refused:
        settle_ports({"api": 0, "bolt": taken})
    assert refused.value.code == "port_in_use"
    assert "\n" not in str(refused.value)
    assert f"port {taken} is already in use" in str(refused.value)
    assert "--bolt-port" in str(refused.value)


def test_one_port_for_two_parts_is_refused() -> None:
    free = settle_ports({"api": 0})["api"]
    with pytest.raises(StackError, match=r"is the same as --port's.*--flower-port"):
        settle_ports({"api": free, "flower": free})


def test_a_port_that_was_just_closed_is_free() -> None:
    with socket.socket() as server:
        server.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)  # as every server does
        server.bind(("127.0.0.1", 0))
        server.listen()
        port = server.getsockname()[1]
        with socket.create_connection(("127.0.0.1", port)) as client, server.accept()[0] as accepted:
            accepted.close()  # this side closes first, so that its port stays in TIME_WAIT
            client.recv(1)
    assert settle_ports({"redis": port}) == {"redis": port}


def test_an_address_of_another_machine_is_refused() -> None:
    with pytest.raises(StackError, match=r"cannot be used on 192\.0\.2\.1"):
        settle_ports({"api": 0}, {"api": "192.0.2.1"})


def test_the_defaults_leave_the_engines_usual_ports_free() -> None:
    defaults = [port.default for port in PORT_OPTIONS.values()]
    assert len(set(defaults)) == len(defaults)
    assert not {6379, 16379, 26379, 7687, 7474, 2480, 6333, 6334, 6335} & set(defaults)

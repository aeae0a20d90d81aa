"""The embedded graph store: ArcadeDB from the `arcadedb-embedded` wheel, with its own Java runtime, as a process of its
own that speaks Bolt. Settings are ArcadeDB's `GlobalConfiguration`, given as Java system properties."""

from importlib.util import find_spec
from pathlib import Path

from pydantic import SecretStr

from codeforge.errors import StackError
from codeforge.local.bolt_probe import bolt_answers
from codeforge.local.data_dir import write_private
from codeforge.local.ports import LOOPBACK
from codeforge.local.process import ProcessSpec

DATABASE = "codeforge"
USER = "root"
MIN_PASSWORD = 8

UNUSED = ("console", "graphql", "integration", "mcp", "postgresw", "python-bridge", "redisw")
"""Modules of ArcadeDB that are left out: each would be another open interface, or nothing."""

# The second compiler about halves what a result takes. As the JVM has it, it costs as much as it gains for the first
# tens of thousands of results. So it waits for ten times the calls, and compiles less of what a method calls into it:
# a quarter of the cost for code that is as fast (docs/performance/profiles.md).
SECOND_COMPILER = (
    "-XX:Tier4InvocationThreshold=50000",
    "-XX:Tier4MinInvocationThreshold=6000",
    "-XX:Tier4CompileThreshold=150000",
    "-XX:Tier4BackEdgeThreshold=400000",
    "-XX:FreqInlineSize=100",
    "-XX:InlineSmallCode=1000",
    "-XX:MaxInlineLevel=9",
)

JVM = (
    "-Xms32m",
    "-Xmx256m",
    "-Xss512k",
    "-XX:+UseSerialGC",
    *SECOND_COMPILER,
    "-XX:MaxMetaspaceSize=128m",
    "-XX:ReservedCodeCacheSize=48m",
    "-XX:+ExitOnOutOfMemoryError",  # the supervisor starts it again; a server without memory answers nobody
    "-XX:-UsePerfData",
    "-Djava.awt.headless=true",
    # What ArcadeDB's own start script and jpms.args ask for.
    "--add-modules=jdk.incubator.vector",
    "--add-exports=java.management/sun.management=ALL-UNNAMED",
    "--add-opens=java.base/java.util.concurrent.atomic=ALL-UNNAMED",
    "--add-opens=java.base/java.nio.channels.spi=ALL-UNNAMED",
    "--add-opens=java.base/java.lang=ALL-UNNAMED",
    "--enable-native-access=ALL-UNNAMED",
)

# The supervisor keeps what a child prints; ArcadeDB would write it to files of its own too, up to a gigabyte.
LOGGING = """\
handlers = java.util.logging.ConsoleHandler
.level = INFO
io.undertow.level = WARNING
org.xnio.level = WARNING
org.jboss.level = WARNING
java.util.logging.ConsoleHandler.level = INFO
java.util.logging.ConsoleHandler.formatter = com.arcadedb.log.LogFormatter
"""


def arcadedb_spec(data_dir: Path, bolt_port: int, http_port: int, password: SecretStr) -> ProcessSpec:
    """ArcadeDB on loopback, its data in `data_dir`, with one database `codeforge` that connections get who name none.

    The user is `root`. The password has at least 8 characters and may change from start to start: ArcadeDB keeps the
    one of its first start, so its file of users, which holds nobody else, is removed here. It is handed over in the
    environment and never on the command line. Each commit is synced to the disk. ArcadeDB cannot run without its HTTP
    interface, which wants the same password. It ends on SIGTERM, and repairs its data at the start after a SIGKILL.
    Raises StackError `engine_missing` when the wheel is not installed, and ValueError for a shorter password.
    """
    secret = password.get_secret_value()
    if len(secret) < MIN_PASSWORD:
        raise ValueError(f"the password of ArcadeDB needs {MIN_PASSWORD} characters")
    wheel = _wheel()
    directory = data_dir.resolve()
    directory.mkdir(parents=True, exist_ok=True, mode=0o700)
    (directory / "config" / "server-users.jsonl").unlink(missing_ok=True)
    logging = directory / "logging.properties"
    write_private(logging, LOGGING)
    settings = {
        "java.util.logging.config.file": logging,
        "arcadedb.profile": "low-ram",
        "arcadedb.server.rootPath": directory,
        "arcadedb.server.logsDirectory": directory / "log",
        "arcadedb.server.defaultDatabases": f"{DATABASE}[]",
        "arcadedb.server.plugins": "Bolt:com.arcadedb.bolt.BoltProtocolPlugin",
        "arcadedb.server.httpIncomingHost": LOOPBACK,
        "arcadedb.server.httpIncomingPort": http_port,
        "arcadedb.bolt.host": LOOPBACK,
        "arcadedb.bolt.port": bolt_port,
        "arcadedb.bolt.defaultDatabase": DATABASE,
        "arcadedb.txWalFlush": 1,
        # Rows grow right after they are made (a MERGE makes a node of its id alone): to look for room in all pages
        # for them took a seventh of its time. What deleted rows leave is used again less.
        "arcadedb.bucketReuseSpaceMode": "low",
        # It runs four queries at once. The profile lets eight more wait and refuses the rest, for which the driver
        # comes again after seconds. Each of our processes has up to 16 under way, and waits for ten seconds at most.
        "arcadedb.queryQueueMaxSize": 64,
        "arcadedb.serverMetrics": "false",
        # What its production mode sets too; that mode also hides why it refused a statement.
        "arcadedb.studio.enabled": "false",
        "arcadedb.opencypher.loadCsv.allowFileUrls": "false",
    }
    properties = [f"-D{name}={value}" for name, value in settings.items()]

    async def ready() -> bool:
        return await bolt_answers(LOOPBACK, bolt_port, USER, secret, DATABASE)

    argv = (str(wheel / "jre" / "bin" / "java"), *JVM, *properties, "-cp", _class_path(wheel), _MAIN)
    return ProcessSpec("graph", argv, ready, directory, {"arcadedb.server.rootPassword": secret})


_MAIN = "com.arcadedb.server.ArcadeDBServer"


def _wheel() -> Path:
    """The package's directory. The package itself is not imported: it would look for a Java to load into Python."""
    found = find_spec("arcadedb_embedded")
    if found is None or found.origin is None:
        raise StackError("no embedded graph store here: install the arcadedb-embedded package", code="engine_missing")
    return Path(found.origin).parent


def _class_path(wheel: Path) -> str:
    left_out = tuple(f"arcadedb-{module}" for module in UNUSED)
    return ":".join(str(jar) for jar in sorted((wheel / "jars").glob("*.jar")) if not jar.name.startswith(left_out))

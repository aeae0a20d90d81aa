"""What `codeforge doctor` asks a graph server: who are you, and do you let me in?"""

from neo4j import AsyncGraphDatabase
from neo4j.exceptions import AuthError, ConfigurationError, DriverError, Neo4jError
from pydantic import SecretStr

from codeforge.errors import GraphUnavailable, SettingsError


async def graph_server(uri: str, user: str, password: SecretStr | None, timeout_s: float) -> str:
    """The server's name and version, such as `Neo4j/5.26.0`. Raises GraphUnavailable that says why, and SettingsError
    for an address that is none."""
    auth = (user, password.get_secret_value()) if password is not None else None
    try:
        async with AsyncGraphDatabase.driver(
            uri, auth=auth, connection_timeout=timeout_s, max_transaction_retry_time=0.0, telemetry_disabled=True
        ) as driver:
            return (await driver.get_server_info()).agent
    except (ConfigurationError, ValueError) as error:
        raise SettingsError("CODEFORGE_NEO4J_URI: expected bolt://host:port or neo4j://host:port") from error
    except AuthError as error:
        raise GraphUnavailable("the server refuses the user or the password", retryable=False) from error
    except (DriverError, Neo4jError, OSError) as error:
        raise GraphUnavailable(f"the server cannot be reached ({type(error).__name__})") from error

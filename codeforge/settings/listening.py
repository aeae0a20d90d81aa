"""Whether a port that a process is to listen on can be had."""

import errno
import socket

from codeforge.errors import SettingsError
from codeforge.settings.names import PREFIX


def require_port(setting: str, host: str, port: int) -> None:
    """Raises SettingsError that names `setting` (no prefix) where the port cannot be had now: the servers themselves
    would say so in their own words, or with a traceback. Port 0 always can."""
    try:
        for family, kind, _, _, address in socket.getaddrinfo(host, port, type=socket.SOCK_STREAM):
            with socket.socket(family, kind) as probe:
                probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
                probe.bind(address)
    except OSError as error:
        if error.errno not in {errno.EADDRINUSE, errno.EACCES}:
            return  # of a name's addresses the servers pass over those that the machine has not
        raise SettingsError(f"{PREFIX}{setting}: {port} of {host} cannot be had: {error.strerror}") from error

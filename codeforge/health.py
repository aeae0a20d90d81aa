"""The probe of containers: `python -m codeforge.health TARGET [--max-age SECONDS]` exits with 0 for healthy, else 1.

`TARGET` is a health file, which its process touches every two seconds while its event loop turns, or an http URL that
must answer 200. Probes run all the time, so this imports next to nothing.
"""

import os
import sys
import time
from urllib.parse import urlsplit

MAX_AGE_S = 10.0
TIMEOUT_S = 2.0

USAGE = "usage: python -m codeforge.health FILE|URL [--max-age SECONDS]"


def main(arguments: list[str]) -> int:
    """The exit code: 0 healthy, 1 not (with a line that says why), 2 wrong usage."""
    match arguments:
        case [target]:
            max_age_s = MAX_AGE_S
        case [target, "--max-age", seconds] if seconds.replace(".", "", 1).isdigit():
            max_age_s = float(seconds)
        case _:
            sys.stderr.write(f"{USAGE}\n")
            return 2
    fault = url_fault(target) if target.startswith("http://") else file_fault(target, max_age_s)
    if fault is not None:
        sys.stderr.write(f"{target}: {fault}\n")
    return 0 if fault is None else 1


def file_fault(path: str, max_age_s: float) -> str | None:
    """What is wrong with a health file; None when it was touched within the last `max_age_s` seconds."""
    try:
        age_s = time.time() - os.stat(path).st_mtime
    except OSError as error:
        return error.strerror or type(error).__name__
    return None if age_s <= max_age_s else f"last touched {age_s:.0f} s ago"


def url_fault(url: str) -> str | None:
    """What is wrong with the answer to a GET; None for 200 within two seconds. Follows no redirect."""
    import http.client  # here, and not above: half of the run time of a probe that looks at a file

    parts = urlsplit(url)
    connection = http.client.HTTPConnection(parts.hostname or "", parts.port, timeout=TIMEOUT_S)
    try:
        connection.request("GET", parts.path or "/")
        status = connection.getresponse().status
    except (OSError, http.client.HTTPException) as error:
        return str(error) or type(error).__name__
    finally:
        connection.close()
    return None if status == 200 else f"answered {status}"


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))

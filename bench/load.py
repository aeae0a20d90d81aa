"""HTTP load by wrk (https://github.com/wg/wrk), which costs its core little: throughput and latencies of POSTs."""

import json
import re
import shutil
import subprocess
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

CLIENTS = 32
UNITS_MS = {"us": 0.001, "ms": 1.0, "s": 1_000.0, "m": 60_000.0}

SCRIPT = """\
wrk.method = "POST"
wrk.headers["Content-Type"] = "application/json"
{headers}
local file = io.open({body_file!r}, "rb")
wrk.body = file:read("*a")
file:close()
{request}
"""

KEYED = """\
local number, salt = 0, {salt!r}
request = function()
  number = number + 1
  wrk.headers["Idempotency-Key"] = salt .. number
  return wrk.format(nil, nil)
end
"""


@dataclass(frozen=True, slots=True)
class Load:
    """What came of one run; `refused` are answers that were no success, and broken connections."""

    per_s: float
    p50_ms: float
    p99_ms: float
    refused: int

    @property
    def figures(self) -> dict[str, float]:
        """For `Piece.add`. Raises RuntimeError when something was refused: the figure would be of errors."""
        if self.refused:
            raise RuntimeError(f"{self.refused} requests were not accepted")
        return {"per_s": self.per_s, "p50_ms": self.p50_ms, "p99_ms": self.p99_ms}


def post(
    directory: Path, url: str, body: Mapping[str, Any], seconds: float, *, salt: str | None = None,
    clients: int = CLIENTS, headers: Mapping[str, str] | None = None,
) -> Load:  # fmt: skip
    """So many clients that each send the next request when the last one is answered. With `salt` each request has an
    Idempotency-Key of its own. Raises RuntimeError without wrk."""
    wrk = shutil.which("wrk")
    if wrk is None:
        raise RuntimeError("wrk is not installed: apt-get install wrk")
    body_file, script = directory / "body.json", directory / "post.lua"
    body_file.write_text(json.dumps(body))
    more = "\n".join(
        f"wrk.headers[{json.dumps(name)}] = {json.dumps(value)}" for name, value in (headers or {}).items()
    )
    request = KEYED.format(salt=salt) if salt else ""
    script.write_text(SCRIPT.format(body_file=str(body_file), request=request, headers=more))
    command = [wrk, "-t1", f"-c{clients}", f"-d{max(1, round(seconds))}s", "--timeout", "30s", "--latency"]
    command += ["-s", str(script), url]
    ended = subprocess.run(command, capture_output=True, text=True, check=True, timeout=seconds + 60)
    return read(ended.stdout)


def read(text: str) -> Load:
    """wrk's report."""
    per_s = re.search(r"Requests/sec:\s+([0-9.]+)", text)
    assert per_s is not None, text
    errors = re.search(r"Socket errors: connect (\d+), read (\d+), write (\d+), timeout (\d+)", text)
    statuses = re.search(r"Non-2xx or 3xx responses: (\d+)", text)
    refused = sum(int(number) for number in errors.groups()) if errors else 0
    refused += int(statuses[1]) if statuses else 0
    return Load(float(per_s[1]), _percentile(text, "50"), _percentile(text, "99"), refused)


def _percentile(text: str, which: str) -> float:
    found = re.search(rf"^\s+{which}%\s+([0-9.]+)([a-z]+)", text, re.MULTILINE)
    assert found is not None, text
    return float(found[1]) * UNITS_MS[found[2]]

"""Results into both stores, one after another: embed, one transaction, one point. Prints the seconds that it took."""

import sys
import time
import uuid

from bench.model_server import CONTENT
from bench.peers.work import ThreadedWork, prepare_stores

ANSWER = {
    "model": "bench",
    "usage": {"prompt_tokens": 60, "completion_tokens": 120},
    "choices": [{"message": {"content": CONTENT}}],
}


def main() -> None:
    """The program."""
    prepare_stores()
    work = ThreadedWork()
    work.store(str(uuid.uuid4()), "warm", [ANSWER] * 3)
    began = time.monotonic()
    for _ in range(int(sys.argv[1]) - 1):
        work.store(str(uuid.uuid4()), "What is known of it?", [ANSWER] * 3)
    print(time.monotonic() - began)


if __name__ == "__main__":
    main()

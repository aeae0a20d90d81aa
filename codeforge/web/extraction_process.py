"""The child that reads pages: `python -m codeforge.web.extraction_process MEMORY_MB`, started by extractor.py.

It takes pages from standard input and answers on standard output, one after the other, until its parent closes the one
or is gone.
"""

import gc
import json
import os
import resource
import sys

from codeforge.errors import FetchError
from codeforge.web.document import read_page
from codeforge.web.extraction_pipe import LENGTH, request_of

NICENESS = 5
"""The event loops of the service come first."""

LARGE_BYTES = 1024 * 1024


def main() -> None:
    """Runs until standard input ends."""
    limit = int(sys.argv[1]) * 1024 * 1024
    resource.setrlimit(resource.RLIMIT_AS, (limit, limit))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    os.nice(NICENESS)
    answers = os.fdopen(os.dup(sys.stdout.fileno()), "wb")
    os.dup2(sys.stderr.fileno(), sys.stdout.fileno())  # what a library prints is no answer
    while len(lengths := sys.stdin.buffer.read(LENGTH.size)) == LENGTH.size:
        head, size = LENGTH.unpack(lengths)
        header = json.loads(sys.stdin.buffer.read(head))
        answer = _answer(header, sys.stdin.buffer.read(size))
        answers.write(LENGTH.pack(len(answer), 0) + answer)
        answers.flush()
        if size > LARGE_BYTES:
            gc.collect()


def _answer(header: dict[str, object], body: bytes) -> bytes:
    """A line of JSON that says what is wrong, if something is, and the page."""
    try:
        page, finding = read_page(request_of(header, body), judged=bool(header["judged"]))
    except FetchError as error:
        return json.dumps({"code": error.code, "message": error.message}).encode()
    except MemoryError:
        return json.dumps({"code": "too_large", "message": "the page takes too much memory to read"}).encode()
    told = {} if finding is None else {"lack": finding.lack, "text": finding.text}
    return json.dumps(told).encode() + b"\n" + page.model_dump_json().encode()


if __name__ == "__main__":
    main()

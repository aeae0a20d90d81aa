"""The plain loop: httpx and asyncio, as its documentation has it, over the addresses on standard input.

`plain_fetch [at once a host] [extract]`: no limit for 0; with `extract` each page's text is taken out in a thread, as
whoever wants Markdown must. Prints the seconds that it took.
"""

import asyncio
import sys
import time
from collections import defaultdict
from urllib.parse import urlsplit

import httpx
import trafilatura


async def main(urls: list[str], at_once: int, extract: bool) -> None:
    """Fetches all of them."""
    turns: defaultdict[str, asyncio.Semaphore] = defaultdict(lambda: asyncio.Semaphore(at_once or len(urls)))
    limits = httpx.Limits(max_connections=len(urls), keepalive_expiry=60.0)  # a busy machine stalls for longer than 5 s
    async with httpx.AsyncClient(limits=limits, timeout=30.0, trust_env=False) as client:

        async def one(url: str) -> int:
            async with turns[urlsplit(url).netloc]:
                answer = await client.get(url)
            answer.raise_for_status()
            if extract:
                text = await asyncio.to_thread(
                    trafilatura.extract, answer.text, output_format="markdown", include_links=True
                )
                return len(text or "")
            return len(answer.text)

        began = time.monotonic()
        sizes = await asyncio.gather(*map(one, urls))
        took = time.monotonic() - began
    if not all(size > 1_000 for size in sizes):
        raise SystemExit("a page came without its text")
    print(f"took {took:.4f}", flush=True)


if __name__ == "__main__":
    asyncio.run(main(sys.stdin.read().split(), int(sys.argv[1]), "extract" in sys.argv[2:]))

"""GETs by many clients in a process of their own: `python -m tests.bench.gets HOST PORT CA CRT KEY
COUNT SECONDS`.

Reads paths from the first line of stdin, separated by spaces; every client asks for one after the
other without a pause. Prints the sorted times of all requests, in milliseconds, as JSON.
"""

from __future__ import annotations

import asyncio
import sys
import time
from typing import TYPE_CHECKING

import orjson
import uvloop

from tests.bench.target import client_context

if TYPE_CHECKING:
    import ssl
    from collections.abc import Sequence


async def main(arguments: Sequence[str]) -> None:
    """The command."""
    host, port, authority, certificate, key, count, seconds = arguments
    context, paths = client_context(authority, certificate, key), sys.stdin.readline().split()
    times: list[float] = []
    ends = time.perf_counter() + float(seconds)
    await asyncio.gather(*(_client(host, int(port), context, paths[number::7] + paths, ends, times) for number in range(int(count))))
    sys.stdout.write(orjson.dumps(sorted(times)).decode())


async def _client(host: str, port: int, context: ssl.SSLContext, paths: Sequence[str], ends: float, times: list[float]) -> None:
    reader, writer = await asyncio.open_connection(host, port, ssl=context)
    number = 0
    while (started := time.perf_counter()) < ends:
        writer.write(f"GET {paths[number % len(paths)]} HTTP/1.1\r\nHost: {host}\r\n\r\n".encode())
        head = await reader.readuntil(b"\r\n\r\n")
        if not head.startswith(b"HTTP/1.1 200"):
            raise RuntimeError(head.decode())
        _, _, rest = head.lower().partition(b"content-length:")
        await reader.readexactly(int(rest.split(b"\r\n", 1)[0]))
        times.append((time.perf_counter() - started) * 1e3)
        number += 1
    writer.close()


if __name__ == "__main__":
    uvloop.run(main(sys.argv[1:]))

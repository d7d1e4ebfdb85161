"""Send GETs from many clients in a process of their own: `python -m tests.bench.gets HOST PORT CA
CRT KEY COUNT SECONDS [PID]`.

It reads paths from the first line of stdin, separated by spaces; every client requests one after
the other without a pause. It prints the sorted times of all requests, in milliseconds, as JSON.
With PID, it prints a second list: the CPU time of that process from a request to its answer. Other
processes on the machine prolong the times, but not the CPU time, which counts only the server's
work, for any client, before the answer.
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
    """Run the command."""
    host, port, authority, certificate, key, count, seconds, *pid = arguments
    context, paths = client_context(authority, certificate, key), sys.stdin.readline().split()
    times: list[tuple[float, float]] = []
    ends = time.perf_counter() + float(seconds)
    clock = _clock(*map(int, pid))
    clients = (_client(host, int(port), context, paths[number::7] + paths, ends, times, clock) for number in range(int(count)))
    await asyncio.gather(*clients)
    taken, used = ([], []) if not times else (sorted(kind) for kind in zip(*times, strict=True))
    sys.stdout.write(orjson.dumps([taken, used] if pid else taken).decode())


def _clock(pid: int = 0) -> int:
    """Return the id of the clock of a process's CPU time; 0 for this process.

    It equals the result of clock_getcpuclockid(3) on Linux."""
    return (~pid << 3) | 2


async def _client(
    host: str, port: int, context: ssl.SSLContext, paths: Sequence[str], ends: float, times: list[tuple[float, float]], clock: int
) -> None:
    reader, writer = await asyncio.open_connection(host, port, ssl=context)
    number = 0
    while (started := time.perf_counter()) < ends:
        used = time.clock_gettime(clock)
        writer.write(f"GET {paths[number % len(paths)]} HTTP/1.1\r\nHost: {host}\r\n\r\n".encode())
        head = await reader.readuntil(b"\r\n\r\n")
        if not head.startswith(b"HTTP/1.1 200"):
            raise RuntimeError(head.decode())
        _, _, rest = head.lower().partition(b"content-length:")
        await reader.readexactly(int(rest.split(b"\r\n", 1)[0]))
        times.append(((time.perf_counter() - started) * 1e3, (time.clock_gettime(clock) - used) * 1e3))
        number += 1
    writer.close()


if __name__ == "__main__":
    uvloop.run(main(sys.argv[1:]))

"""Measure GETs by 64 clients while lists of 100,000 objects are served.

`python -m tests.bench.latency [--objects N] [--seconds S]`
"""

from __future__ import annotations

import argparse
import asyncio
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit

import orjson
from aiohttp import ClientSession, TCPConnector

from apiserver.dev.directory import Directory
from tests.bench.scale import TENANTS, fill
from tests.bench.target import IDENTITY, TIMEOUT, client_context
from tests.faults.process import WORKLOAD_API, Server

CA = "ca.pem"
FILES = (CA, "client.pem", "client.pem")
"""The files in the server's folder: authority, certificate, key."""
CLIENTS = 64
PATHS = 500
GOAL = 10.0
TABLE = {"Accept": "application/json;as=Table;v=v1;g=meta.k8s.io"}
GZIP = {"Accept-Encoding": "gzip"}


@dataclass(frozen=True)
class Latency:
    """The milliseconds of a GET. `read`: the bytes of lists that were read meanwhile."""

    p50: float
    p99: float
    requests: int
    read: int = 0

    def __str__(self) -> str:
        return f"p50 {self.p50:.1f} ms, p99 {self.p99:.1f} ms ({self.requests} requests, {self.read / 1e6:.0f} MB of lists)"


def main() -> None:
    """Run the command."""
    parser = argparse.ArgumentParser(prog="python -m tests.bench.latency", description=__doc__)
    parser.add_argument("--objects", type=int, default=100_000, help="how many objects are listed (default 100000)")
    parser.add_argument("--seconds", type=float, default=5, help="for how long (default 5)")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="latency-") as folder:
        for name, found in asyncio.run(latency(Path(folder), options.objects, options.seconds)).items():
            print(f"{name}: {found}")


async def latency(folder: Path, objects: int, seconds: float) -> dict[str, Latency]:
    """Return the latency by the load beside the GETs: none, and lists of every form, one after the
    other."""
    server = Server(folder)
    await fill(server.database, objects, 0)
    (folder / CA).write_bytes(Directory(folder).authority().pair.certificate)
    async with server:
        await server.start()
        found = {"idle": await _gets(server, objects, seconds, None)}
        for name, headers in {"LIST, plain": IDENTITY, "LIST, gzip": GZIP, "LIST, Table, gzip": {**TABLE, **GZIP}}.items():
            found[name] = await _gets(server, objects, seconds, headers)
    return found


async def _gets(server: Server, objects: int, seconds: float, headers: dict[str, str] | None) -> Latency:
    listing = asyncio.create_task(_list(server, headers)) if headers is not None else None
    numbers = [number * 7919 % objects for number in range(PATHS)]
    paths = [f"{WORKLOAD_API}/namespaces/tenant-{number % TENANTS}/workloads/w-{number:06}" for number in numbers]
    url = urlsplit(server.url)
    files = [str(server.folder / name) for name in FILES]
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "tests.bench.gets", str(url.hostname), str(url.port), *files, str(CLIENTS), str(seconds)),
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
    )
    said, _ = await process.communicate(" ".join(paths).encode() + b"\n")
    if process.returncode:
        raise RuntimeError("the clients have failed; what they said is above")
    times = orjson.loads(said)
    read = 0
    if listing is not None:
        listing.cancel()
        read = await listing
    return Latency(times[len(times) // 2], times[len(times) * 99 // 100], len(times), read)


async def _list(server: Server, headers: dict[str, str] | None) -> int:
    """List until cancelled. Return the number of bytes read."""
    read = 0
    context = client_context(*(str(server.folder / name) for name in FILES))
    async with ClientSession(connector=TCPConnector(ssl=context), timeout=TIMEOUT, auto_decompress=False) as session:
        try:
            while True:
                async with session.get(f"{server.url}{WORKLOAD_API}/workloads", headers=headers) as response:
                    response.raise_for_status()
                    async for data in response.content.iter_any():
                        read += len(data)
        except asyncio.CancelledError:
            return read


if __name__ == "__main__":
    main()

"""Measure the memory and time that one server needs for many objects: `python -m tests.bench.scale
[--objects N] [--changes N] [--folder DIR]`.

It fills a database with Workloads of about 3 KiB, and changes the last ones this many times. It
starts the management API server over it as a process, and prints the time until it answered, and
its memory. Run it by hand; the figures are in docs/storage.md.
"""

from __future__ import annotations

import argparse
import asyncio
import os
import tempfile
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

import orjson

from apiserver.registry.generic.entry import encode_stored
from apiserver.registry.workload import WORKLOADS
from storage.base import Put
from storage.sqlite import SQLiteStore
from storage.testing.harness import opened
from tests.bench.cpu import cpu_seconds
from tests.bench.work import workload
from tests.faults.process import WORKLOAD_API, Server

if TYPE_CHECKING:
    from collections.abc import Sequence

TENANTS = 50
AT_ONCE = 2_000
MIB = 1 << 20


def main() -> None:
    """Run the command."""
    parser = argparse.ArgumentParser(prog="python -m tests.bench.scale", description=__doc__)
    parser.add_argument("--objects", type=int, default=100_000, help="how many Workloads there are (default 100000)")
    parser.add_argument("--changes", type=int, default=20_000, help="how many changes there were since (default 20000)")
    parser.add_argument("--folder", type=Path, help="where the database is made, or was made before; a temporary one by default")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="scale-") as temporary:
        for line in asyncio.run(measure(options.folder or Path(temporary), options.objects, options.changes)):
            print(line, flush=True)


async def measure(folder: Path, objects: int, changes: int) -> Sequence[str]:
    """Fill the database, start the server, and measure."""
    server = Server(folder)
    if not server.database.exists():
        await fill(server.database, objects, changes)
    async with server:
        started = time.monotonic()
        await server.start()
        lines = [
            f"database: {server.database.stat().st_size / MIB:.0f} MiB, an object {len(stored(0, 0))} bytes",
            f"start until it answers: {time.monotonic() - started:.1f} s, at a load of {os.getloadavg()[0]:.0f}",
            f"CPU of that: {cpu_seconds([server.pid]):.1f} s",
            f"memory: {memory(server.pid, 'VmRSS'):.0f} MiB, at most {memory(server.pid, 'VmHWM'):.0f} MiB so far",
        ]
        listed = await server.request("GET", f"{WORKLOAD_API}/workloads?limit=1")
        assert listed["metadata"]["remainingItemCount"] == objects - 1, listed["metadata"]
        lines.append(f"memory an object: {memory(server.pid, 'VmRSS') * MIB / objects / 1024:.2f} KiB")
    return lines


async def fill(database: Path, objects: int, changes: int) -> None:
    """Fill the database with one commit per object, as requests do."""
    async with opened(SQLiteStore(database, synchronous="off")) as store:
        for first in range(0, objects + changes, AT_ONCE):
            numbers = range(first, min(first + AT_ONCE, objects + changes))
            await asyncio.gather(*(store.commit([Put(key(n % objects), stored(n % objects, n))]) for n in numbers))


def key(number: int) -> str:
    """Return the key of the object."""
    return WORKLOADS.key(f"tenant-{number % TENANTS}", f"w-{number:06}")


def stored(number: int, generation: int) -> bytes:
    """Return a Workload as the server stores it, with managedFields and a status."""
    obj = workload(WORKLOADS.group, f"w-{number:06}", rare=number % 100 == 0)
    obj["metadata"]["annotations"]["example.com/padding"] = "x" * 330
    obj["metadata"] |= {
        "namespace": f"tenant-{number % TENANTS}",
        "uid": f"00000000-0000-4000-8000-{number:012}",
        "creationTimestamp": "2026-01-01T00:00:00Z",
        "generation": generation,
        "managedFields": [
            {"manager": "bench", "operation": "Update", "apiVersion": "v1", "fieldsType": "FieldsV1", "fieldsV1": owned(obj)}
        ],
    }
    obj["status"] = {"phase": "Pending"}
    return encode_stored(WORKLOADS, orjson.loads(orjson.dumps(obj)))


def owned(obj: dict[str, Any]) -> dict[str, Any]:
    """Return the fields of the spec in the form of managedFields."""
    return {"f:spec": {f"f:{name}": {} for name in obj["spec"]}}


def memory(pid: int, name: str) -> float:
    """Return a figure of the process from /proc, in MiB."""
    line = next(line for line in Path(f"/proc/{pid}/status").read_text().splitlines() if line.startswith(f"{name}:"))
    return int(line.split()[1]) / 1024


if __name__ == "__main__":
    main()

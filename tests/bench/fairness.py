"""How long a tenant's GETs take while another tenant asks for as much as it can.

`python -m tests.bench.fairness [--objects N] [--seconds S] [--connections N]`. The server is a
process, and so is each tenant.
"""

from __future__ import annotations

import argparse
import asyncio
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

import orjson

from apiserver.dev.directory import Directory
from apiserver.dev.policy import TENANT_PREFIX
from tests.bench.scale import TENANTS, fill
from tests.faults.process import WORKLOAD_API, Server

if TYPE_CHECKING:
    from collections.abc import Sequence

__all__ = ["Fairness", "fairness"]

GREEDY, LIGHT = "tenant-0", "tenant-1"
CONNECTIONS = 64
GOAL = 5.0


@dataclass(frozen=True)
class Fairness:
    """Milliseconds of the light tenant's GETs, sorted, alone and beside the greedy tenant; the
    greedy one's answers by status."""

    idle: Sequence[float]
    beside: Sequence[float]
    answers: dict[str, int]

    def ratio(self, percent: int) -> float:
        """How many times longer the GETs at this percentile take."""
        return percentile(self.beside, percent) / percentile(self.idle, percent)

    def __str__(self) -> str:
        lines = [
            f"{name}: p50 {percentile(times, 50):.1f} ms, p99 {percentile(times, 99):.1f} ms ({len(times)} GETs)"
            for name, times in (("idle", self.idle), ("beside", self.beside))
        ]
        told = ", ".join(f"{count} × {status}" for status, count in sorted(self.answers.items()))
        return "\n".join([*lines, f"ratio: p50 {self.ratio(50):.1f}, p99 {self.ratio(99):.1f} (goal < {GOAL:g})", f"greedy: {told}"])


def percentile(times: Sequence[float], percent: int) -> float:
    """Of sorted times."""
    return times[len(times) * percent // 100]


def main() -> None:
    """The command."""
    parser = argparse.ArgumentParser(prog="python -m tests.bench.fairness", description=__doc__)
    parser.add_argument("--objects", type=int, default=10_000, help="how many Workloads there are, in 50 namespaces (default 10000)")
    parser.add_argument("--seconds", type=float, default=10, help="for how long each is measured (default 10)")
    parser.add_argument("--connections", type=int, default=CONNECTIONS, help="of the greedy tenant (default 64)")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="fairness-") as folder:
        print(asyncio.run(fairness(Path(folder), options.objects, options.seconds, options.connections)))


async def fairness(folder: Path, objects: int, seconds: float, connections: int = CONNECTIONS) -> Fairness:
    """Measure both in one run."""
    server = Server(folder)
    await fill(server.database, objects, 0)
    authority = Directory(folder).authority()
    (folder / "ca.pem").write_bytes(authority.pair.certificate)
    for tenant in (GREEDY, LIGHT):
        pair = authority.client(tenant, [TENANT_PREFIX + tenant])
        (folder / f"{tenant}.pem").write_bytes(pair.certificate + pair.key)
    async with server:
        await server.start()
        for tenant in (GREEDY, LIGHT):
            await server.request("POST", "/api/v1/namespaces", {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": tenant}})
        await _gets(server, objects, min(seconds, 2))
        idle = await _gets(server, objects, seconds)
        process = await _start("tests.bench.greedy", server.url, *_files(server, GREEDY), GREEDY, str(connections))
        assert process.stdout is not None
        await process.stdout.readline()
        beside = await _gets(server, objects, seconds)
        said, _ = await process.communicate(b"")
        return Fairness(idle, beside, orjson.loads(said))


async def _gets(server: Server, objects: int, seconds: float) -> list[float]:
    """The light tenant's times, sorted: two connections, each of which asks for one object after
    the other."""
    numbers = range(1, min(objects, 5000), TENANTS)
    url = urlsplit(server.url)
    authority, certificate = _files(server, LIGHT)
    files = (authority, certificate, certificate)
    process = await _start("tests.bench.gets", str(url.hostname), str(url.port), *files, "2", str(seconds))
    said, _ = await process.communicate(
        " ".join(f"{WORKLOAD_API}/namespaces/{LIGHT}/workloads/w-{one:06}" for one in numbers).encode() + b"\n"
    )
    if process.returncode:
        raise RuntimeError("the light tenant has failed; what it said is above")
    times: list[float] = orjson.loads(said)
    return times


def _files(server: Server, tenant: str) -> tuple[str, str]:
    return str(server.folder / "ca.pem"), str(server.folder / f"{tenant}.pem")


async def _start(module: str, *arguments: str) -> asyncio.subprocess.Process:
    return await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", module, *arguments), stdin=asyncio.subprocess.PIPE, stdout=asyncio.subprocess.PIPE
    )


if __name__ == "__main__":
    main()

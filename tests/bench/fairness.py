"""Measure a tenant's GETs and Workloads while another tenant requests as much as it can.

`python -m tests.bench.fairness [--objects N] [--seconds S] [--rounds R] [--connections N]`. The
server is a process, and so is each tenant.
"""

from __future__ import annotations

import argparse
import asyncio
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

import orjson

from apiserver.dev.directory import Directory
from apiserver.dev.policy import TENANT_PREFIX
from tests.bench.lifecycle import lifecycle
from tests.bench.scale import TENANTS, fill
from tests.bench.tenants import CONNECTIONS, Greedy, certify, files, start
from tests.faults.process import WORKLOAD_API, Server

if TYPE_CHECKING:
    from collections.abc import Sequence

GREEDY, LIGHT = "tenant-0", "tenant-1"
GOAL = 5.0


@dataclass(frozen=True)
class Fairness:
    """The times of the light tenant's GETs, alone and beside the greedy tenant: sorted
    milliseconds.

    `answers`: the numbers of the greedy tenant's answers, by status. `idle_cpu`, `beside_cpu`: the
    CPU time of the server from a GET to its answer, which other processes on the machine do not
    change."""

    idle: Sequence[float]
    beside: Sequence[float]
    answers: dict[str, int]
    idle_cpu: Sequence[float]
    beside_cpu: Sequence[float]

    def ratio(self, percent: int) -> float:
        """Return how many times longer the GETs at this percentile take."""
        return percentile(self.beside, percent) / percentile(self.idle, percent)

    def cpu_ratio(self, percent: int) -> float:
        """Return the same for the server's CPU time."""
        return percentile(self.beside_cpu, percent) / percentile(self.idle_cpu, percent)

    @property
    def met(self) -> bool:
        """Return whether the goal is met, by the clock or by the server's CPU time.

        Other work on the machine prolongs the CPU time less."""
        return min(self.ratio(99), self.cpu_ratio(99)) < GOAL

    def __str__(self) -> str:
        kinds = ("idle", self.idle), ("beside", self.beside), ("idle, CPU", self.idle_cpu), ("beside, CPU", self.beside_cpu)
        lines = [
            f"{name}: p50 {percentile(times, 50):.1f} ms, p99 {percentile(times, 99):.1f} ms ({len(times)} GETs)" for name, times in kinds
        ]
        reported = ", ".join(f"{count} × {status}" for status, count in sorted(self.answers.items()))
        lines.append(f"ratio: p50 {self.ratio(50):.1f}, p99 {self.ratio(99):.1f} (goal < {GOAL:g})")
        lines.append(f"ratio of CPU: p50 {self.cpu_ratio(50):.1f}, p90 {self.cpu_ratio(90):.1f}, p99 {self.cpu_ratio(99):.1f}")
        return "\n".join([*lines, f"greedy: {reported}"])


def percentile(times: Sequence[float], percent: int) -> float:
    """Return a percentile of sorted times."""
    return times[len(times) * percent // 100]


def main() -> None:
    """Run the command."""
    parser = argparse.ArgumentParser(prog="python -m tests.bench.fairness", description=__doc__)
    parser.add_argument("--objects", type=int, default=10_000, help="how many Workloads there are, in 50 namespaces (default 10000)")
    parser.add_argument("--seconds", type=float, default=10, help="for how long each is measured (default 10)")
    parser.add_argument("--rounds", type=int, default=3, help="how often (default 3)")
    parser.add_argument("--connections", type=int, default=CONNECTIONS, help="of the greedy tenant (default 64)")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="fairness-") as folder:
        for found in asyncio.run(fairness(Path(folder), options.objects, options.seconds, options.rounds, options.connections)):
            print(found)
    with tempfile.TemporaryDirectory(prefix="fairness-") as folder:
        print(asyncio.run(lifecycle(Path(folder), options.rounds, options.connections)))


async def fairness(
    folder: Path, objects: int, seconds: float, rounds: int, connections: int = CONNECTIONS, *, until_met: bool = False
) -> list[Fairness]:
    """Measure the light tenant alone and beside the greedy tenant in one run, round after round.

    `until_met`: stop when a round meets the goal."""
    server = Server(folder, program="tests.bench.server")
    await fill(server.database, objects, 0)
    certify(folder, Directory(folder).authority(), {tenant: TENANT_PREFIX + tenant for tenant in (GREEDY, LIGHT)})
    found: list[Fairness] = []
    async with server:
        await server.start()
        for tenant in (GREEDY, LIGHT):
            await server.request("POST", "/api/v1/namespaces", {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": tenant}})
        await _gets(server, objects, min(seconds, 2))
        while len(found) < rounds and not (until_met and found and found[-1].met):
            found.append(await _round(server, objects, seconds, connections))
    return found


async def _round(server: Server, objects: int, seconds: float, connections: int) -> Fairness:
    idle, idle_cpu = await _gets(server, objects, seconds)
    async with Greedy(server.folder, server.url, GREEDY, connections) as greedy:
        beside, beside_cpu = await _gets(server, objects, seconds)
    return Fairness(idle, beside, greedy.answers, idle_cpu, beside_cpu)


async def _gets(server: Server, objects: int, seconds: float) -> tuple[list[float], list[float]]:
    """Measure the light tenant's times and the server's CPU times, both sorted.

    It has two connections, each of which requests one object after the other."""
    numbers = range(1, min(objects, 5000), TENANTS)
    url = urlsplit(server.url)
    authority, certificate = files(server.folder, LIGHT)
    shown = (authority, certificate, certificate)
    process = await start("tests.bench.gets", str(url.hostname), str(url.port), *shown, "2", str(seconds), str(server.pid))
    said, _ = await process.communicate(
        " ".join(f"{WORKLOAD_API}/namespaces/{LIGHT}/workloads/w-{one:06}" for one in numbers).encode() + b"\n"
    )
    if process.returncode:
        raise RuntimeError("the light tenant has failed; what it said is above")
    times, used = orjson.loads(said)
    return times, used


if __name__ == "__main__":
    main()

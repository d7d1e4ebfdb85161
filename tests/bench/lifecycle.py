"""Measure how long a tenant's Workload takes to become Running while another tenant requests as
much as it can.

It uses dev mode, so all parts are real except the hardware, whose times are a twentieth of the
simulator's own. There, server, controllers and simulated operator share one process and one event
loop, which is harder than any installation.
"""

from __future__ import annotations

import asyncio
import time
from collections import Counter
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from apiserver.client.client import Client
from apiserver.dev.directory import Directory
from apiserver.dev.policy import TENANT_PREFIX
from apiserver.dev.seed import TENANTS
from controllers import kinds
from tests.bench.tenants import CONNECTIONS, Greedy, certify
from tests.e2e.objects import workload
from tests.e2e.process import Dev

if TYPE_CHECKING:
    from apiserver.client.objects import Object

LIGHT, GREEDY = TENANTS
SPEED = "0.05"
LISTED = 40
"""The Workloads of the greedy tenant, which its lists contain. They fit no class."""
DEADLINE = 120.0
GOAL = 2.0


@dataclass(frozen=True)
class Lifecycle:
    """The seconds from the creation of a Workload until it is Running, alone and beside the greedy
    tenant.

    `answers`: the numbers of the greedy tenant's answers, by status."""

    idle: list[float]
    beside: list[float]
    answers: Counter[str]

    @property
    def ratio(self) -> float:
        """Return how many times longer it takes beside the greedy tenant, by the least time of
        each: other work on the machine only adds to the times."""
        return min(self.beside) / min(self.idle)

    def __str__(self) -> str:
        times = ", ".join(
            f"{name} {' '.join(f'{one:.2f}' for one in sorted(found))} s" for name, found in (("idle", self.idle), ("beside", self.beside))
        )
        return f"Running after: {times}; ratio {self.ratio:.2f} (goal < {GOAL:g})"


async def lifecycle(folder: Path, rounds: int = 3, connections: int = CONNECTIONS, *, until_met: bool = False) -> Lifecycle:
    """Measure a Workload alone and beside the greedy tenant in one run, one Workload after the
    other.

    `until_met`: stop when a round meets the goal."""
    dev = Dev(folder / "dev", Path("kubectl"), "--bmo-speed", SPEED, "--hosts", str(2 * rounds + 1)).start()
    try:
        directory = Directory(dev.folder)
        certify(folder, directory.authority(), {GREEDY: TENANT_PREFIX + GREEDY})
        url = f"https://127.0.0.1:{directory.ports()['management']}"
        async with Client(str(dev.folder / f"{LIGHT}.kubeconfig")) as light, Client(str(dev.folder / f"{GREEDY}.kubeconfig")) as other:
            for number in range(LISTED):
                await other.create(kinds.WORKLOADS, workload(f"w-{number}", className="elsewhere"), GREEDY)
            await _running(light, "first")
            found = Lifecycle([], [], Counter())
            while len(found.idle) < rounds and not (until_met and found.idle and found.ratio < GOAL):
                found.idle.append(await _running(light, f"idle-{len(found.idle)}"))
                async with Greedy(folder, url, GREEDY, connections) as greedy:
                    found.beside.append(await _running(light, f"beside-{len(found.beside)}"))
                found.answers.update(greedy.answers)
            return found
    finally:
        dev.stop()


async def _running(client: Client, name: str) -> float:
    """Create a Workload. Return the seconds until its tenant's watch reports it as Running."""
    version = (await client.list_page(kinds.WORKLOADS, LIGHT, limit=1))["metadata"]["resourceVersion"]
    async with asyncio.timeout(DEADLINE):
        began = time.perf_counter()
        await client.create(kinds.WORKLOADS, workload(name), LIGHT)
        async for event in client.watch(kinds.WORKLOADS, LIGHT, resource_version=version, timeout_seconds=int(DEADLINE), bookmarks=False):
            if _is_running(event["object"], name):
                return time.perf_counter() - began
    raise AssertionError("the watch has ended")


def _is_running(obj: Object, name: str) -> bool:
    return obj["metadata"]["name"] == name and (obj.get("status") or {}).get("phase") == "Running"

"""Measure controllers at scale, by hand. See `python -m tests.bench.controllers --help` for the
sizes.

A real kube-apiserver, `serve` with SQLite and `controllers` are separate processes, over hosts that
do not exist (see synthetic). It prints, one after the other: offering all hosts, memory, the cost
of idleness, binding many Workloads created at once, and the time from a host's change to its
tenant's watch. Seconds depend on the machine; CPU per process is printed with them.
"""

from __future__ import annotations

import argparse
import asyncio
import os
import statistics
import subprocess
import sys
import tempfile
import time
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from apiserver.client.client import Client
from controllers import kinds
from tests.bench import synthetic
from tests.bench.meter import Meter
from tests.integration.objects import workload
from tests.integration.running import ADMIN, ROOT, Running, start, stop

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Awaitable, Callable, Iterator

CLASS = "synthetic"
IDLE_SECONDS = 10.0
DEADLINE = 1800.0
AT_ONCE = 16
CHANGING_SECONDS = 20


@dataclass(frozen=True)
class Sizes:
    """The sizes of the measurement."""

    hosts: int
    workloads: int
    namespaces: int
    limit: int | None
    changes: tuple[int, ...]


def main() -> None:
    """Run the command."""
    parser = argparse.ArgumentParser(prog="python -m tests.bench.controllers", description=__doc__)
    parser.add_argument("--hosts", type=int, default=10_000)
    parser.add_argument("--workloads", type=int, default=1_000)
    parser.add_argument("--namespaces", type=int, default=20)
    parser.add_argument("--limit", type=int, help="offer.maxPerNamespace; without it every namespace is offered every host")
    parser.add_argument("--direct", action="store_true", help="the controllers go to serve itself for its kinds")
    parser.add_argument("--changes", type=int, nargs="*", default=(10, 30, 100), help="changes of hosts a second, one after the other")
    options = parser.parse_args()
    sizes = Sizes(options.hosts, options.workloads, options.namespaces, options.limit, tuple(options.changes))
    tenants = ",".join(f"t{number}" for number in range(sizes.namespaces))
    with tempfile.TemporaryDirectory(prefix="bench-") as folder:
        running = start(
            Path(folder) / "cluster", "--controllers", "off", "--bmo", "none", "--hosts", "0", "--tenants", tenants, "--audit", "off"
        )
        try:
            with controllers(running, Path(folder), direct=options.direct) as pid:
                asyncio.run(measure(Meter(running, pid), sizes))
        finally:
            stop(running.root)


@contextmanager
def controllers(running: Running, folder: Path, *, direct: bool) -> Iterator[int]:
    """Run the controllers as a process that knows the synthetic provider."""
    synthetic.install(folder / "packages")
    environment = {**os.environ, "PYTHONPATH": f"{folder / 'packages'}:{ROOT}"}
    command = [str(Path(sys.executable).with_name("metal3-workloads")), "controllers", "--kubeconfig", running.kubeconfig(ADMIN)]
    if direct:
        command += ["--apiserver", running.description["apiserver"]["url"]]
    with (folder / "controllers.log").open("wb") as log:
        process = subprocess.Popen(command, env=environment, stderr=log)
        try:
            yield process.pid
        finally:
            process.terminate()
            process.wait(30)


async def measure(bench: Meter, sizes: Sizes) -> None:
    """Run all measurements, in order."""
    print(f"processes: {bench.processes}", flush=True)
    async with Client(bench.running.kubeconfig(ADMIN), timeout=300) as client:
        await bench.timed(f"{sizes.hosts} hosts reported", lambda: report(client, sizes), per=sizes.hosts)
        views = sizes.namespaces * min(sizes.hosts, sizes.limit if sizes.limit is not None else sizes.hosts)
        await bench.timed(f"{views} views offered in {sizes.namespaces} namespaces", lambda: offer(client, sizes, views), per=views)
        print(f"memory: {bench.memory()}", flush=True)
        await bench.timed("idle", idle)
        await bench.timed(f"{sizes.workloads} Workloads created at once", lambda: bind(client, sizes), per=sizes.workloads)
        await bench.timed("all settled", lambda: settle(client, sizes))
        for rate in sizes.changes:
            await bench.timed(f"{rate} changes a second", partial(follow, client, sizes, rate), per=rate * CHANGING_SECONDS)
        print(f"memory: {bench.memory()}", flush=True)


def class_(sizes: Sizes, *, allowed: bool, changes: int = 0) -> dict[str, Any]:
    """Return the class. At first it allows no namespace, so that reporting and offering are
    separate."""
    return {
        "apiVersion": kinds.CLASSES.api_version,
        "kind": "WorkloadClass",
        "metadata": {"name": CLASS},
        "spec": {
            "provisioner": synthetic.PROVISIONER,
            "parameters": {"hosts": sizes.hosts, "changesPerSecond": changes},
            "allowedNamespaces": {"names": ["*"] if allowed else []},
            "metadata": {"labelsMatch": ".*"},
            "offer": {"maxPerNamespace": sizes.limit} if sizes.limit is not None else {},
        },
    }


async def report(client: Client, sizes: Sizes) -> str:
    """Create the class, and wait until every host has its Host with a status."""
    await client.create(kinds.CLASSES, class_(sizes, allowed=False))

    async def reported() -> bool:
        hosts = (await client.get(kinds.CLASSES, CLASS)).get("status", {}).get("hosts", {})
        return bool(hosts.get("free") == sizes.hosts)

    await until(reported)
    return ""


async def offer(client: Client, sizes: Sizes, views: int) -> str:
    """Allow the namespaces, and wait until each has its views.

    The views of the cluster's own namespaces are created too, and not counted."""
    spec = {"spec": class_(sizes, allowed=True)["spec"]}
    spec["spec"]["allowedNamespaces"] = {"nameMatches": "t[0-9]+"}
    await client.patch(kinds.CLASSES, CLASS, spec)

    async def offered() -> bool:
        return await count(client, kinds.views()) >= views

    await until(offered)
    return ""


async def count(client: Client, resource: Any) -> int:
    """Return the number of objects, without reading them all."""
    page = await client.list_page(resource, limit=1)
    return len(page["items"]) + int(page["metadata"].get("remainingItemCount") or 0)


async def idle() -> str:
    """Do nothing for IDLE_SECONDS."""
    await asyncio.sleep(IDLE_SECONDS)
    return ""


async def bind(client: Client, sizes: Sizes) -> str:
    """Create all Workloads, and wait until each has a host.

    Times are those of the events' arrival at one watch."""
    bound: dict[str, float] = {}
    hosts: set[str] = set()

    async def watching() -> None:
        async for event in watch(client, kinds.WORKLOADS):
            host = (event["object"].get("status") or {}).get("host")
            if host:
                bound.setdefault(event["object"]["metadata"]["uid"], time.monotonic())
                hosts.add(host["uid"])
            if len(bound) == sizes.workloads:
                return

    task = asyncio.ensure_future(watching())
    began = time.monotonic()
    await at_once(sizes.workloads, lambda number: create(client, sizes, number))
    created = time.monotonic()
    await asyncio.wait_for(task, DEADLINE)
    after = sorted(moment - created for moment in bound.values())
    assert len(hosts) == sizes.workloads, "no host twice"
    middle, last = after[len(after) // 2], after[-1]
    return f"created in {created - began:.2f} s, the last bound {last:.2f} s after the last create, half of them {middle:.2f} s after it"


async def create(client: Client, sizes: Sizes, number: int) -> None:
    """Create one Workload."""
    wanted = workload(f"w-{number:05}", className=CLASS, requirements={"cpuCount": 16 << number % 4, "ram": "64Gi"})
    await client.create(kinds.WORKLOADS, wanted, f"t{number % sizes.namespaces}")


async def at_once(total: int, work: Callable[[int], Awaitable[None]]) -> None:
    """Run work(0) … work(total - 1), AT_ONCE of them at a time."""
    numbers = iter(range(total))

    async def worker() -> None:
        for number in numbers:
            await work(number)

    await asyncio.gather(*(worker() for _ in range(AT_ONCE)))


async def settle(client: Client, sizes: Sizes) -> str:
    """Wait until every running Workload is reported as Running."""

    async def running() -> bool:
        items, _ = await client.list_all(kinds.WORKLOADS)
        return all((item.get("status") or {}).get("phase") == "Running" for item in items) and bool(items)

    await until(running)
    return ""


async def follow(client: Client, sizes: Sizes, rate: int) -> str:
    """Let hosts change, and compute how long each change took to arrive in its tenant's view."""
    await client.patch(kinds.CLASSES, CLASS, {"spec": {"parameters": {"changesPerSecond": rate}}})
    delays: list[float] = []
    async with asyncio.timeout(DEADLINE):
        async for event in watch(client, kinds.views()):
            stamp = str(((event["object"].get("status") or {}).get("hardware") or {}).get("hostname") or "")
            if event["type"] == "MODIFIED" and stamp.isdecimal():
                delays.append((time.monotonic_ns() - int(stamp)) / 1e6)
            if len(delays) >= rate * CHANGING_SECONDS:
                break
    await client.patch(kinds.CLASSES, CLASS, {"spec": {"parameters": {"changesPerSecond": 0}}})
    cuts = statistics.quantiles(delays, n=100)
    return f"seen after {cuts[49]:.0f} ms (median), {cuts[89]:.0f} (p90), {cuts[98]:.0f} (p99), {max(delays):.0f} ms at most"


async def watch(client: Client, resource: Any) -> AsyncIterator[Any]:
    """Yield the events from now on."""
    version = (await client.list_page(resource, limit=1))["metadata"]["resourceVersion"]
    async for event in client.watch(resource, resource_version=version, timeout_seconds=int(DEADLINE), bookmarks=False):
        yield event


async def until(check: Callable[[], Awaitable[bool]]) -> None:
    """Wait until the check returns true."""
    async with asyncio.timeout(DEADLINE):
        while True:
            with suppress(TimeoutError):
                if await check():
                    return
            await asyncio.sleep(0.2)


if __name__ == "__main__":
    main()

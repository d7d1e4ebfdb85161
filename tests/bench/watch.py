"""Measure the cost of an event per watch that receives it, with many watches and a steady stream of
changes."""

from __future__ import annotations

import asyncio
import sys
import time
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

import orjson

from tests.bench.cpu import cpu_seconds
from tests.bench.work import ALL, MERGE, place

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from tests.bench.target import Target

QUIET_SECONDS = 5.0
"""The seconds without an event after which no more are expected.

kube-apiserver ends watches that it cannot serve fast enough."""
POLL = 0.05


@dataclass(frozen=True)
class Deliveries:
    """The result of a measurement.

    `cpu`: the seconds of the server's CPU per event and watch that received it, without the cost of
    the writes. `rate`: the actual events per second. `received`: the fraction of the expected
    events that was delivered."""

    cpu: float
    rate: float
    received: float


async def deliveries(target: Target, *, watchers: int, rate: float, seconds: float, objects: int) -> Deliveries:
    """Change objects `rate` times per second, with watches, and without them before and after, and
    compare."""
    events = round(rate * seconds)
    async with _Writer(target, objects) as writer:
        alone = [(await writer.write(events, rate))[0]]
        async with _watching(target, watchers) as watching:
            before = await watching.count()
            started, used = time.monotonic(), cpu_seconds(target.pids)
            _, took = await writer.write(events, rate)
            received = await watching.wait_for(before + events * watchers) - before
            watched = cpu_seconds(target.pids) - used
            lasted = max(took, time.monotonic() - started)
        alone.append((await writer.write(events, rate))[0])
    # The lesser of the two measurements without watches is used, because disturbances only add to
    # the CPU time.
    return Deliveries(max(watched - min(alone), 0.0) / received, events / lasted, received / (events * watchers))


class _Writer:
    """Changes one object after the other at a steady rate."""

    def __init__(self, target: Target, objects: int) -> None:
        self._target, self._objects, self._number = target, objects, 0

    async def __aenter__(self) -> _Writer:
        await self._change()  # opens the connection, and loads what is loaded lazily
        return self

    async def __aexit__(self, *exc: object) -> None:
        return None

    async def write(self, events: int, rate: float) -> tuple[float, float]:
        """Write the changes. Return the CPU seconds of the server, and the seconds that it took."""
        used, started = cpu_seconds(self._target.pids), time.monotonic()
        async with asyncio.TaskGroup() as group:
            for number in range(events):
                pause = started + number / rate - time.monotonic()
                if pause > 0:
                    await asyncio.sleep(pause)
                group.create_task(self._change())
        remaining = started + events / rate - time.monotonic()
        if remaining > 0:  # idle time counts on both sides
            await asyncio.sleep(remaining)
        return cpu_seconds(self._target.pids) - used, time.monotonic() - started

    async def _change(self) -> None:
        self._number += 1
        body = orjson.dumps({"metadata": {"labels": {"changed": f"{time.time_ns()}"}}})
        await self._target.request("PATCH", place(self._number % self._objects), body=body, headers=MERGE)


class _Watching:
    """The process that watches."""

    def __init__(self, process: asyncio.subprocess.Process) -> None:
        self._process = process

    async def line(self) -> str:
        """Return the next line of its output."""
        assert self._process.stdout is not None, "it was started with a pipe"
        text = (await self._process.stdout.readline()).decode().strip()
        if not text:
            raise RuntimeError("the process that watches has ended; what it said is above")
        return text

    async def count(self) -> int:
        """Return the number of events received by all watches together."""
        assert self._process.stdin is not None, "it was started with a pipe"
        self._process.stdin.write(b"\n")
        return int(await self.line())

    async def wait_for(self, wanted: int) -> int:
        """Return the number of received events when it reaches `wanted`, or when no more arrive."""
        found, changed = await self.count(), time.monotonic()
        while found < wanted and time.monotonic() - changed < QUIET_SECONDS:
            await asyncio.sleep(POLL)
            before, found = found, await self.count()
            if found > before:
                changed = time.monotonic()
        if found > wanted:
            raise RuntimeError(f"{found - wanted} events more than {wanted} were received")
        return found


@asynccontextmanager
async def _watching(target: Target, watchers: int) -> AsyncIterator[_Watching]:
    """Run this many watches of all objects, from now on."""
    url = urlsplit(target.root)
    revision = orjson.loads(await target.request("GET", f"{ALL}?limit=1"))["metadata"]["resourceVersion"]
    path = f"{url.path}{ALL}?watch=1&resourceVersion={revision}"
    arguments = [str(url.hostname), str(url.port), target.files.authority, target.files.certificate, target.files.key, path, str(watchers)]
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "tests.bench.watchers", *arguments, stdin=asyncio.subprocess.PIPE, stdout=asyncio.subprocess.PIPE
    )
    try:
        watching = _Watching(process)
        said = await watching.line()
        if said != "ready":
            raise RuntimeError(f"the process that watches says {said!r}")
        yield watching
    finally:
        if process.returncode is None:
            process.kill()
        await process.wait()

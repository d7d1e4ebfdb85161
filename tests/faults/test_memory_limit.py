"""Run the server under a memory limit while a tenant stores, changes, watches, lists and tries the
largest possible objects, again and again.

The memory for this is bounded (docs/scale.md#memory), so it stops growing after a while, no
allocation fails, and another tenant is served. The kernel applies the limit to the process
(RLIMIT_DATA), because cgroups are not available everywhere.
"""

from __future__ import annotations

import asyncio
import json
import resource
import ssl
import time
from contextlib import AsyncExitStack
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import aiohttp
import pytest

from apiserver.dev.directory import Directory
from apiserver.dev.policy import TENANT_PREFIX
from apiserver.handlers.watchers.unreadbytes import UNREAD
from storage.cache import HISTORY_BYTES
from tests.faults.process import WORKLOAD_API, Server

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable

MIB = 1 << 20
OBJECTS, WATCHES = 12, 40
"""Objects and watches of the hostile tenant at a time."""
OBJECT, WATCH = 1.0, 0.03
"""MiB of the largest object, and of a watch."""
HISTORY, UNREAD_BYTES = HISTORY_BYTES / MIB, 3 * UNREAD / MIB
CACHES = 64 + 32 + 16 + 16 + 8 + 64
"""MiB that the C library keeps free, and MiB of segments, recent writes, SQLite's events, encoded
changes, and requests in progress."""
SLACK = 1.5
"""The factor for fragmentation, and for stacks of threads, which RLIMIT_DATA counts as a whole."""
ROUNDS, SETTLED = 12, 3
"""The largest number of rounds of the attack, and the number of rounds at the end in which memory
no longer rises. How many come before differs with the machine."""
RISE = 0.06
"""The share by which memory may exceed its settled size."""
GZIP, TABLE = {"Accept-Encoding": "gzip"}, {"Accept": "application/json;as=Table;v=v1;g=meta.k8s.io"}
MERGE, APPLY = {"Content-Type": "application/merge-patch+json"}, {"Content-Type": "application/apply-patch+yaml"}


def large(name: str, letter: str) -> dict[str, Any]:
    """Return a Workload of a megabyte: the most that selectors and annotations may have."""
    values = [f"{letter}{number:0240}" for number in range(48)]
    terms = [{"key": f"k{number}", "operator": "NotIn", "values": values} for number in range(62)]
    metadata = {"name": name, "annotations": {"a": letter * 250_000}}
    spec = {"className": "metal", "hostSelector": {"matchExpressions": terms}}
    return {"apiVersion": "workload.metal3.io/v1alpha1", "kind": "Workload", "metadata": metadata, "spec": spec}


@dataclass
class Tenant:
    """Send requests as the user of a namespace."""

    server: Server
    namespace: str
    session: aiohttp.ClientSession
    statuses: list[int] = field(default_factory=list)

    @property
    def workloads(self) -> str:
        return f"{self.server.url}{WORKLOAD_API}/namespaces/{self.namespace}/workloads"

    async def send(self, method: str, path: str = "", body: Any = None, headers: dict[str, str] | None = None) -> int:
        """Send the request until its status is not 429, since there are other users, and return the
        status."""
        data = None if body is None else json.dumps(body)
        while True:
            kind = {"Content-Type": "application/json", **(headers or {})}
            async with self.session.request(method, self.workloads + path, data=data, headers=kind) as response:
                await response.read()
            if response.status != 429:
                self.statuses.append(response.status)
                return response.status
            await asyncio.sleep(0.05)


@pytest.fixture
async def server(tmp_path: Path) -> AsyncIterator[Server]:
    async with Server(tmp_path / "server") as server:
        await server.start()
        for name in ("hostile", "other"):
            await server.request("POST", "/api/v1/namespaces", {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name}})
        yield server


def tenant(server: Server, namespace: str, stack: AsyncExitStack) -> Tenant:
    authority = Directory(server.folder).authority()
    pair = authority.client(namespace, [TENANT_PREFIX + namespace])
    file = server.folder / f"{namespace}.pem"
    file.write_bytes(pair.certificate + pair.key)
    context = ssl.create_default_context(cadata=authority.pair.certificate.decode("ascii"))
    context.load_cert_chain(file)
    session = aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit=0, ssl=context), timeout=aiohttp.ClientTimeout(total=120))
    stack.push_async_callback(session.close)
    return Tenant(server, namespace, session)


def memory(pid: int, what: str) -> float:
    """Return a figure of the memory of the process in MiB, as the kernel counts it."""
    lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith(f"{what}:")) / 1024


async def attack(hostile: Tenant, number: int) -> None:
    """Run one round of all requests that take memory, with texts that no earlier round has used."""
    letter = "abcdefghijklmnop"[number]
    names = [f"w{one}" for one in range(OBJECTS)]
    async with AsyncExitStack() as stack:
        assert set(await asyncio.gather(*(hostile.send("POST", "", large(name, letter)) for name in names))) == {201}
        for one in range(WATCHES):  # the watches are never read
            query = {"watch": "true", "resourceVersion": "0", "labelSelector": f"no!={letter}{one}"}
            await stack.enter_async_context(hostile.session.get(hostile.workloads, params=query))
        for turn in range(3):
            label = {"metadata": {"labels": {f"l{turn}": letter}}}
            assert set(await asyncio.gather(*(hostile.send("PATCH", f"/{name}", label, MERGE) for name in names))) == {200}
            lists = (hostile.send("GET", f"?limit={100 + one}", headers=GZIP if one % 2 else TABLE) for one in range(6))
            tried = (hostile.send("POST", "?dryRun=All", large(f"t{one}", letter)) for one in range(6))
            refused = (hostile.send("POST", "", large("x" * 300, letter)) for _ in range(6))
            assert set(await asyncio.gather(*lists, *tried, *refused)) == {200, 201, 422}
            applied = large("applied", letter)
            assert await hostile.send("PATCH", f"/applied?fieldManager=m{turn}&force=true", applied, APPLY) in (200, 201)
        assert set(await asyncio.gather(*(hostile.send("DELETE", f"/{name}") for name in (*names, "applied")))) == {200}


def settled(resident: list[float]) -> bool:
    """Return whether memory has not risen in the last rounds."""
    before, last = resident[:-SETTLED], resident[-SETTLED:]
    return len(before) >= SETTLED and max(last) < max(before) * (1 + RISE)


async def bystander(other: Tenant, done: asyncio.Event) -> list[float]:
    """Send ordinary requests as another tenant until `done`, and return the seconds of each."""
    took: list[float] = []
    body = {"apiVersion": "workload.metal3.io/v1alpha1", "kind": "Workload", "metadata": {"name": "mine"}, "spec": {"className": "metal"}}
    while not done.is_set():
        for method, path, sent in (("POST", "", body), ("GET", "/mine", None), ("GET", "", None), ("DELETE", "/mine", None)):
            began = time.monotonic()
            assert await other.send(method, path, sent) in (200, 201)
            took.append(time.monotonic() - began)
        await asyncio.sleep(0.1)
    return took


async def test_a_hostile_tenant_under_a_memory_limit(server: Server, figure: Callable[[str, str, object], None]) -> None:
    async with AsyncExitStack() as stack:
        hostile, other = (tenant(server, name, stack) for name in ("hostile", "other"))
        for _ in range(3):  # loads all modules and starts all threads
            assert await other.send("POST", "", large("warm", "w")) == 201
            assert await other.send("GET") == 200
            assert await other.send("DELETE", "/warm") == 200
        idle, data = memory(server.pid, "VmRSS"), memory(server.pid, "VmData")
        allowed = OBJECTS * OBJECT + WATCHES * WATCH + HISTORY + UNREAD_BYTES + CACHES
        limit = int((data + allowed * SLACK) * MIB)
        resource.prlimit(server.pid, resource.RLIMIT_DATA, (limit, limit))
        done, resident = asyncio.Event(), []
        watched = asyncio.create_task(bystander(other, done))
        for number in range(ROUNDS):
            await attack(hostile, number)
            resident.append(memory(server.pid, "VmRSS"))
            if settled(resident):
                break
        done.set()
        took = await watched
        assert await server.status("/readyz") == 200
    most = memory(server.pid, "VmHWM")
    assert settled(resident), f"memory goes on to rise: {[round(one) for one in resident]} MiB"
    assert most < idle + allowed * SLACK
    assert len(took) > 20
    assert not [status for status in (*hostile.statuses, *other.statuses) if status >= 500]
    figure("memory limit", "MiB idle, settled, at most, allowed", f"{idle:.0f} {max(resident):.0f} {most:.0f} {idle + allowed:.0f}")
    figure("memory limit", "requests of another tenant, longest in ms", f"{len(took)} {max(took) * 1000:.0f}")

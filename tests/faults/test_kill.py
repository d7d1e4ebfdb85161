"""Kill the server with SIGKILL under 64 writers, again and again, while one client lists and
watches through all of its lives."""

from __future__ import annotations

import asyncio
import itertools
import json
import random
from contextlib import suppress
from typing import TYPE_CHECKING, Any

import aiohttp

from storage.sqlite import SQLiteStore
from storage.testing.harness import collect, opened
from tests.faults.process import NAMESPACE, WORKLOAD_API, WORKLOADS, Server
from tests.faults.watcher import LAST, WORKLOAD_KEYS, Watcher, check_watch
from tests.faults.writers import Claimer, Editor, note_of, revision_of, workload

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from pathlib import Path

    from storage.base import Event

EDITORS, CLAIMERS = 56, 8
VIEWS = f"/apis/metal3.io/v1alpha1/namespaces/{NAMESPACE}/baremetalhosts"
SECONDS = 60


class Acknowledged:
    """Collect all revisions that clients received, and let callers wait for more of them."""

    def __init__(self) -> None:
        self.revisions: list[int] = []
        self._wanted, self._reached = 0, asyncio.Event()

    def __call__(self, revision: int) -> None:
        self.revisions.append(revision)
        if len(self.revisions) >= self._wanted:
            self._reached.set()

    async def more(self, count: int) -> None:
        """Wait until `count` more revisions were acknowledged."""
        self._wanted = len(self.revisions) + count
        self._reached.clear()
        async with asyncio.timeout(SECONDS):
            await self._reached.wait()


async def until_gone(run: Callable[[], Any]) -> None:
    with suppress(aiohttp.ClientError, TimeoutError, ConnectionError):
        await run()


async def test_kill_9_under_64_writers(tmp_path: Path, kills: int, seed: int, figure: Callable[[str, str, object], None]) -> None:
    moments, acknowledged, lives = random.Random(seed), Acknowledged(), list[int]()
    async with Server(tmp_path / "server") as server:
        await server.start()
        await server.request("POST", "/api/v1/namespaces", {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": NAMESPACE}})
        watcher = Watcher(server)
        editors = [Editor(server, f"e-{n}", acknowledged) for n in range(EDITORS)]
        claimers = [Claimer(server, f"c-{n}", acknowledged) for n in range(CLAIMERS)]
        for _ in range(kills):
            first = len(acknowledged.revisions)
            await one_life(server, [*editors, *claimers, watcher], lambda: acknowledged.more(moments.randint(100, 400)))
            lives.append(first)
            await server.start()
            await asyncio.gather(*(editor.recover() for editor in editors))
        await server.request("POST", WORKLOADS, workload(LAST, 1))
        async with asyncio.timeout(SECONDS):
            await watcher.run()
        assert watcher.done
        objects = {path: (await server.request("GET", path))["items"] for path in (WORKLOADS, VIEWS, f"{WORKLOAD_API}/hosts")}
    history = await stored(server.database)
    check_revisions(acknowledged.revisions, lives)
    check_history(editors, history, objects[WORKLOADS])
    assert len(watcher.segments) == 1, "it had to list again though the history was there"
    events = check_watch(watcher.segments, history)
    bound = check_claims(claimers, objects)
    what = "kill -9 of the server, 64 writers"
    for name, value in {
        "kills": kills,
        "writes acknowledged, all there": len(acknowledged.revisions) + sum(one.happened.count(None) for one in editors),
        "claims of three objects, none torn": bound,
        "events stored, none lost, doubled or out of order": len(history),
        "events told to one client that watched through all of it, and never listed again": events,
    }.items():
        figure(what, name, value)


async def one_life(server: Server, clients: Sequence[Editor | Claimer | Watcher], enough: Callable[[], Any]) -> None:
    """Run all clients until, at some moment, the server is killed. Anything wrong that a client
    finds is raised."""
    running = [asyncio.create_task(until_gone(client.run)) for client in clients]
    moment = asyncio.create_task(enough())
    try:
        await asyncio.wait([moment, *running], return_when=asyncio.FIRST_COMPLETED, timeout=SECONDS)
        await server.kill()
        async with asyncio.timeout(SECONDS):
            await asyncio.gather(*running)
        await moment
    finally:
        for task in (moment, *running):
            task.cancel()


def check_revisions(revisions: list[int], lives: list[int]) -> None:
    """Check that no revision was given twice, and that each life's revisions are larger than those
    of all lives before."""
    assert len(set(revisions)) == len(revisions)
    for first in lives[1:]:
        assert min(revisions[first:]) > max(revisions[:first])


async def stored(database: Path) -> list[Event]:
    """Read the history of all Workloads, over all lives."""
    async with opened(SQLiteStore(database)) as store:
        return await collect(store, WORKLOAD_KEYS, 1, await store.current_revision())


def check_history(editors: list[Editor], history: list[Event], items: list[dict[str, Any]]) -> None:
    """Check that the history has all writes of each editor, once and in order, and that replaying
    it gives the stored objects."""
    assert all(before.revision < after.revision for before, after in itertools.pairwise(history)), "out of order, or twice"
    reported: dict[str, list[int | None]] = {editor.name: [] for editor in editors}
    state: dict[str, int] = {}
    for event in history:
        name = event.key.removeprefix(WORKLOAD_KEYS)
        assert (event.previous is None) == (name not in state), f"{event.type} {name}"
        if event.type == "delete":
            del state[name]
        else:
            state[name] = event.revision
        if name in reported:
            reported[name].append(None if event.type == "delete" else note_of(json.loads(event.value)))
    assert reported == {editor.name: editor.happened for editor in editors}
    assert state == {item["metadata"]["name"]: revision_of(item) for item in items}


def check_claims(claimers: list[Claimer], objects: dict[str, list[dict[str, Any]]]) -> int:
    """Check that Host, Workload and view agree and were last written by one commit, or that none of
    them has a claim. Return the number of claims."""
    workloads = {item["metadata"]["name"]: item for item in objects[WORKLOADS]}
    claimed = {item["spec"]["claimRef"]["name"]: item for item in objects[f"{WORKLOAD_API}/hosts"] if item["spec"].get("claimRef")}
    views = {item["spec"]["consumerRef"]["name"]: item for item in objects[VIEWS] if item["spec"].get("consumerRef")}
    bound = {name for name, item in workloads.items() if (item.get("status") or {}).get("host")}
    assert bound == claimed.keys() == views.keys()
    for name in bound:
        assert revision_of(workloads[name]) == revision_of(claimed[name]) == revision_of(views[name]), f"the claim of {name} is torn"
    for claimer in claimers:
        for name, revision in claimer.claims.items():
            assert revision_of(workloads[name]) == revision
    return len(bound)

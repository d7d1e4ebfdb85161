"""List and watch all Workloads as an informer does, and compare the events with what is stored."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import aiohttp

from apiserver.registry.workload import WORKLOADS as RESOURCE
from tests.faults.process import NAMESPACE, WORKLOADS
from tests.faults.writers import revision_of

if TYPE_CHECKING:
    from storage.base import Event
    from tests.faults.process import Server

LAST = "the-last-one"
"""The Workload whose creation ends a Watcher."""
WORKLOAD_KEYS = RESOURCE.key(NAMESPACE, "")


@dataclass
class Segment:
    """The events of a watch after a revision, without a gap."""

    after: int
    events: list[tuple[str, dict[str, Any]]] = field(default_factory=list)


class Watcher:
    """A client that continues after its last event when its watch breaks.

    It lists again when the server reports that its revision is too old. `server` may be changed
    between two runs. `done`: whether it has seen LAST."""

    def __init__(self, server: Server) -> None:
        self.server, self.done = server, False
        self._revision = 0
        self.segments: list[Segment] = []

    async def run(self) -> None:
        """Run until the server is gone, or LAST arrives."""
        while True:
            if not self._revision:
                listed = await self.server.request("GET", WORKLOADS)
                self._revision = revision_of(listed)
                self.segments.append(Segment(self._revision))
                self.done = any(item["metadata"]["name"] == LAST for item in listed["items"])
            if self.done or await self._watch(self.segments[-1].events):
                return

    async def _watch(self, events: list[tuple[str, dict[str, Any]]]) -> bool:
        """Return True if nothing more is to come, False if it has to list again."""
        url = f"{self.server.url}{WORKLOADS}?watch=1&allowWatchBookmarks=true&resourceVersion={self._revision}"
        async with self.server.session.get(url, timeout=aiohttp.ClientTimeout(total=None), read_bufsize=1 << 22) as response:
            assert response.status == 200, await response.text()
            async for line in response.content:
                if not line.endswith(b"\n"):
                    return True  # cut off within an event
                event = json.loads(line)
                if event["type"] == "ERROR" and event["object"]["code"] == 410:
                    self._revision = 0
                    return False
                assert event["type"] in ("ADDED", "MODIFIED", "DELETED", "BOOKMARK"), line
                if event["type"] != "BOOKMARK":
                    events.append((event["type"], event["object"]))
                self._revision = revision_of(event["object"])
                if event["object"]["metadata"].get("name") == LAST:
                    self.done = True
                    return True
        return True


def check_watch(segments: list[Segment], history: list[Event]) -> int:
    """Assert that a client received what is stored, in order, without a gap since its list.

    Returns the number of those events."""
    for segment in segments:
        reported = [(kind, obj["metadata"]["name"], revision_of(obj)) for kind, obj in segment.events]
        upto = reported[-1][2] if reported else segment.after
        wanted = [
            (
                "DELETED" if event.type == "delete" else "MODIFIED" if event.previous else "ADDED",
                event.key.removeprefix(WORKLOAD_KEYS),
                event.revision,
            )
            for event in history
            if segment.after < event.revision <= upto
        ]
        assert reported == wanted
    return sum(len(segment.events) for segment in segments)

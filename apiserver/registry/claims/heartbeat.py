"""Know since when the storage has been served without a gap, so that no lease ends by what was lost.

Servers renew a record in the storage each minute. A record that is old, or that the storage's
revision has left far behind, says that nobody was served meanwhile, or that a backup was restored.
Extensions of leases may then be lost, or could not be asked for.
"""

from __future__ import annotations

import asyncio
import logging
from datetime import datetime
from typing import NamedTuple

import orjson

from apiserver.registry.generic.metadata import now
from storage.base import Conflict, KeyValue, Priority, Put, StorageError, Store

log = logging.getLogger(__name__)

KEY = "/server/heartbeat"
PERIOD = 60.0
"""The seconds between two heartbeats."""
AWAY = 300
"""The seconds without a heartbeat after which the storage was away. It covers a restart, and clocks of
replicas that differ a little."""
JUMP = 1_000_000
"""The revisions between two heartbeats that say that a backup was restored: each restore skips more."""
NEVER = "1970-01-01T00:00:00Z"


class Record(NamedTuple):
    """When the last heartbeat was, and since when there was no gap."""

    time: str
    since: str


def gap(found: KeyValue | None, revision: int, time: str) -> str | None:
    """Return why the storage was not served all the time until now, or None if it was."""
    if found is None:
        return "it has no heartbeat"
    last = Record(**orjson.loads(found.value)).time
    seconds = (datetime.fromisoformat(time) - datetime.fromisoformat(last)).total_seconds()
    if abs(seconds) > AWAY:
        return f"its last heartbeat was at {last}, and it is {time}"
    if revision - found.revision > JUMP:
        return f"a backup was restored: its revision is {revision - found.revision} ahead of its last heartbeat"
    return None


class Heartbeat:
    """The heartbeat of one storage, which any number of servers renew."""

    def __init__(self, store: Store) -> None:
        self._store = store

    async def run(self) -> None:
        """Renew the record until cancelled."""
        while True:
            try:
                await self.beat()
            except StorageError as error:
                log.warning("the heartbeat could not be stored: %s", error)
            await asyncio.sleep(PERIOD)

    async def beat(self) -> None:
        """Renew the record once."""
        found, since, why = await self._look()
        if why is not None:
            log.warning("leases that began before %s get more time, because extensions may be lost: the storage was away: %s", since, why)
        value, expected = orjson.dumps(Record(now(), since)._asdict()), found.revision if found is not None else 0
        try:
            # A tenant that fills the store must not prolong leases.
            await self._store.commit([Put(KEY, value, expected, Priority.RELEASE)])
        except Conflict:
            log.debug("another server has renewed the heartbeat")

    async def since(self) -> str:
        """Return since when the storage has been served without a gap."""
        return (await self._look())[1]

    async def _look(self) -> tuple[KeyValue | None, str, str | None]:
        """Return the record, since when there is no gap, and why there was one just now."""
        found, revision, time = await self._store.get(KEY), await self._store.current_revision(), now()
        why = gap(found, revision, time)
        if found is not None and why is None:
            return found, Record(**orjson.loads(found.value)).since, None
        if found is None and not await self._has_objects():
            return None, NEVER, None
        return found, time, why

    async def _has_objects(self) -> bool:
        page = await self._store.list("/", limit=16)
        return page.more or any(not item.key.startswith("/server/") for item in page.items)

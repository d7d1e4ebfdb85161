"""Determine since when the storage has been served without a gap.

Servers renew a record in the storage each minute. If the record is old, no client was served
meanwhile, or a backup was restored. If the storage's revision is far ahead of the record's, a
backup was restored. Tenants could not extend leases in a gap, or their extensions were lost. So
leases from before the gap get more time (see lease).
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
"""The seconds without a heartbeat that count as a gap. A restart takes less time, and the clocks of
replicas differ by less."""
JUMP = 1_000_000
"""The number of revisions between two heartbeats that shows a restore, because each restore skips
more."""
NEVER = "1970-01-01T00:00:00Z"


class Record(NamedTuple):
    """The time of the last heartbeat, and the time since which there is no gap (RFC 3339)."""

    time: str
    since: str


def gap(found: KeyValue | None, revision: int, time: str) -> str | None:
    """Return the reason for a gap between the record `found` and now, or None without a gap."""
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
    """The heartbeat of one storage, which any number of servers renew. For `period`, see PERIOD."""

    def __init__(self, store: Store, period: float = PERIOD) -> None:
        self._store, self._period = store, period

    async def run(self) -> None:
        """Renew the record until cancelled."""
        while True:
            try:
                await self.beat()
            except StorageError as error:
                log.warning("the heartbeat could not be stored: %s", error)
            await asyncio.sleep(self._period)

    async def beat(self) -> None:
        """Renew the record once. Raises StorageError."""
        found, since, why = await self._read()
        if why is not None:
            log.warning(
                "the storage was not served without a gap: %s; leases that began before %s get more time, because extensions may be lost",
                why,
                since,
            )
        value, expected = orjson.dumps(Record(now(), since)._asdict()), found.revision if found is not None else 0
        try:
            # The priority lets the record be written to a full store: a tenant that fills the store
            # must not prolong leases by a gap.
            await self._store.commit([Put(KEY, value, expected, Priority.RELEASE)])
        except Conflict:
            log.debug("another server has renewed the heartbeat")

    async def since(self) -> str:
        """Return the time since which there is no gap (RFC 3339). Raises StorageError."""
        return (await self._read())[1]

    async def _read(self) -> tuple[KeyValue | None, str, str | None]:
        """Return the record, the time since which there is no gap, and the reason of a gap until now."""
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

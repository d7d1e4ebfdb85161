"""Serve UsageRecords read-only, and maintain one for each host that a namespace has or had.

The commits that change a Host write its record (see claims.usagerecords). The task `keep` creates the
missing records of hosts that an earlier version claimed. It also deletes the records of Hosts that
were deleted long ago.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Iterable, Iterator

from apiserver.apis.usagerecord import UsageRecord
from apiserver.apis.workload import GROUP, VERSION
from apiserver.registry.claims import usagerecords
from apiserver.registry.generic.entry import Entry
from apiserver.registry.generic.registry import Registry
from apiserver.registry.generic.resource import AGE, READING, Column, Resource
from storage.base import Check, Conflict, Delete, Operation, StorageError
from storage.cache import WatchCache

log = logging.getLogger(__name__)

USAGERECORDS = Resource(
    group=GROUP,
    version=VERSION,
    kind="UsageRecord",
    plural="usagerecords",
    short_names=("mur",),
    model=UsageRecord,
    namespaced=False,
    columns=(
        Column("Host", "spec.host", description="The real host"),
        Column("Tenant", "spec.current.namespace", description="The namespace that has it"),
        Column("Class", "spec.current.className", description="The class that offered it"),
        Column("Size", "spec.current.size", description="CPUs, memory and disk space"),
        Column("Since", "spec.current.since", type="date", description="Since when tenant, class, size and power are as stated"),
        AGE,
    ),
    indexed={".namespace": "spec.current.namespace", ".poweredOn": "spec.current.poweredOn"},
    verbs=READING,
)

KEPT = 400 * usagerecords.DAY
"""The seconds from the last use of a deleted host until its record is deleted: thirteen months."""
SECONDS = 60.0
"""The seconds between two searches for hosts without a record."""


class UsageRecordRegistry(Registry):
    """The registry of UsageRecords. `hosts` is the registry of the Hosts that they describe."""

    def __init__(self, cache: WatchCache, hosts: Registry) -> None:
        super().__init__(USAGERECORDS, cache)
        self._hosts = hosts
        self.written = True
        """Whether the last search could write what it found missing."""

    async def keep(self) -> None:
        """Create missing records and delete old ones, until cancelled."""
        while True:
            await self.settle()
            await asyncio.sleep(SECONDS)

    async def settle(self) -> None:
        """Create missing records, and delete old ones."""
        self.written = await self._settle()

    async def _settle(self) -> bool:
        for operations in self._missing():
            try:
                await self.cache.commit(operations)
            except Conflict:
                continue  # the Host's own write, or another replica, has written the record
            except StorageError as error:
                log.warning("UsageRecords cannot be written now; until then, the histories of the Hosts keep the claims: %s", error)
                return False
        return True

    def _missing(self) -> Iterator[list[Operation]]:
        for host in list(self._hosts.collection.range()):
            known = self.find("", host.name)
            recorded = (known.fields[".namespace"], known.fields[".poweredOn"]) if known is not None else ("", "")
            if recorded != _present(host) and (made := usagerecords.operations(self, host.object(), begins=True, missed=True)):
                yield [*made, Check(host.key, host.revision)]
        yield from self._without_hosts(list(self.collection.range()))

    def _without_hosts(self, records: Iterable[Entry]) -> Iterator[list[Operation]]:
        for entry in records:
            if self._hosts.find("", entry.name) is not None:
                continue
            record = entry.object()
            end = usagerecords.ended(record["spec"])
            if end is None:
                yield [self.put(entry, {**record, "spec": usagerecords.released(record["spec"], int(time.time()))})]
            elif end + KEPT < time.time():
                yield [Delete(entry.key, entry.revision)]


def _present(host: Entry) -> tuple[str, str]:
    """Return the values of `.namespace` and `.poweredOn` in the record of this Host."""
    holder = host.fields[".claimNamespace"] or host.fields[".chargedTo"]
    return holder, str(host.fields[".poweredOn"] == "True") if holder else ""

"""Write the use of quotas of machines into their status.used.

kube-controller-manager does not write these names, because it does not know them. Every replica
counts the stored objects, so all replicas write the same numbers, before and after a restart.
Admission does not use these numbers; they are for readers of the quota.
"""

from __future__ import annotations

import asyncio
import itertools
import logging
from collections import Counter
from typing import Any

from apiserver.admission.machinelimits import limits, used_of
from apiserver.admission.resourcequota import QuotaConflict, Quotas, QuotaUnavailable
from apiserver.client.informer import Informer
from apiserver.client.objects import key_of, namespace_of
from apiserver.registry.claims.claims import Claims
from apiserver.registry.claims.quotausage import of_namespace
from storage.base import StorageError

log = logging.getLogger(__name__)

SECONDS = 1.0
"""The seconds between two checks for changes."""
REPEAT_SECONDS = 60.0
"""The seconds after which everything is counted again, even if nothing has changed."""


class QuotaStatusWriter:
    """Keeps status.used of the quotas that an informer follows."""

    def __init__(self, informer: Informer, quotas: Quotas, claims: Claims) -> None:
        self._informer, self._quotas, self._claims = informer, quotas, claims
        self._events = 0
        informer.add_handler(self._changed)

    async def run(self) -> None:
        """Write the status of quotas until cancelled."""
        counted, complaint = None, ""
        for looks in itertools.count():
            state = self._state()
            if state != counted or looks % int(REPEAT_SECONDS / SECONDS) == 0:
                try:
                    counted = state if await self.write() else None
                    complaint = ""
                except (QuotaUnavailable, StorageError, ValueError) as error:
                    counted = None
                    if str(error) != complaint:
                        complaint = str(error)
                        log.warning("status.used of quotas is not up to date: %s", error)
            await asyncio.sleep(SECONDS)

    async def write(self) -> bool:
        """Write each quota whose status differs from the count. Returns whether all are correct
        now.

        Raises QuotaUnavailable or StorageError."""
        namespaces = {namespace_of(quota) for quota in self._informer.store if limits([quota])}
        complete = True
        for namespace in sorted(namespaces):
            await asyncio.sleep(0)  # requests come between the counts of two namespaces
            limiting = [quota for quota in await self._quotas.get(namespace) if limits([quota])]
            counted = of_namespace(self._claims, namespace) if limiting else Counter[str]()
            for quota in limiting:
                complete &= await self._correct(quota, counted)
        return complete

    async def _correct(self, quota: dict[str, Any], counted: Counter[str]) -> bool:
        if _corrected(quota, counted) is None:
            return True
        # another replica may have stored more than this one has seen
        await self._claims.hosts.cache.confirm()
        if (corrected := _corrected(quota, of_namespace(self._claims, namespace_of(quota)))) is None:
            return True
        try:
            await self._quotas.put_status(corrected)
        except QuotaConflict:
            log.debug("%s was written by another client first", key_of(quota))
            return False
        return True

    def _state(self) -> tuple[int, ...]:
        """Return numbers that change with anything that is counted."""
        collections = (self._claims.workloads.collection, self._claims.hosts.collection)
        return (self._events, *(collection.received for collection in collections))

    def _changed(self, old: object, new: object) -> None:
        self._events += 1


def _corrected(quota: dict[str, Any], counted: Counter[str]) -> dict[str, Any] | None:
    """Return the quota with the counted use, or None if it has that already."""
    status = quota.get("status") or {}
    used = {**(status.get("used") or {}), **used_of(quota, counted)}
    if used == (status.get("used") or {}):
        return None
    return {"apiVersion": "v1", "kind": "ResourceQuota", **quota, "status": {**status, "used": used}}

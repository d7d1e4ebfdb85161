"""Reconcile offers: show every free host in the namespaces that may have it, and nowhere else.

controllers.offer.plan decides which namespaces see a host. The server stores the list
(Host.spec.offers), and creates and deletes the views.
"""

from __future__ import annotations

import asyncio
import time

from apiserver.apis.host import dirty_for, reserved_for, unavailable_reason
from apiserver.client.errors import ignore_not_found
from apiserver.client.objects import Object, deleting, name_of, uid_of
from controllers import kinds
from controllers.classaccess import admits, is_active
from controllers.cluster import Cluster, tenancy_of
from controllers.offer.plan import changes, current_offers, hardware_kind
from controllers.runtime.controller import Controller, Result

SETTLE = 0.1
"""The seconds for which changes are collected before a plan, because many hosts or namespaces often
change together."""
AT_ONCE = 16
SHARE = 10.0
"""The least ratio of the time between two plans of a class to the time that a plan takes."""
BATCH = 64
PLAN_SECONDS = 5.0
"""The seconds for which a plan is carried out. Then a new plan is made, which includes later
changes."""
RESYNC = 300.0


class OfferController:
    """Reconciles the offers of all hosts of a class, by the class's name."""

    def __init__(self, cluster: Cluster) -> None:
        self._cluster = cluster
        self._took: dict[str, float] = {}
        self._requests = asyncio.Semaphore(AT_ONCE)
        self.controller = Controller("offer", self.reconcile, workers=1, group=lambda name: name)
        cluster.hosts.add_handler(self._host_changed)
        cluster.classes.add_handler(self._class_changed)
        cluster.namespaces.add_handler(self._namespace_changed)

    async def run(self) -> None:
        await self.controller.run()

    def _host_changed(self, old: Object | None, new: Object | None) -> None:
        if old is not None and new is not None and _relevant(old) == _relevant(new):
            return
        for host in (old, new):
            if host is not None:
                self._settle(host["spec"]["className"])

    def _settle(self, class_name: str) -> None:
        """Queue a class after a delay, which grows with the time that planning takes."""
        self.controller.queue.add_after(class_name, max(SETTLE, SHARE * self._took.get(class_name, 0.0)))

    def _class_changed(self, old: Object | None, new: Object | None) -> None:
        if old is None or new is None or old["spec"] != new["spec"] or deleting(old) != deleting(new):
            class_ = new or old
            assert class_ is not None
            self._settle(name_of(class_))

    def _namespace_changed(self, old: Object | None, new: Object | None) -> None:
        if old is None or new is None or is_active(old) != is_active(new) or tenancy_of(old) != tenancy_of(new):
            for class_ in self._cluster.classes.store:
                self._settle(name_of(class_))

    async def reconcile(self, name: str) -> Result | None:
        """Update the offers of one class's hosts."""
        hosts = self._cluster.hosts.store.by_index("class", name)
        started = time.perf_counter()
        # This runs in a thread, because thousands of hosts take a while.
        wanted = await asyncio.to_thread(changes, hosts, self._namespaces(name), self._limit(name))
        self._took[name] = time.perf_counter() - started
        until = time.monotonic() + PLAN_SECONDS
        for start in range(0, len(wanted), BATCH):
            if time.monotonic() > until:
                return Result(requeue_after=SETTLE)
            await asyncio.gather(*(self._put(host, namespaces) for host, namespaces in wanted[start : start + BATCH]))
        return Result(requeue_after=RESYNC) if hosts else None

    def _namespaces(self, class_name: str) -> dict[str, str]:
        """Return the namespaces that may have the class's hosts: uids by name."""
        class_ = self._cluster.classes.store.get(class_name)
        if class_ is None:
            return {}
        found = (item for item in self._cluster.namespaces.store if is_active(item) and admits(class_, item))
        return {name_of(item): uid_of(item) for item in sorted(found, key=name_of)}

    def _limit(self, class_name: str) -> int | None:
        class_ = self._cluster.classes.store.get(class_name) or {"spec": {}}
        limit: int | None = (class_["spec"].get("offer") or {}).get("maxPerNamespace")
        return limit

    async def _put(self, host: str, namespaces: list[str]) -> None:
        body = {
            "apiVersion": kinds.HOSTS.api_version,
            "kind": "HostOffers",
            "metadata": {"name": host},
            "namespaces": namespaces,
        }
        async with self._requests:
            with ignore_not_found():
                await self._cluster.client.put(kinds.HOSTS, host, subresource="offers", body=body)


def _relevant(host: Object) -> tuple[object, ...]:
    """Return the parts of a Host on which the plan depends. They change less often than reports
    arrive."""
    claimed, offers = bool(host["spec"].get("claimRef")), current_offers(host)
    if unavailable_reason(host):
        held = (host.get("status") or {}).get("held") or {}
        return host["spec"]["className"], claimed, offers, held.get("namespace"), held.get("namespaceUID")
    return host["spec"]["className"], claimed, offers, hardware_kind(host), dirty_for(host), reserved_for(host)

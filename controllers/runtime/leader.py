"""Which of several replicas works: the seam, one for a single replica, and one by a coordination.k8s.io Lease.

The Lease elector steps down (raises LeadershipLost) well before another one may take over. It does not fence single
requests: everything the controllers write is idempotent or under optimistic locking.
"""

from __future__ import annotations

import asyncio
import logging
import os
import random
import socket
import uuid
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Protocol

from controllers.runtime.errors import ApiException, describe
from controllers.runtime.objects import Object, Resource

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from controllers.runtime.client import Client

__all__ = ["LEASES", "AlwaysLeader", "LeaderElector", "LeadershipLost", "LeaseElector"]

log = logging.getLogger(__name__)

LEASES = Resource("coordination.k8s.io", "v1", "leases", "Lease")


class LeadershipLost(Exception):
    """The lease could not be renewed in time; everything was stopped. Start again as a follower."""


class LeaderElector(Protocol):
    """Lets at most one replica work."""

    async def run(self, lead: Callable[[], Awaitable[None]]) -> None:
        """Waits to become leader, then runs `lead`, cancelling it when leadership is lost (raises LeadershipLost)."""


class AlwaysLeader:
    """For one replica."""

    async def run(self, lead: Callable[[], Awaitable[None]]) -> None:
        await lead()


class LeaseElector:
    """Leads while it holds the Lease, as client-go does: other holders' times are never compared with the own clock."""

    def __init__(
        self, client: Client, namespace: str, name: str, *, duration: float = 15.0, renew_deadline: float = 10.0, retry: float = 2.0
    ) -> None:
        self._client, self._namespace, self._name = client, namespace, name
        self._duration, self._deadline, self._retry = duration, renew_deadline, retry
        self.identity = f"{socket.gethostname()}_{os.getpid()}_{uuid.uuid4().hex[:8]}"
        self._seen: tuple[object, float] | None = None
        self._taken_by_another = False

    async def run(self, lead: Callable[[], Awaitable[None]]) -> None:
        while not await self._try():  # noqa: ASYNC110 (polls the server)
            await asyncio.sleep(self._retry * random.uniform(1.0, 1.2))
        log.info("leading as %s", self.identity)
        leading = asyncio.ensure_future(lead())
        renewing = asyncio.ensure_future(self._renew())
        try:
            await asyncio.wait({leading, renewing}, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for task in (leading, renewing):
                task.cancel()
            await asyncio.gather(leading, renewing, return_exceptions=True)
            if not renewing.cancelled() and renewing.exception() is not None:
                raise LeadershipLost(str(renewing.exception()))
            await self._release()
        if not leading.cancelled():
            leading.result()

    async def _renew(self) -> None:
        loop = asyncio.get_running_loop()
        renewed = loop.time()
        while True:
            await asyncio.sleep(self._retry)
            remaining = renewed + self._deadline - loop.time()
            try:
                async with asyncio.timeout(max(remaining, 0.01)):
                    held = await self._try()
            except TimeoutError:
                held = False
            if held:
                renewed = loop.time()
            elif self._taken_by_another or loop.time() - renewed >= self._deadline:
                raise LeadershipLost(f"the lease {self._namespace}/{self._name} was not renewed within {self._deadline:g} s")

    async def _try(self) -> bool:
        """Takes or renews the lease. False: somebody else has it, or the server does not answer."""
        self._taken_by_another = False
        try:
            try:
                lease = await self._client.get(LEASES, self._name, self._namespace)
            except ApiException as error:
                if not error.not_found:
                    raise
                await self._client.create(LEASES, self._lease(None), self._namespace)
                return True
            if not self._may_take(lease):
                self._taken_by_another = True
                return False
            await self._client.update(LEASES, self._lease(lease))
            return True
        except ApiException as error:
            if not error.conflict and not error.already_exists:
                log.warning("leader election: %s", describe(error))
            return False

    def _may_take(self, lease: Object) -> bool:
        spec = lease.get("spec") or {}
        if spec.get("holderIdentity") in {self.identity, "", None}:
            return True
        now = asyncio.get_running_loop().time()
        state = (spec.get("holderIdentity"), spec.get("renewTime"))
        if self._seen is None or self._seen[0] != state:
            self._seen = (state, now)
        return now - self._seen[1] > float(spec.get("leaseDurationSeconds") or self._duration)

    def _lease(self, current: Object | None) -> Object:
        now = datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ")
        old = (current or {}).get("spec") or {}
        mine = old.get("holderIdentity") == self.identity
        spec = {
            "holderIdentity": self.identity,
            "leaseDurationSeconds": int(self._duration),
            "acquireTime": old.get("acquireTime") if mine else now,
            "renewTime": now,
            "leaseTransitions": int(old.get("leaseTransitions") or 0) + (0 if mine or current is None else 1),
        }
        metadata = current["metadata"] if current else {"name": self._name, "namespace": self._namespace}
        return {"apiVersion": LEASES.api_version, "kind": LEASES.kind, "metadata": metadata, "spec": spec}

    async def _release(self) -> None:
        """Lets go, so that the next one need not wait. Best effort."""
        try:
            async with asyncio.timeout(self._retry):
                lease = await self._client.get(LEASES, self._name, self._namespace)
                if (lease.get("spec") or {}).get("holderIdentity") == self.identity:
                    lease["spec"] = {**lease["spec"], "holderIdentity": "", "leaseDurationSeconds": 1}
                    await self._client.update(LEASES, lease)
        except (ApiException, TimeoutError) as error:
            log.debug("the lease was not released: %s", describe(error))

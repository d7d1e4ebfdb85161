"""Elect the leader among replicas: an interface, a single replica, and a coordination.k8s.io Lease.

The Lease elector steps down (raises LeadershipLost) well before another replica may take over. Its
work runs under a fence (see `fence`), so it writes nothing after that time, however long the
process or machine was suspended.
"""

from __future__ import annotations

import asyncio
import contextvars
import logging
import os
import random
import socket
import uuid
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Protocol

from apiserver.client import fence
from apiserver.client.client import Client
from apiserver.client.errors import ApiException, describe
from apiserver.client.objects import Object, Resource
from controllers.runtime.manager import PATIENCE_SECONDS
from controllers.runtime.metrics import LEADER

log = logging.getLogger(__name__)

LEASES = Resource("coordination.k8s.io", "v1", "leases", "Lease")


class LeadershipLost(Exception):
    """Reports that the lease was not renewed in time. All work was stopped; the process must start
    again as a follower."""


@dataclass(frozen=True, slots=True)
class Timing:
    """The times of an election in seconds.

    Another replica takes over `duration` after the last renewal that it saw. The leader renews
    every `retry`, and steps down if that has failed for `renew_deadline`. That is before any other
    replica may take over, whatever the clocks say. A replica is unhealthy if the API server has not
    answered about the lease for `patience`.
    """

    duration: float = 8.0
    renew_deadline: float = 5.0
    retry: float = 1.0
    patience: float = PATIENCE_SECONDS

    def __post_init__(self) -> None:
        if not 0 < self.retry < self.renew_deadline < self.duration:
            raise ValueError(
                "leader election: the retry period has to be shorter than the renew deadline, and that shorter than the lease's duration"
            )


class LeaderElector(Protocol):
    """Lets at most one replica work."""

    async def run(self, lead: Callable[[], Awaitable[None]]) -> None:
        """Wait for leadership, then run `lead`. Raises LeadershipLost, after cancelling it, if it
        is lost."""

    def problem(self) -> str | None:
        """Return why this replica could not take over, or None if it only waits."""


class AlwaysLeader:
    """The elector for a single replica."""

    def __init__(self, name: str) -> None:
        self._leads = LEADER.labels(name)

    async def run(self, lead: Callable[[], Awaitable[None]]) -> None:
        self._leads.set(1)
        try:
            await lead()
        finally:
            self._leads.set(0)

    def problem(self) -> str | None:
        return "starting"


class LeaseElector:
    """Leads while it holds the Lease.

    As in client-go, times that another holder wrote are never compared with this replica's
    clock."""

    def __init__(self, client: Client, namespace: str, name: str, timing: Timing | None = None, *, identity: str = "") -> None:
        self._client, self._namespace, self._name = client, namespace, name
        self._timing = timing or Timing()
        self.identity = identity or replica()
        self.fence = fence.Fence()
        self._leads = LEADER.labels(name)
        self._seen: tuple[object, float] | None = None
        self._taken_by_another = False
        self._answered: float | None = None

    def problem(self) -> str | None:
        """Return why this replica could not take a free lease, or None. The reason is an API server
        that has not answered for too long, or not yet."""
        if self._answered is None:
            return "the API server has not been asked for the lease yet, or did not answer"
        silent = asyncio.get_running_loop().time() - self._answered
        return f"the API server has not answered about the lease for {silent:.0f} s" if silent > self._timing.patience else None

    async def run(self, lead: Callable[[], Awaitable[None]]) -> None:
        while not await self._hold():  # noqa: ASYNC110 (polls the server)
            await asyncio.sleep(self._timing.retry * random.uniform(1.0, 1.2))
        log.info("leading as %s", self.identity)
        self._leads.set(1)
        leading = asyncio.create_task(_run(lead), context=self._fenced())
        renewing = asyncio.create_task(self._renew())
        try:
            await asyncio.wait({leading, renewing}, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for task in (leading, renewing):
                task.cancel()
            await asyncio.gather(leading, renewing, return_exceptions=True)
            self.fence.close()
            self._leads.set(0)
            if not renewing.cancelled() and renewing.exception() is not None:
                raise LeadershipLost(str(renewing.exception()))
            await self._release()
        if not leading.cancelled():
            leading.result()

    def _fenced(self) -> contextvars.Context:
        context = contextvars.copy_context()
        context.run(fence.current.set, self.fence)
        return context

    async def _renew(self) -> None:
        loop = asyncio.get_running_loop()
        renewed = loop.time()
        while True:
            await asyncio.sleep(self._timing.retry)
            began = loop.time()
            remaining = renewed + self._timing.renew_deadline - began
            try:
                async with asyncio.timeout(max(remaining, 0.01)):
                    held = await self._hold()
            except TimeoutError:
                held = False
            if held:
                renewed = began
            elif self._taken_by_another or loop.time() - renewed >= self._timing.renew_deadline:
                self.fence.close()
                raise LeadershipLost(
                    f"the lease {self._namespace}/{self._name} was not renewed within {self._timing.renew_deadline:g} s: "
                    "another replica leads, or the API server did not answer"
                )

    async def _hold(self) -> bool:
        """Take or renew the lease, and open the fence for its duration, counted from before the
        request."""
        began = self.fence.clock()
        if not await self._try():
            return False
        self.fence.open_until(began + self._timing.renew_deadline)
        return True

    async def _try(self) -> bool:
        """Take or renew the lease. Return False if another replica has it, or the server does not
        answer."""
        self._taken_by_another = False
        try:
            lease = await self._client.find(LEASES, self._name, self._namespace)
            if lease is None:
                await self._client.create(LEASES, self._lease(None), self._namespace)
                self._answered = asyncio.get_running_loop().time()
                return True
            self._answered = asyncio.get_running_loop().time()
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
        return now - self._seen[1] > float(spec.get("leaseDurationSeconds") or self._timing.duration)

    def _lease(self, current: Object | None) -> Object:
        now = datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ")
        old = (current or {}).get("spec") or {}
        mine = old.get("holderIdentity") == self.identity
        spec = {
            "holderIdentity": self.identity,
            "leaseDurationSeconds": max(1, round(self._timing.duration)),
            "acquireTime": old.get("acquireTime") if mine else now,
            "renewTime": now,
            "leaseTransitions": int(old.get("leaseTransitions") or 0) + (0 if mine or current is None else 1),
        }
        metadata = current["metadata"] if current else {"name": self._name, "namespace": self._namespace}
        return {"apiVersion": LEASES.api_version, "kind": LEASES.kind, "metadata": metadata, "spec": spec}

    async def _release(self) -> None:
        """Release the lease, so that the next leader need not wait. Errors are ignored."""
        try:
            async with asyncio.timeout(self._timing.retry):
                lease = await self._client.get(LEASES, self._name, self._namespace)
                if (lease.get("spec") or {}).get("holderIdentity") == self.identity:
                    lease["spec"] = {**lease["spec"], "holderIdentity": "", "leaseDurationSeconds": 1}
                    await self._client.update(LEASES, lease)
        except (ApiException, TimeoutError) as error:
            log.debug("the lease was not released: %s", describe(error))


def replica() -> str:
    """Return a unique name for this process: host name, process ID, and a random part."""
    return f"{socket.gethostname()}_{os.getpid()}_{uuid.uuid4().hex[:8]}"


async def _run(lead: Callable[[], Awaitable[None]]) -> None:
    await lead()

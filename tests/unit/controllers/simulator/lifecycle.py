"""Simulate a host's life cycle without waiting: run the pure steps on a fake clock, and write as
the API server does."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any, TypeVar

from apiserver.apis.metal3 import BareMetalHost, BareMetalHostStatus
from controllers.simulator.machine import FINALIZER, Step, step
from controllers.simulator.secrets import KnownSecret
from controllers.simulator.settings import Settings

if TYPE_CHECKING:
    from controllers.simulator.reconcileinfo import Progress

T = TypeVar("T")
IMAGE = {"url": "http://images.example/os.qcow2", "checksum": "abc", "checksumType": "sha256"}
BMC = {"address": "redfish://192.0.2.7/redfish/v1/Systems/1", "credentialsName": "host-0-bmc"}


def new_host(spec: dict[str, Any] | None = None, **metadata: Any) -> BareMetalHost:
    """Return a host as its owner creates it."""
    base = {"name": "host-0", "namespace": "metal3", "uid": "11111111-2222-3333-4444-555555555555"}
    return BareMetalHost.decode({"metadata": {**base, **metadata}, "spec": {"online": True, "bmc": BMC, **(spec or {})}})


class HostLifecycle:
    """One host, its secrets and its clock. `states` lists the provisioning states, in order,
    without repetitions."""

    def __init__(self, host: BareMetalHost | None = None, settings: Settings | None = None) -> None:
        self.host = host or new_host()
        self.secrets = {"host-0-bmc": KnownSecret("1", frozenset({"username", "password"}))}
        self.settings = settings or Settings()
        self.now = 1_700_000_000.0
        self.progress: Progress | None = None
        self.states: list[str] = []
        self.powers: list[bool] = []
        self.errors: list[str] = []
        self.events: list[str] = []
        self.writes = 0
        self.gone = False

    @property
    def status(self) -> BareMetalHostStatus:
        assert self.host.status is not None
        return self.host.status

    @property
    def state(self) -> str:
        return self.status.provisioning.state if self.host.status else ""

    def once(self) -> Step:
        """Take one step, and write it if it changes anything."""
        found = step(self.host, self.secrets, self.progress, self.now, self.settings)
        if found.host != self.host:
            self.writes += 1
        if found.metadata_changed:
            assert found.host.status == self.host.status, "metadata and status in one step"
        self.host, self.progress = found.host, found.progress
        self.events += [reason for reason, _ in found.events]
        self.gone = self.host.metadata.deletion_timestamp is not None and FINALIZER not in (self.host.metadata.finalizers or ())
        self._observe()
        return found

    def settle(self, *, seconds: float = 600.0, kills: bool = False) -> None:
        """Take steps until nothing is left to do, or `seconds` have passed.

        `kills`: discard everything in memory after every write, as a restart does."""
        end, count = self.now + seconds, 0
        while not self.gone and self.now < end:
            before = self.writes
            found = self.once()
            count += 1
            assert count < 2000, f"it never comes to rest: {self.states[-5:]}"
            if math.isinf(found.wake):
                return
            if kills and self.writes > before:
                self.progress = None
            self.now += found.wake

    def run(self, seconds: float) -> None:
        """Run for exactly this many seconds."""
        self.settle(seconds=seconds)

    def annotate(self, **changes: str | None) -> None:
        """Set annotations. Keys with dots and slashes are passed as `**{...}`."""
        annotations = {**(self.host.metadata.annotations or {}), **{k: v for k, v in changes.items() if v is not None}}
        self.host.metadata.annotations = {k: v for k, v in annotations.items() if changes.get(k, "") is not None}

    def want(self, **spec: Any) -> None:
        """Change the spec, given as JSON; None removes a field."""
        merged = {**self.host.spec.encode(), **spec}
        self.host = self.host.model_copy(update={"spec": type(self.host.spec).decode({k: v for k, v in merged.items() if v is not None})})

    def delete(self) -> None:
        self.host.metadata.deletion_timestamp = "2026-01-01T00:00:00Z"

    def _observe(self) -> None:
        if self.host.status is None:
            return
        status = self.status
        _note(self.states, self.state)
        _note(self.powers, status.powered_on)
        _note(self.errors, status.error_message)


def _note(seen: list[T], value: T) -> None:
    if not seen or seen[-1] != value:
        seen.append(value)


def available(spec: dict[str, Any] | None = None, settings: Settings | None = None, **metadata: Any) -> HostLifecycle:
    """Return a host that is available and idle, without its history."""
    lifecycle = HostLifecycle(new_host(spec, **metadata), settings)
    lifecycle.settle()
    assert lifecycle.state == "available", lifecycle.states
    lifecycle.states, lifecycle.powers, lifecycle.errors, lifecycle.events = ["available"], [lifecycle.status.powered_on], [""], []
    return lifecycle


def provisioned(**spec: Any) -> HostLifecycle:
    """Return a host that runs an image."""
    lifecycle = available(spec)
    lifecycle.want(image=IMAGE)
    lifecycle.settle()
    assert lifecycle.state == "provisioned", lifecycle.states
    lifecycle.states, lifecycle.powers, lifecycle.errors, lifecycle.events = ["provisioned"], [lifecycle.status.powered_on], [""], []
    return lifecycle

"""Run the simulated operator: follow BareMetalHosts and secrets of a hardware cluster, and write
what `machine` decides.

The simulator is a client of the cluster's API. It drops the values of secrets as soon as they
arrive. The only state in memory, for how long the hardware has been busy, may be lost at any time.
Run one instance per cluster. Two instances do no harm, but log and record everything twice.
"""

from __future__ import annotations

import logging
import math
import time
from collections.abc import Callable, Iterable
from typing import Any, Literal

from pydantic import ValidationError

from apiserver.apis.metal3 import GROUP, VERSION, BareMetalHost, HardwareDetails
from apiserver.apis.wording import sentence
from apiserver.client.client import Client
from apiserver.client.errors import ignore_not_found
from apiserver.client.informer import Informer
from apiserver.client.objects import Object, Resource, key_of, name_of, namespace_of
from controllers.runtime.controller import Controller, Result, TerminalError
from controllers.runtime.events import EventRecorder
from controllers.runtime.manager import Manager
from controllers.simulator import hardwaredata
from controllers.simulator.machine import Step, step
from controllers.simulator.reconcileinfo import Progress
from controllers.simulator.secrets import Secrets, known, names_in_use
from controllers.simulator.settings import Settings

log = logging.getLogger(__name__)

HOSTS = Resource(GROUP, VERSION, "baremetalhosts", "BareMetalHost")
SECRETS = Resource("", "v1", "secrets", "Secret")
COMPONENT = "metal3-baremetal-controller"
STEPS = 50
"""The most steps of one reconcile, far more than a host takes without waiting. The host is then
queued again."""


class Simulator:
    """Simulates a Baremetal Operator without hardware.

    `namespace` "" means all namespaces. Call `run`, or run `manager` as part of another program."""

    def __init__(
        self, client: Client, settings: Settings, *, namespace: str = "", workers: int = 16, clock: Callable[[], float] = time.time
    ) -> None:
        self._client, self._settings, self._clock = client, settings, clock
        self.manager = Manager()
        self._hosts = self.manager.informer(Informer(client, HOSTS, namespace=namespace, indexers={"secret": _secrets_of}))
        self._secrets = self.manager.informer(Informer(client, SECRETS, namespace=namespace, transform=_without_values))
        self._controller = Controller("simulated host", self.reconcile, workers=workers)
        self._recorder = EventRecorder(client, COMPONENT)
        self._progress: dict[str, Progress] = {}
        self._written: dict[str, Object] = {}
        self._hosts.add_handler(self._host_changed)
        self._secrets.add_handler(self._secret_changed)
        self.manager.add(self._controller)
        self.manager.add(self._recorder)

    async def run(self) -> None:
        """Work until cancelled."""
        await self.manager.run()

    async def reconcile(self, key: str) -> Result | None:
        """Take all steps of one host that are possible without waiting."""
        obj = self._latest(key)
        if obj is None:
            self._forget(key)
            return None
        for _ in range(STEPS):
            host = _decode(obj)
            found = step(host, self._secrets_for(host), self._progress.get(key), self._clock(), self._settings)
            written = await self._write(obj, host, found)
            self._remember(key, found.progress)
            if written is None:
                return None if math.isinf(found.wake) else Result(requeue_after=found.wake)
            self._send_events(written, host, found)
            obj = self._written[key] = written
        return Result(requeue_after=0.0)

    async def _write(self, obj: Object, before: BareMetalHost, found: Step) -> Object | None:
        """Write what has changed. Raises a conflict if the object was changed in between.

        Returns None if nothing has changed, or the host is gone."""
        with ignore_not_found():
            if found.metadata_changed:
                if before.metadata.deletion_timestamp is not None:
                    await hardwaredata.remove(self._client, obj)
                return await self._client.patch(HOSTS, name_of(obj), _patch(before, found.host), namespace_of(obj))
            if found.host.status == before.status or found.host.status is None:
                return None
            await self._write_hardware(obj, before, found.host.status.hardware)
            return await self._client.update(HOSTS, {**obj, "status": found.host.status.encode()}, subresource="status")
        self._forget(key_of(obj))
        return None

    async def _write_hardware(self, obj: Object, before: BareMetalHost, hardware: HardwareDetails | None) -> None:
        """Write the HardwareData before the status, so that after a crash it is written again."""
        if hardware is not None and (before.status is None or before.status.hardware != hardware):
            await hardwaredata.replace(self._client, obj, hardware)

    def _send_events(self, obj: Object, before: BareMetalHost, found: Step) -> None:
        old, new = _state(before), _state(found.host)
        if old != new:
            log.info("%s: %s -> %s", key_of(obj), old or "new", new)
        for reason, message in found.events:
            kind: Literal["Normal", "Warning"] = "Warning" if reason.endswith("Error") else "Normal"
            self._recorder.event(obj, kind, reason, message)

    def _latest(self, key: str) -> Object | None:
        """Return the host as last seen, or as last written if the watch has not caught up yet."""
        seen, written = self._hosts.store.get(key), self._written.get(key)
        if seen is None or written is None or seen["metadata"]["uid"] != written["metadata"]["uid"]:
            return seen
        return written if _version(written) > _version(seen) else seen

    def _secrets_for(self, host: BareMetalHost) -> Secrets:
        """Return the existing secrets that the host refers to."""
        found = {name: self._secrets.store.get(f"{host.metadata.namespace}/{name}") for name in names_in_use(host.spec)}
        return {name: known(secret) for name, secret in found.items() if secret is not None}

    def _remember(self, key: str, progress: Progress | None) -> None:
        if progress is None:
            self._progress.pop(key, None)
        else:
            self._progress[key] = progress

    def _forget(self, key: str) -> None:
        self._progress.pop(key, None)
        self._written.pop(key, None)

    def _host_changed(self, old: Object | None, new: Object | None) -> None:
        if (obj := new or old) is not None:
            self._controller.queue.add(key_of(obj))

    def _secret_changed(self, old: Object | None, new: Object | None) -> None:
        if (secret := new or old) is not None:
            for host in self._hosts.store.by_index("secret", key_of(secret)):
                self._controller.queue.add(key_of(host))


def _decode(obj: Object) -> BareMetalHost:
    """Return the host. An empty status, which some clients write, counts as none."""
    try:
        return BareMetalHost.decode({key: value for key, value in obj.items() if key != "status" or value})
    except ValidationError as error:
        raise TerminalError(f"this is no BareMetalHost: {sentence(error.errors(include_url=False)[0])}") from None


def _patch(before: BareMetalHost, after: BareMetalHost) -> Object:
    """Return the merge patch of what a step may change besides the status.

    That is: annotations, finalizers, architecture."""
    old, new = before.metadata.annotations or {}, after.metadata.annotations or {}
    metadata: dict[str, Any] = {"resourceVersion": before.metadata.resource_version}
    changes = {key: new.get(key) for key in old.keys() | new.keys() if old.get(key) != new.get(key)}
    if changes:
        metadata["annotations"] = changes
    if before.metadata.finalizers != after.metadata.finalizers:
        metadata["finalizers"] = after.metadata.finalizers
    spec = {"architecture": after.spec.architecture} if before.spec.architecture != after.spec.architecture else {}
    return {"metadata": metadata, **({"spec": spec} if spec else {})}


def _state(host: BareMetalHost) -> str:
    return host.status.provisioning.state if host.status else ""


def _secrets_of(obj: Object) -> Iterable[str]:
    try:
        return [f"{namespace_of(obj)}/{name}" for name in names_in_use(_decode(obj).spec)]
    except TerminalError:
        return []  # its own reconciliation reports the error; the other hosts are not affected


def _without_values(secret: Object) -> Object:
    # Only the version of the secret changes when a value changes.
    return {"metadata": secret["metadata"], "data": {key: bool(value) for key, value in (secret.get("data") or {}).items()}}


def _version(obj: Object) -> int:
    return int(obj["metadata"]["resourceVersion"])

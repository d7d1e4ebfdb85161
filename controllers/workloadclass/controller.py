"""Reconcile WorkloadClasses: run one provider per class with its credentials, and report its state.

A deleted class stays until none of its hosts is claimed, as a volume stays while a pod uses it.
"""

from __future__ import annotations

import base64
from typing import Literal

from apiserver.client.errors import ApiException
from apiserver.client.objects import Object, deleting, name_of
from controllers import kinds
from controllers.cluster import Cluster, with_conditions
from controllers.providers.base import BadClass, ProviderError
from controllers.runtime.conditions import condition, find_condition, is_true
from controllers.runtime.controller import Controller, Result
from controllers.secrets import missing_right, version_of
from controllers.workloadclass.providers import Sources
from controllers.workloadclass.status import HostCounts

COUNT_AFTER = 0.5
"""The seconds from a host's change to the update of the class, because many hosts often change
together."""
RETRY_CLASS = 30.0
NAMED = 5
"""The most Workloads that a message names."""


class ClassController:
    """Reconciles WorkloadClasses by name."""

    def __init__(self, cluster: Cluster, sources: Sources) -> None:
        self._cluster, self._sources = cluster, sources
        self._known: dict[str, tuple[str, dict[str, bytes]]] = {}
        self._counts = HostCounts()
        self._overlapping: set[str] = set()
        self.controller = Controller("class", self.reconcile, workers=1, group=lambda name: name)
        queue = self.controller.queue
        cluster.classes.add_handler(self._class_changed)
        cluster.secrets.add_handler(self._secret_changed)
        cluster.hosts.add_handler(self._host_changed)
        sources.add_health_handler(queue.add)

    async def run(self) -> None:
        try:
            await self.controller.run()
        finally:
            await self._sources.close()

    def _class_changed(self, old: Object | None, new: Object | None) -> None:
        class_ = new or old
        assert class_ is not None
        if old is not None and new is not None and _asked(old) == _asked(new):
            # This is probably the event of this controller's own write. The counts of hosts may
            # have changed again since, so the class is queued, but not at once.
            self.controller.queue.add_after(name_of(class_), COUNT_AFTER)
        else:
            self.controller.queue.add(name_of(class_))

    def _secret_changed(self, key: str) -> None:
        for class_ in self._cluster.classes.store.by_index("secret", key):
            self.controller.queue.add(name_of(class_))

    def _host_changed(self, old: Object | None, new: Object | None) -> None:
        if self._counts.update(old, new):
            for host in (old, new):
                if host is not None:
                    self.controller.queue.add_after(host["spec"]["className"], COUNT_AFTER)

    async def reconcile(self, name: str) -> Result | None:
        """Start, restart or stop the class's provider, and write the class's status."""
        class_ = self._cluster.classes.store.get(name)
        if class_ is None:
            self._known.pop(name, None)
            self._overlapping.discard(name)
            await self._sources.stop(name)
            return None
        users = self._users(name) if deleting(class_) else []
        class_ = await self._protect(class_, wanted=not deleting(class_) or bool(users))
        if deleting(class_) and not users:
            return None
        problem: ProviderError | None
        try:
            await self._sources.ensure(name, class_["spec"], await self._credentials(class_))
            problem = self._sources.problem(name)
        except BadClass as error:
            await self._sources.stop(name)
            problem = error
        await self._report(class_, problem, users)
        return Result(requeue_after=RETRY_CLASS) if problem or self._sources.fresh(name) else None

    def _users(self, name: str) -> list[str]:
        """Return the Workloads that have hosts of the class."""
        claims = (host["spec"].get("claimRef") for host in self._cluster.hosts.store.by_index("class", name))
        return sorted(f"{claim['namespace']}/{claim['name']}" for claim in claims if claim)

    async def _protect(self, class_: Object, *, wanted: bool) -> Object:
        """Add our finalizer to the class, or remove it. Return the resulting class."""
        finalizers = class_["metadata"].get("finalizers") or []
        if (kinds.IN_USE_FINALIZER in finalizers) == wanted:
            return class_
        left = [finalizer for finalizer in finalizers if finalizer != kinds.IN_USE_FINALIZER]
        changed = [*left, kinds.IN_USE_FINALIZER] if wanted else left
        patch = {"metadata": {"resourceVersion": class_["metadata"]["resourceVersion"], "finalizers": changed}}
        written = await self._cluster.client.patch(kinds.CLASSES, name_of(class_), patch)
        self._cluster.learn(kinds.CLASSES, written)
        return written

    async def _credentials(self, class_: Object) -> dict[str, bytes]:
        """Return the decoded data of the class's secret, {} without one. Raises BadClass if it is
        missing."""
        reference = class_["spec"].get("credentialsSecretRef")
        if not reference:
            return {}
        key = f"{reference['namespace']}/{reference['name']}"
        version = self._cluster.secrets.version(key)
        known = self._known.get(name_of(class_))
        if known is not None and version and known[0] == f"{key}/{version}":
            return known[1]
        secret = await self._read(key)
        credentials = {key: base64.b64decode(value) for key, value in (secret.get("data") or {}).items()}
        self._known[name_of(class_)] = (f"{key}/{version_of(secret)}", credentials)
        return credentials

    async def _read(self, key: str) -> Object:
        try:
            secret = await self._cluster.secrets.read(key)
        except ApiException as error:
            if not error.forbidden:
                raise
            raise BadClass("SecretForbidden", missing_right(key.partition("/")[0])) from None
        if secret is None:
            message = f"the secret {key} does not exist: create it, or correct spec.credentialsSecretRef"
            raise BadClass("SecretNotFound", message)
        return secret

    def _too_early(self, name: str, before: list[Object] | None, found: Object) -> bool:
        """Return whether it is too early to replace an earlier condition.

        Either the first read of the source since the start of the controllers is not complete, or
        it is not known yet which hosts belong to another class."""
        if found["type"] == "Connected":
            return is_true(before, "Connected") and found["status"] == "False" and self._sources.starting(name)
        if found["type"] == "Exclusive" and name not in self._overlapping:
            said = find_condition(before, "Exclusive")
            return said is not None and said["status"] == "False" != found["status"] and self._sources.fresh(name)
        return False

    async def _report(self, class_: Object, problem: ProviderError | None, users: list[str]) -> None:
        name, generation = name_of(class_), class_["metadata"].get("generation")
        if problem is None:
            conditions = [condition("Connected", True, "Connected", "the source of machines answers", generation=generation)]
        else:
            conditions = [condition("Connected", False, problem.reason, problem.message, generation=generation)]
        if overlaps := len(self._sources.overlaps(name)):
            self._overlapping.add(name)
        conditions.append(_overlap(overlaps, generation))
        if deleting(class_):
            conditions.append(condition("Removable", False, "InUse", in_use(users), generation=generation))
        before = (class_.get("status") or {}).get("conditions")
        early = [found for found in conditions if self._too_early(name, before, found)]
        conditions = [found for found in conditions if found not in early]
        status = {
            "observedGeneration": generation,
            "conditions": with_conditions(class_, conditions),
            "hosts": self._counts.of(name),
        }
        await self._cluster.patch_status(kinds.CLASSES, class_, status)
        about = {"apiVersion": kinds.CLASSES.api_version, "kind": "WorkloadClass", "metadata": class_["metadata"]}
        if users and find_condition(before, "Removable") is None:
            self._cluster.events.event(about, "Warning", "InUse", in_use(users))
        if (news := _news(before, conditions)) is not None:
            self._cluster.events.event(about, *news)


def _news(before: list[Object] | None, conditions: list[Object]) -> tuple[Literal["Normal", "Warning"], str, str] | None:
    """Return the event about a change of the class's connection, or None.

    The first connection attempt is not an event."""
    old, new = find_condition(before, "Connected"), find_condition(conditions, "Connected")
    if new is None or new["reason"] == "Connecting" or (old is not None and old["reason"] == new["reason"]):
        return None
    return "Normal" if new["status"] == "True" else "Warning", new["reason"], new["message"]


def _asked(class_: Object) -> tuple[object, ...]:
    """Return the parts of the class that this controller does not write."""
    metadata = class_["metadata"]
    return class_["spec"], metadata.get("uid"), metadata.get("deletionTimestamp"), metadata.get("finalizers")


def in_use(users: list[str]) -> str:
    """Return what the deletion of a class waits for, and how to end the wait."""
    some = ", ".join(users[:NAMED]) + (f" and {len(users) - NAMED} more" if len(users) > NAMED else "")
    have = "has a host" if len(users) == 1 else "have hosts"
    return (
        f"{some} {have} of the class, which stays as long as it is in use: to keep a machine's disks, clear spec.claimRef of its Host; "
        "deleting a Workload wipes its machine"
    )


def _overlap(count: int, generation: int | None) -> Object:
    if not count:
        return condition("Exclusive", True, "Exclusive", "no other class has the same hosts", generation=generation)
    message = f"{count} of the hosts are already another class's: tell the classes apart by spec.hostSelector or parameters"
    return condition("Exclusive", False, "HostsOverlap", message, generation=generation)

"""Carry out a recovery of hosts whose claims the store has lost.

Every step first checks whether it is done, so the same command may be run again at any time."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Set
from dataclasses import dataclass
from functools import partial

from apiserver.apis.host import host_name
from apiserver.client.client import Client
from apiserver.client.errors import ApiException
from apiserver.client.objects import Object, Resource, annotations_of, labels_of, name_of, namespace_of, uid_of
from apiserver.client.text import printable
from controllers import kinds
from controllers.providers.baremetalhost import lost as plan
from controllers.providers.baremetalhost import names
from controllers.providers.baremetalhost.hardware import class_identity, class_namespace, connect
from controllers.providers.baremetalhost.refusals import REFUSALS
from controllers.recovery import Options, Summary
from controllers.resumable import Blocked, Reporter, until

PROVISIONER = "metal3.io/baremetalhost"
AGENT = "metal3-workloads-recover"
REPORT_SECONDS = 60.0
"""The seconds that the controllers have to report what was written to a real host."""


@dataclass(frozen=True, slots=True)
class Begun:
    """Describe a host that its Workload may have again.

    `key` is the Workload's, and `host` the name of the Host. `workload` is the Workload to create,
    or None if it exists or its tenant creates it. `awaited` says whether the command waits for the
    claim."""

    key: str
    host: str
    workload: Object | None
    awaited: bool


class Recoverer:
    """Gives the hosts of all classes back to their Workloads. `reporter` shows the progress."""

    def __init__(self, management: Client, options: Options, reporter: Reporter) -> None:
        self._management, self._options, self._reporter = management, options, reporter
        self._summary = Summary()
        self._namespaces: dict[str, Object] = {}
        self._shared: dict[tuple[str, str], str] = {}

    async def run(self) -> Summary:
        """Recover everything.

        Raises ApiException if a cluster does not answer, and Blocked for a class that does not
        exist."""
        present = await self._all(kinds.CLASSES)
        check_classes({name_of(class_) for class_ in present}, self._options.classes)
        found = [class_ for class_ in present if class_["spec"]["provisioner"] == PROVISIONER]
        classes = [class_ for class_ in found if not self._options.classes or name_of(class_) in self._options.classes]
        self._namespaces = {name_of(namespace): namespace for namespace in await self._all(kinds.NAMESPACES)}
        lost = [(class_, await self._lost(class_)) for class_ in classes]
        self._shared = plan.shared_keys(bmh for _, found in lost for bmh, _ in found)
        begun = [one for class_, found in lost for one in await self._class(class_, found)]
        reported_by = asyncio.get_running_loop().time() + REPORT_SECONDS
        for one in list(begun):
            if one.workload is not None and (refused := await self._create(one.workload, one.host, reported_by)) is not None:
                self._fail(one.key, f"failed: {refused}")
                begun.remove(one)
        for number, one in enumerate(begun):
            self._reporter.advance(number, len(begun))
            done = one.awaited and await until(partial(self._is_claimed, one.host), self._options.timeout)
            (self._summary.recovered if done else self._summary.waiting).append(one.key)
        return self._summary

    async def _lost(self, class_: Object) -> list[tuple[Object, Object | None]]:
        """Return the lost hosts of a class, each with its Host."""
        identity = class_identity(class_, self._namespaces.get("kube-system"))
        found = []
        async with await connect(self._management, class_, agent=AGENT) as hardware:
            for bmh in (await hardware.list_all(names.BARE_METAL_HOSTS, class_namespace(class_)))[0]:
                host = await self._management.find(kinds.HOSTS, host_name(uid_of(bmh)))
                of_another = host is not None and host["spec"]["className"] != name_of(class_)
                if not of_another and plan.is_lost(bmh, host, identity) and self._is_wanted(plan.lost_key(bmh)[0]):
                    found.append((bmh, host))
        return found

    async def _class(self, class_: Object, found: list[tuple[Object, Object | None]]) -> list[Begun]:
        """Mark the lost hosts of a class."""
        async with await connect(self._management, class_, agent=AGENT) as hardware:
            begun = [await self._begin(hardware, bmh, host, class_) for bmh, host in found]
        return [one for one in begun if one is not None]

    def _is_wanted(self, namespace: str) -> bool:
        return not self._options.namespaces or namespace in self._options.namespaces

    async def _begin(self, hardware: Client, bmh: Object, host: Object | None, class_: Object) -> Begun | None:
        """Mark the host for the successor of its lost Workload. Return None if that is not
        possible."""
        namespace, name = plan.lost_key(bmh)
        key, real = f"{namespace}/{name}", f"{namespace_of(bmh)}/{name_of(bmh)}"
        workload = await self._management.find(kinds.WORKLOADS, name, namespace) if namespace in self._namespaces else None
        made = plan.successor(bmh, name_of(class_)) if workload is None and self._options.create else None
        taking = workload or made or plan.unknown_successor(bmh, name_of(class_))
        why = (
            self._shared.get((namespace, name))
            or plan.obstacle(bmh, host, workload, self._namespaces)
            or plan.forbidden(class_, bmh, taking, self._namespaces)
        )
        if why is not None:
            self._fail(key, f"on {real}: failed: {why}")
            return None
        what = plan.described(taking, bmh)
        if self._options.dry_run:
            self._reporter.say(f"{key}: would get {real} back: {what}")
            self._summary.waiting.append(key)
            return None
        if annotations_of(bmh).get(names.RECOVER) != labels_of(bmh)[names.WORKLOAD_UID]:
            await hardware.patch(names.BARE_METAL_HOSTS, name_of(bmh), plan.marking_patch(bmh), namespace_of(bmh))
        self._reporter.say(f"{key}: may have {real} again: {what}")
        return Begun(key, host_name(uid_of(bmh)), made, workload is not None or made is not None)

    def _fail(self, key: str, why: str) -> None:
        self._reporter.say(f"{key}: {why}")
        self._summary.failed.append(key)

    async def _create(self, workload: Object, host: str, reported_by: float) -> str | None:
        """Create the Workload once the Host is held for it, so that no other host is bound to it.

        Return why that is not possible, and what to do, or None. All hosts were marked at the same
        time, and have the same time to be reported."""
        if not await until(partial(self._is_held, host), reported_by - asyncio.get_running_loop().time()):
            return f"the controllers do not report that the Host {host} is held: see that they run, and what it says, then run this again"
        try:
            await self._management.create(kinds.WORKLOADS, workload, namespace_of(workload))
        except ApiException as error:
            if error.status in REFUSALS:
                return f"{printable(error.message)}: let its tenant create it again, which then gets the host (--no-create)"
            if not error.already_exists:
                raise
        return None

    async def _is_held(self, name: str) -> bool:
        status = (await self._management.get(kinds.HOSTS, name)).get("status") or {}
        return bool((status.get("held") or {}).get("recovered"))

    async def _is_claimed(self, name: str) -> bool:
        return bool((await self._management.get(kinds.HOSTS, name))["spec"].get("claimRef"))

    async def _all(self, resource: Resource) -> list[Object]:
        return (await self._management.list_all(resource))[0]


def check_classes(present: Set[str], wanted: Iterable[str]) -> None:
    """Raise Blocked if no class exists, or if a class that is wanted by name does not."""
    if not present:
        raise Blocked("there is no WorkloadClass: create the classes again first")
    if unknown := sorted(set(wanted) - present):
        raise Blocked(f"there is no WorkloadClass {', '.join(unknown)}: correct --class, or create it again first")

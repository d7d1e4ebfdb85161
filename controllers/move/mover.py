"""Move the Workloads, one after the other.

Every step first checks whether it is done: if the process is killed anywhere, the same command
continues. At every moment exactly one Workload has the machine and wants what runs on it. Nothing
is deleted before its replacement exists.
"""

from __future__ import annotations

import time
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field

from apiserver.apis.host import adopted_consumer, host_name
from apiserver.apis.names import ADOPTS
from apiserver.apis.workload import host_of
from apiserver.client.client import Client
from apiserver.client.errors import ApiException
from apiserver.client.objects import Object, annotations_of, deleting, labels_of, name_of, uid_of
from controllers import kinds
from controllers.move import plan
from controllers.resumable import Blocked, Reporter, RunOptions, until
from controllers.runtime.conditions import is_true

TAKEN_BY = f"{kinds.GROUP}/workload-uid"
"""A label of a view that a relay has claimed: the uid of the relay's Workload."""
MOVED = f"{kinds.GROUP}/moved"
"""An annotation of a secret that was copied to the other cluster, and is deleted when unused."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Options(RunOptions):
    """The options of a move.

    `names` are the Workloads to move, all if empty. `class_name` is the class of those that get a
    new host."""

    namespace: str
    names: Sequence[str] = ()
    class_name: str = ""
    keep_secrets: bool = False


@dataclass(slots=True)
class Summary:
    """List the names of the Workloads by their outcome."""

    moved: list[str] = field(default_factory=list)
    staying: list[str] = field(default_factory=list)
    failed: list[str] = field(default_factory=list)


class Mover:
    """Moves a namespace's Workloads from one cluster to the namespace of the same name in another.

    `reporter` shows the progress."""

    def __init__(self, source: Client, target: Client, options: Options, reporter: Reporter) -> None:
        self._source, self._target, self._options, self._reporter = source, target, options, reporter
        self._namespace = options.namespace

    async def run(self) -> Summary:
        """Move all Workloads. Raises ApiException if a cluster does not answer; the same command
        continues."""
        summary = Summary()
        await self._finish_held()
        workloads, _ = await self._source.list_all(kinds.WORKLOADS, self._namespace)
        if missing := set(self._options.names) - {name_of(workload) for workload in workloads}:
            raise Blocked(f"there is no Workload {', '.join(sorted(missing))} in namespace {self._namespace}")
        chosen = [workload for workload in workloads if not self._options.names or name_of(workload) in self._options.names]
        for number, workload in enumerate(chosen):
            self._reporter.advance(number, len(chosen))
            name = name_of(workload)
            if deleting(workload) and plan.MOVED_FROM in annotations_of(workload):
                await self._gone(name)  # given back, but its end was not seen yet
                summary.moved.append(name)
                continue
            if why := plan.reason_to_stay(workload):
                summary.staying.append(name)
                self._reporter.say(f"{name}: stays: {why}")
                continue
            try:
                await self._move(workload)
                summary.moved.append(name)
            except Blocked as error:
                summary.failed.append(name)
                self._reporter.say(f"{name}: failed: {error}")
        await self._drop_secrets()
        return summary

    async def _move(self, workload: Object) -> None:
        host = host_of(workload)
        if not host:
            await self._recreate(workload)
        elif await self._came_from(host, workload):
            await self._up(workload, host)
        else:
            await self._down(workload, host)

    # Workloads without a host:

    async def _recreate(self, workload: Object) -> None:
        """Create the Workload in the target, but keep it from getting a host until it is gone
        here."""
        name = name_of(workload)
        if self._options.dry_run:
            self._reporter.say(f"{name}: has no host: would be created there{self._with_secrets(workload)}, and deleted here")
            return
        await self._copy_secrets(workload)
        await self._make(workload, plan.successor(workload, class_name=self._options.class_name, host=None, adopts=None))
        await self._until(lambda: self._deleted_without_host(name, uid_of(workload)), f"{name} to be deleted here")
        self._reporter.say(f"{name}: deleted here")
        await self._finish_held()

    async def _deleted_without_host(self, name: str, uid: str) -> bool:
        """Delete the Workload if it has not changed since it was read, so that it has no host.

        Returns False if it has changed."""
        current = await self._source.find(kinds.WORKLOADS, name, self._namespace)
        if current is None or uid_of(current) != uid:
            return True
        if host_of(current):
            raise Blocked("it has just got a host: run the same command again, for it moves with it then")
        version = current["metadata"]["resourceVersion"]
        try:
            await self._source.delete(kinds.WORKLOADS, name, self._namespace, uid=uid, resource_version=version)
        except ApiException as error:
            if not error.conflict:
                raise
            return False
        return True

    async def _finish_held(self) -> None:
        """Let held successors get a host when their predecessors are gone."""
        for held in (await self._target.list_all(kinds.WORKLOADS, self._namespace))[0]:
            if plan.HELD not in annotations_of(held) or self._options.dry_run:
                continue
            predecessor = await self._source.find(kinds.WORKLOADS, name_of(held), self._namespace)
            if predecessor is None or uid_of(predecessor) != annotations_of(held).get(plan.MOVED_FROM):
                await self._target.patch(kinds.WORKLOADS, name_of(held), plan.unpinned_patch(held), self._namespace)
                self._reporter.say(f"{name_of(held)}: moved; it gets a host there")

    # Moves to a cluster that relays this one's hosts:

    async def _down(self, workload: Object, host: Object) -> None:
        name = name_of(workload)
        view = await self._view(self._source, host["name"])
        there = await self._host_there(view)
        if self._options.dry_run:
            self._reporter.say(
                f"{name}: on {host['name']}: would be taken over there{self._with_secrets(workload)}, and keep the host here"
            )
            return
        made = await self._target.find(kinds.WORKLOADS, name, self._namespace)
        # created before this one got its host
        if made is not None and plan.HELD in annotations_of(made):
            await self._target.delete(kinds.WORKLOADS, name, self._namespace, uid=uid_of(made))
            made = None
        if made is None:
            if TAKEN_BY in labels_of(view):
                raise Blocked(f"the host {host['name']} is another cluster's already: look at spec.consumerRef of its BareMetalHost")
            await self._copy_secrets(workload)
            adopts, class_name = adopted_consumer(view["spec"]["consumerRef"]), there["spec"]["className"]
            left = plan.lease_left(workload, time.time())
            if left is not None and left < plan.SHORT:
                raise Blocked(f"its lease ends at {workload['status']['lease']['expirationTimestamp']}: extend it before it is moved")
            lease = await self._allowed(class_name, left)
            wanted = plan.successor(workload, class_name=class_name, host=host["name"], adopts=adopts, lease=lease)
            made = await self._make(workload, wanted)
        self._check_successor(made, workload)
        if not host_of(made):
            binding = {"apiVersion": kinds.WORKLOADS.api_version, "kind": "Binding", "metadata": {"name": name}}
            body = {**binding, "target": {"name": name_of(there)}}
            await self._target.create(kinds.WORKLOADS, body, self._namespace, name=name, subresource="binding")
            self._reporter.say(f"{name}: has {host['name']} there")
        uid = uid_of(made)
        await self._until(lambda: self._taken_over(name, uid, host["name"]), f"{name} to take over {host['name']}")
        if annotations_of(workload).get(plan.MOVED_TO) != uid:
            await self._until(lambda: self._lease_ended(workload), f"the lease of {name} here to be as it was read")
            patch = {"metadata": {"annotations": {plan.MOVED_TO: uid}}}
            await self._source.patch(kinds.WORKLOADS, name, patch, self._namespace)
        self._reporter.say(f"{name}: moved; it keeps {host['name']} here for the one there")

    async def _allowed(self, class_name: str, seconds: int | None) -> int | None:
        """Return the seconds of a lease, but at most the maximum of the class in the target."""
        class_ = await self._target.find(kinds.CLASSES, class_name) if seconds is not None else None
        most = (((class_ or {}).get("spec") or {}).get("lease") or {}).get("maxDurationSeconds")
        return seconds if seconds is None or most is None else min(seconds, most)

    async def _lease_ended(self, workload: Object) -> bool:
        """Remove the Workload's lease in the source: its successor has one that ends at the same
        time.

        Returns False if the Workload changed meanwhile. Tenants may not write a status, so the
        lease in the source stays when they move their Workloads."""
        name = name_of(workload)
        current = await self._source.get(kinds.WORKLOADS, name, self._namespace)
        if uid_of(current) != uid_of(workload) or "lease" not in (current.get("status") or {}):
            return True
        patch = {"metadata": {"resourceVersion": current["metadata"]["resourceVersion"]}, "status": {"lease": None}}
        try:
            await self._source.patch(kinds.WORKLOADS, name, patch, self._namespace, subresource="status")
        except ApiException as error:
            if error.forbidden:
                self._reporter.say(f"{name}: its lease here goes on, and its end takes the machine from there: extend it here, too")
                return True
            if not error.conflict:
                raise
            return False
        return True

    async def _host_there(self, view: Object) -> Object:
        """Return the Host of this view in the target, once it can be taken over or has been."""
        name = host_name(uid_of(view))

        async def seen() -> Object | None:
            host = await self._target.find(kinds.HOSTS, name)
            usable = host is not None and (host["spec"].get("claimRef") or (host.get("status") or {}).get("held"))
            return host if usable else None

        what = (
            f"the other cluster to see host {name_of(view)} of this one: it needs a WorkloadClass with provisioner metal3.io/relay and "
            f"parameters.namespace {self._namespace} that allows the namespace {self._namespace}"
        )
        found = await self._until(seen, what)
        assert isinstance(found, dict)
        return found

    async def _taken_over(self, name: str, uid: str, host: str) -> bool:
        view = await self._view(self._source, host)
        made = await self._target.get(kinds.WORKLOADS, name, self._namespace)
        return labels_of(view).get(TAKEN_BY) == uid and is_true((made.get("status") or {}).get("conditions"), "Synchronized")

    def _check_successor(self, made: Object, workload: Object) -> None:
        if annotations_of(made).get(plan.MOVED_FROM) != uid_of(workload):
            raise Blocked(f"there is another Workload {name_of(workload)} in that namespace already: rename or delete one of them")

    # Moves back to the cluster of the host's origin:

    async def _came_from(self, host: Object, workload: Object) -> bool:
        """Return whether the Workload has its host through a relay of the target cluster."""
        view = await self._target.find(await kinds.served_views(self._target), host["name"], self._namespace)
        return view is not None and uid_of(view) == host["uid"] and labels_of(view).get(TAKEN_BY) == uid_of(workload)

    async def _up(self, workload: Object, host: Object) -> None:
        name = name_of(workload)
        if self._options.dry_run:
            self._reporter.say(
                f"{name}: on {host['name']}: would be given back to the Workload there{self._with_secrets(workload)}, and deleted here"
            )
            return
        if ADOPTS not in annotations_of(workload):
            raise Blocked(f"it has no predecessor there: the host {host['name']} would have to be released, which is not a move")
        await self._copy_secrets(workload)
        await self._until(lambda: self._given_back(workload, host), f"the host {host['name']} to stay as it was read")
        lease = plan.lease_left(workload, time.time())
        for keeper in (await self._target.list_all(kinds.WORKLOADS, self._namespace))[0]:
            status = keeper.get("status") or {}
            if (status.get("host") or {}).get("uid") != host["uid"]:
                continue
            patch = plan.reset_consumer_patch(keeper) or {}
            if lease is not None and "lease" not in status:
                seconds = await self._allowed(status["host"]["class"], lease)
                patch = {**patch, "spec": {**patch.get("spec", {}), "lease": plan.renewed_lease(keeper["spec"], seconds or lease)}}
            if patch:
                await self._target.patch(kinds.WORKLOADS, name_of(keeper), patch, self._namespace)
        self._reporter.say(f"{name}: given back")
        await self._source.delete(kinds.WORKLOADS, name, self._namespace, uid=uid_of(workload))
        await self._gone(name)

    async def _given_back(self, workload: Object, host: Object) -> bool:
        """Give the host back if its view has not changed since it was read.

        Returns False if the view has changed, which every report of the hardware cluster causes."""
        view = await self._view(self._target, host["name"])
        if labels_of(view).get(TAKEN_BY) != uid_of(workload):
            raise Blocked(f"the host {host['name']} is not its own any more: look at the Workloads there")
        resource = await kinds.served_views(self._target)
        try:
            await self._target.patch(resource, host["name"], plan.giving_back_patch(view, workload), self._namespace)
        except ApiException as error:
            if not error.conflict:
                raise
            return False
        return True

    async def _gone(self, name: str) -> None:
        async def gone() -> bool:
            return await self._source.find(kinds.WORKLOADS, name, self._namespace) is None

        await self._until(gone, f"{name} to be gone here")
        self._reporter.say(f"{name}: moved; it is gone here, and nothing was released")

    # Secrets:

    def _with_secrets(self, workload: Object) -> str:
        names = plan.secrets_of(workload)
        return f", with the secrets {', '.join(names)}" if names else ""

    async def _copy_secrets(self, workload: Object) -> None:
        for name in plan.secrets_of(workload):
            secret = await self._source.find(kinds.SECRETS, name, self._namespace)
            if secret is None:
                continue  # the Workload waits for it here, and will do so there
            there = await self._target.find(kinds.SECRETS, name, self._namespace)
            if there is not None and not plan.same_data(secret, there):
                raise Blocked(f"there is another secret {name} in that namespace already: rename or delete one of them")
            if not self._options.keep_secrets:
                await self._mark(self._source, secret, "")
            if there is None:
                await self._target.create(kinds.SECRETS, plan.secret_copy(_unmarked(secret)), self._namespace)
                self._reporter.say(f"{name_of(workload)}: secret {name} is there")
            else:
                await self._mark(self._target, there, None)

    async def _mark(self, client: Client, secret: Object, value: str | None) -> None:
        if annotations_of(secret).get(MOVED) != value:
            await client.patch(kinds.SECRETS, name_of(secret), {"metadata": {"annotations": {MOVED: value}}}, self._namespace)

    async def _drop_secrets(self) -> None:
        """Delete copied secrets here that no Workload names any more."""
        if self._options.dry_run:
            return
        workloads, _ = await self._source.list_all(kinds.WORKLOADS, self._namespace)
        secrets, _ = await self._source.list_all(kinds.SECRETS, self._namespace)
        marked = {name_of(secret): secret for secret in secrets if MOVED in annotations_of(secret)}
        for name in plan.unused(marked, workloads):
            await self._source.delete(kinds.SECRETS, name, self._namespace, uid=uid_of(marked[name]))
            self._reporter.say(f"secret {name}: deleted here")

    # Requests:

    async def _make(self, workload: Object, wanted: Object) -> Object:
        """Return the successor, which is created if missing."""
        name = name_of(workload)
        made = await self._target.find(kinds.WORKLOADS, name, self._namespace)
        if made is None:
            made = await self._target.create(kinds.WORKLOADS, wanted, self._namespace)
            self._reporter.say(f"{name}: made there")
        self._check_successor(made, workload)
        return made

    async def _view(self, client: Client, name: str) -> Object:
        return await client.get(await kinds.served_views(client), name, self._namespace)

    async def _until(self, check: Callable[[], Awaitable[Object | bool | None]], what: str) -> Object | bool:
        """Wait until the check returns something. Raises Blocked after the timeout."""
        found = await until(check, self._options.timeout)
        if not found:
            raise Blocked(f"waited {self._options.timeout:g} s for {what}; run the same command again to continue")
        return found


def _unmarked(secret: Object) -> Object:
    annotations = {key: value for key, value in annotations_of(secret).items() if key != MOVED}
    return {**secret, "metadata": {**secret["metadata"], "annotations": annotations}}

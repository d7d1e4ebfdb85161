"""Reconcile WorkloadSets: create, adopt, update and delete their members, and report their state.

The modules `plan` and `members` decide the next changes, and `status` the status. The names of
members are fixed, and every change has the resourceVersion that it was decided on. So a stale cache
or a second controller cannot create a member twice, or change one that has changed since.
"""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime

from apiserver.client.clock import exponential_delay
from apiserver.client.errors import ApiException
from apiserver.client.objects import Object, deleting, key_of, labels_of, matches, name_of, namespace_of, typed, uid_of
from controllers import kinds
from controllers.cluster import Cluster
from controllers.leaseended import leases_ended
from controllers.owners import controller_of, controlling_set
from controllers.runtime.controller import Controller, Result, tenant_of
from controllers.workloadset.members import (
    adopting_patch,
    is_adoptable,
    is_ready,
    is_replaced,
    light_patch,
    member_name,
    new_member,
    ready_for,
    releasing_patch,
    update_patch,
)
from controllers.workloadset.plan import AT_ONCE, Members, lost, sort_members, to_update
from controllers.workloadset.status import MESSAGE, REFUSED, Finding, set_status

GATHER = 0.1
"""The seconds from a member's change to the next reconcile of its set, because many members often
change together."""
AGAIN, AGAIN_MOST = 1.0, 60.0
"""The shortest and the longest wait in seconds after a refused creation. No event reports that a
quota has room again."""
RESYNC = 600.0


class WorkloadSetController:
    """Reconciles WorkloadSets by key."""

    def __init__(self, cluster: Cluster, *, workers: int = 4) -> None:
        """Create the controller. It runs the informer of sets itself. So an API server of an
        earlier version, which does not serve sets, does not hold up the other controllers."""
        self._cluster = cluster
        self.controller = Controller("workloadset", self.reconcile, workers=workers, flow=tenant_of)
        self._refusals: dict[str, int] = {}
        cluster.sets.add_handler(self._set_changed)
        cluster.workloads.add_handler(self._workload_changed)

    async def run(self) -> None:
        async with asyncio.TaskGroup() as group:
            group.create_task(self._cluster.sets.run())
            await self._cluster.sets.synced.wait()
            group.create_task(self.controller.run())

    def _set_changed(self, old: Object | None, new: Object | None) -> None:
        found = new or old
        assert found is not None
        self.controller.queue.add(key_of(found))

    def _workload_changed(self, old: Object | None, new: Object | None) -> None:
        for workload in (old, new):
            if workload is not None and (key := _set_key(workload)) in self._cluster.sets.store:
                self.controller.queue.add_after(key, GATHER)

    async def reconcile(self, key: str) -> Result | None:
        """Bring the members closer to what the set asks for, and write its status."""
        set_ = self._cluster.sets.store.get(key)
        if set_ is None or deleting(set_):
            self._refusals.pop(key, None)
            return None  # the garbage collector deletes the members, or orphans them
        members, refused = self._members(set_), None
        if not set_["spec"].get("paused"):
            await self._control(set_)
            members = self._members(set_)
            more, refused = await self._scale(set_, members)
            changing = await self._update(set_, members)
            if more:
                self.controller.queue.add(key)
            elif changing:
                self.controller.queue.add_after(key, GATHER)
        return await self._report(set_, refused)

    def _members(self, set_: Object) -> Members:
        return sort_members(set_, self._controlled(set_), self._others(set_))

    def _controlled(self, set_: Object) -> list[Object]:
        return self._cluster.workloads.store.by_index("set", f"{namespace_of(set_)}/{uid_of(set_)}")

    def _others(self, set_: Object) -> dict[int, Object]:
        """Return the Workloads with a member's name that the set does not control."""
        found = {}
        for number in range(set_["spec"]["replicas"]):
            workload = self._cluster.workloads.store.get(f"{namespace_of(set_)}/{member_name(set_, number)}")
            if workload is not None and (controller_of(workload) or {}).get("uid") != uid_of(set_):
                found[number] = workload
        return found

    async def _control(self, set_: Object) -> None:
        """Adopt Workloads that match the selector, and release members that do not any more.

        If there are more of them than one turn changes, the events of these changes queue the set
        again."""
        selector = set_["spec"]["selector"]
        leaving = [member for member in self._controlled(set_) if not deleting(member) and not matches(selector, labels_of(member))]
        for member in leaving[:AT_ONCE]:
            await self._patch(member, releasing_patch(set_, member))
        adoptable = [workload for workload in self._others(set_).values() if is_adoptable(set_, workload)]
        if not adoptable or await self._current(set_) is None:
            return
        for workload in adoptable[:AT_ONCE]:
            await self._patch(workload, adopting_patch(set_, workload))
            self._event(set_, "Normal", "Adopted", f"Workload {name_of(workload)} is a member now")

    async def _current(self, set_: Object) -> Object | None:
        """Return the set as the server, and not the cache, has it; None if it is being deleted.

        The garbage collector would delete Workloads that a deleted set adopts."""
        current = await self._cluster.client.find(kinds.SETS, name_of(set_), namespace_of(set_))
        return current if current is not None and uid_of(current) == uid_of(set_) and not deleting(current) else None

    async def _may_create(self, set_: Object) -> bool:
        """Return whether members may be created.

        The set is read from the server, because the cache may not show yet that the lease of a
        member has ended."""
        if leases_ended(set_) is not None:
            return False
        current = await self._current(set_)
        return current is not None and leases_ended(current) is None

    async def _scale(self, set_: Object, members: Members) -> tuple[bool, Finding | None]:
        """Create and delete members. Return whether there are more to do, and what was refused."""
        gone = [*members.excess, *lost(members)]
        for member in gone[:AT_ONCE]:
            await self._delete(set_, member)
        if members.missing and not await self._may_create(set_):
            return len(gone) > AT_ONCE, None
        created, refused = await self._create(set_, members.missing[:AT_ONCE])
        more = len(gone) > AT_ONCE or (created == AT_ONCE and len(members.missing) > AT_ONCE)
        return more, refused

    async def _create(self, set_: Object, ordinals: list[int]) -> tuple[int, Finding | None]:
        """Create members in batches that double, until one is refused.

        So a refusal costs few requests (as slowStartBatch of kube-controller-manager)."""
        done, size = 0, 1
        while done < len(ordinals):
            batch = ordinals[done : done + size]
            answers = await asyncio.gather(*(self._create_one(set_, number) for number in batch))
            if found := next((answer for answer in answers if answer is not None), None):
                return done, found
            done, size = done + len(batch), size * 2
        if ordinals:
            self._refusals.pop(key_of(set_), None)
        return done, None

    async def _create_one(self, set_: Object, number: int) -> Finding | None:
        """Create a member. Return why it was refused, or None."""
        try:
            await self._cluster.client.create(kinds.WORKLOADS, new_member(set_, number), namespace_of(set_))
        except ApiException as error:
            if error.already_exists:
                return None  # the cache is stale, or another client has just created it
            if not (error.forbidden or error.invalid):
                raise
            message = f"Workload {member_name(set_, number)} was refused: {error.message}"[:MESSAGE]
            self._event(set_, "Warning", "FailedCreate", message)
            return Finding(REFUSED, message, works=True, final=error.invalid)
        self._event(set_, "Normal", "SuccessfulCreate", f"created Workload {member_name(set_, number)}")
        return None

    async def _update(self, set_: Object, members: Members) -> bool:
        """Carry out the next steps of an update, and the changes that touch no machine.

        Return whether there are more to do. Refused changes wait for the next event."""
        left, refusals, outdated = AT_ONCE, AT_ONCE, to_update(set_, members, _now())
        for member in outdated:
            if not left:
                return True
            left -= await self._update_one(set_, member)
        changed = set(map(name_of, outdated))
        for member in members.current.values():
            if name_of(member) in changed or not (patch := light_patch(set_, member)):
                continue
            if not left:
                return True
            if await self._patch_in_place(set_, member, patch):
                left -= 1
            elif not (refusals := refusals - 1):
                break
        return False

    async def _patch_in_place(self, set_: Object, member: Object, patch: Object) -> bool:
        """Apply a patch that touches no machine. Return whether the server took it.

        An event reports a refusal, such as of a lease that the class does not allow."""
        try:
            await self._patch(member, patch)
            return True
        except ApiException as error:
            if not error.invalid:
                raise
            self._event(set_, "Warning", "FailedUpdate", f"Workload {name_of(member)}: {error.message}"[:MESSAGE])
            return False

    async def _update_one(self, set_: Object, member: Object) -> bool:
        """Carry out the next step for one member. Return whether there was one."""
        if is_replaced(set_, member):
            await self._delete(set_, member)
            return True
        if not (patch := update_patch(set_, member)):
            return False
        await self._patch(member, patch)
        self._event(set_, "Normal", "Updating", f"Workload {name_of(member)} gets the present template")
        return True

    async def _delete(self, set_: Object, member: Object) -> None:
        """Delete a member, if it has not changed since it was read."""
        name, version = name_of(member), member["metadata"]["resourceVersion"]
        try:
            await self._cluster.client.delete(
                kinds.WORKLOADS, name, namespace_of(member), uid=uid_of(member), resource_version=version, propagation_policy="Background"
            )
        except ApiException as error:
            if not error.not_found:
                raise
            return
        self._event(set_, "Normal", "SuccessfulDelete", f"deleted Workload {name}")

    async def _patch(self, member: Object, patch: Object) -> None:
        written = await self._cluster.client.patch(kinds.WORKLOADS, name_of(member), patch, namespace_of(member))
        self._cluster.learn(kinds.WORKLOADS, written)

    async def _report(self, set_: Object, refused: Finding | None) -> Result:
        now, members = _now(), self._members(set_)
        await self._cluster.patch_status(kinds.SETS, set_, set_status(set_, members, refused, now))
        if refused is not None:
            failures = self._refusals.get(key_of(set_), 0)
            self._refusals[key_of(set_)] = failures + 1
            return Result(requeue_after=exponential_delay(failures, AGAIN, AGAIN_MOST))
        return Result(requeue_after=_next_available(set_, members, now))

    def _event(self, set_: Object, kind: str, reason: str, message: str) -> None:
        self._cluster.events.event(typed(kinds.SETS, set_), "Warning" if kind == "Warning" else "Normal", reason, message)


def _next_available(set_: Object, members: Members, now: datetime) -> float:
    """Return the seconds until a member may have been Ready for minReadySeconds."""
    least = set_["spec"].get("minReadySeconds") or 0
    waits = [left for member in members.all if is_ready(member) and (left := least - ready_for(member, now)) > 0]
    return min([RESYNC, *(left + 1 for left in waits)])


def _set_key(workload: Object) -> str:
    """Return the key of the set that controls the Workload, or that could adopt it by its name."""
    owner = controlling_set(workload)
    name = owner["name"] if owner is not None else name_of(workload).rpartition("-")[0]
    return f"{namespace_of(workload)}/{name}"


def _now() -> datetime:
    return datetime.now(UTC)

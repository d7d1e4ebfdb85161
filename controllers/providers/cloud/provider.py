"""The provider for machines of a public or private cloud. What to ask for and what to report is decided in pure modules."""

from __future__ import annotations

import asyncio
import logging
from typing import TYPE_CHECKING, Self, TypeVar

from apiserver.client.errors import ApiException
from controllers.providers.base import Applied, Consumer, Outcome, Provider, ProviderContext, ProviderError, Released
from controllers.providers.cloud import follower
from controllers.providers.cloud.drivers import connect
from controllers.providers.cloud.fleet import Fleet
from controllers.providers.cloud.follower import Follower
from controllers.providers.cloud.instance import BOOTED, QUARANTINED, REMOVING, SURPLUS, WORKLOAD_UID, claimed, newest_gone, oldest
from controllers.providers.cloud.making import Maker
from controllers.providers.cloud.parameters import Parameters
from controllers.providers.cloud.plan import known_wish, plan_for
from controllers.providers.cloud.steps import Create, Discard, Reboot, Start, Stop, Tag, Terminate, Untag, Wait, consumed, next_step
from controllers.providers.flavors import BOUND, NOT_OFFERED, REPLACING, Told, moved, not_ours, once_made, slot_named

if TYPE_CHECKING:
    from collections.abc import Awaitable, Iterable, Sequence

    from controllers.providers.base import ApplyRequest, ProviderHost
    from controllers.providers.cloud.driver import Driver
    from controllers.providers.cloud.instance import Instance
    from controllers.providers.cloud.steps import Step, Wish

__all__ = ["CloudProvider"]

log = logging.getLogger(__name__)
T = TypeVar("T")

MOST_STEPS = 8


class CloudProvider(Provider):
    """Machines in one region of one account, whose keys are in the class's secret.

    A slot without a machine is held by its Host's claim alone; the tags of an instance tell whose it is. Instances are found by these
    tags, so that a crash leaves none behind."""

    parameters_model = Parameters
    erases = True

    def __init__(self, context: ProviderContext, cloud: Driver) -> None:
        assert isinstance(context.parameters, Parameters)
        self._context, self._parameters, self._cloud = context, context.parameters, cloud
        selector = context.spec.host_selector.encode() if context.spec.host_selector else None
        self.fleet = Fleet(context.class_name, self._parameters, cloud.maker, selector, context.on_change)
        self._follower = Follower(cloud, self.fleet, self._parameters.poll_seconds, context.on_health)
        self._maker = Maker(cloud, self.fleet, self._parameters.identity)
        self._locks: dict[str, asyncio.Lock] = {}
        self._told = Told()
        self._made: set[str] = set()
        self._rebooted: set[str] = set()

    @classmethod
    async def create(cls, context: ProviderContext) -> Self:
        assert isinstance(context.parameters, Parameters)
        return cls(context, connect(context.parameters, context.credentials))

    async def run(self) -> None:
        await self._follower.run()

    async def close(self) -> None:
        self.fleet.attention.close()
        self._cloud.close()

    @property
    def synced(self) -> bool:
        return self.fleet.synced

    def problem(self) -> ProviderError | None:
        return self._follower.problem

    def hosts(self) -> Iterable[ProviderHost]:
        return self.fleet.hosts()

    def host(self, uid: str) -> ProviderHost | None:
        return self.fleet.host(uid)

    async def apply(self, request: ApplyRequest) -> Applied:
        async with self._alone(request.source.uid):
            found = await self._instances(request)
            instance = await self._one(request, found)
            if (refused := self._refused(request, instance, found)) is not None:
                return refused
            return await self._apply(request, instance, found)

    def _refused(self, request: ApplyRequest, instance: Instance | None, found: Sequence[Instance]) -> Applied | None:
        """Why the Workload cannot have the slot."""
        if instance is not None:
            return None if claimed(instance, request.workload_uid) else not_ours("HostTaken", _TAKEN)
        holder = self.fleet.holders.get(request.source.uid)
        if holder is not None and holder.workload_uid != request.workload_uid:
            return not_ours("HostTaken", _TAKEN)
        last = newest_gone(found, request.workload_uid)
        replaced = last is not None and REMOVING in last.tags
        had_one = request.workload_uid in self._made or once_made(request.workload) or (last is not None and last.ended_by_hand)
        if had_one and not replaced:
            return not_ours("HostGone", _DELETED)
        return None if self.fleet.offers.flavor(slot_named(request.source.name)) is not None else not_ours("HostGone", NOT_OFFERED)

    async def _apply(self, request: ApplyRequest, instance: Instance | None, found: Sequence[Instance]) -> Applied:
        self._hold(request)
        wish, said = plan_for(request, self._parameters, self._cloud)
        instance, step = await self._converge(request, instance, wish, found)
        if isinstance(step, Outcome):
            said = step
        elif step is not None:
            leaving = instance is not None and (instance.state == "shutting-down" or REMOVING in instance.tags)
            said = REPLACING if leaving and wish.image_url and said.status else said
            self._soon(request.source.uid)
        elif said.status is True:
            self._told.note(request, said)
        return self._applied_to(instance, request, wish, said)

    def applied(self, request: ApplyRequest) -> Applied | None:
        instance, said, wish = self.fleet.known(request.source.uid), self._told.recall(request), known_wish(request, self._cloud)
        if said is None or instance is None or not claimed(instance, request.workload_uid) or self.fleet.crowded(request.source.uid):
            return None
        if next_step(instance, wish) is not None:
            return None
        return self._applied_to(instance, request, wish, said)

    async def release(self, request: ApplyRequest) -> Released:
        async with self._alone(request.source.uid):
            return await self._release(request)

    async def _release(self, request: ApplyRequest) -> Released:
        uid = request.source.uid
        self._told.forget(request.workload_uid)
        ours = [item for item in await self._instances(request) if not item.gone and claimed(item, request.workload_uid)]
        keep = request.workload["spec"].get("reclaimPolicy") == "Retain"
        removed = bool(ours) and not keep
        for instance in ours:
            if instance.state == "shutting-down":
                continue
            if keep and instance.state != "error":
                await self._ask(self._retain(request, instance))
            elif not keep or BOOTED not in instance.tags:
                await self._ask(self._remove(instance, REMOVING))
                removed = True
            else:
                return Released(False, "the machine has failed, and cannot be kept as it is: ask its owner to mend or delete it")
        if removed or self._maker.unsure(uid):
            self._soon(uid)
            return Released(False, "waiting for the machine to be shut down and deleted")
        if (holder := self.fleet.holders.get(uid)) is not None and holder.workload_uid == request.workload_uid:
            del self.fleet.holders[uid]
            self.fleet.attention.fine(uid)
            self._maker.forget(uid)
            self._context.on_change(uid)
        self._made.discard(request.workload_uid)
        return Released(True)

    async def _remove(self, instance: Instance, why: str) -> None:
        """Terminates it, with a note that will tell why, where notes are kept."""
        if self._cloud.remembers:
            await self._cloud.tag(instance, {why: "true"})
        await self._cloud.terminate(instance)

    async def _retain(self, request: ApplyRequest, instance: Instance) -> None:
        """Leaves the machine running. Its slot is not offered until its owner has looked at it and terminated it."""
        metadata = request.workload["metadata"]
        await self._cloud.tag(instance, {QUARANTINED: f"{metadata['namespace']}/{metadata['name']}"})
        await self._cloud.untag(instance, WORKLOAD_UID)
        self._follower.look()

    def _alone(self, uid: str) -> asyncio.Lock:
        """One at a time for each slot: looking and making are two calls, and the cloud excludes nobody."""
        return self._locks.setdefault(uid, asyncio.Lock())

    async def _instances(self, request: ApplyRequest) -> list[Instance]:
        """What the cloud has in the request's slot."""
        if request.source.namespace != self._parameters.region:
            raise moved(request.source, self._parameters.region, noun="region")
        found = await self._ask(self._cloud.instances(request.source.uid))
        self.fleet.saw_slot(request.source.uid, found)
        return found

    async def _one(self, request: ApplyRequest, found: Iterable[Instance]) -> Instance | None:
        """The instance that has the slot. Others of the same Workload, made by two replicas or by a cloud slow to tell, go."""
        alive = [item for item in found if not item.gone]
        first = oldest(item for item in alive if item.state != "shutting-down") or oldest(alive)
        for other in alive:
            if other is not first and other.state != "shutting-down" and claimed(other, request.workload_uid):
                log.warning("slot %s has two machines: terminating %s", request.source.name, other.id)
                await self._ask(self._remove(other, SURPLUS))
        return first

    def _hold(self, request: ApplyRequest) -> None:
        metadata = request.workload["metadata"]
        holder = Consumer("Workload", metadata["namespace"], metadata["name"], request.workload_uid)
        if self.fleet.holders.get(request.source.uid) != holder:
            self.fleet.holders[request.source.uid] = holder
            self._context.on_change(request.source.uid)

    async def _converge(
        self, request: ApplyRequest, instance: Instance | None, wish: Wish, found: Sequence[Instance]
    ) -> tuple[Instance | None, Step | Outcome]:
        """Takes steps until all is as wished, or the cloud has to do something first, or it refuses."""
        step: Step = None
        for _ in range(MOST_STEPS):
            step = next_step(instance, wish)
            if step is None or isinstance(step, Wait):
                break
            if isinstance(step, Create):
                made = await self._ask(self._maker.make(request, wish, found))
                if isinstance(made, Outcome):
                    return None, made
                instance = made
                if not self._cloud.remembers:
                    self._made.add(request.workload_uid)  # should it vanish, somebody has deleted it
                continue
            assert instance is not None
            if isinstance(step, Discard) and (failed := self._maker.failure(request.source.uid, instance)) is not None:
                return instance, failed
            await self._ask(self._take(instance, step))
            found = [item for item in await self._instances(request) if claimed(item, request.workload_uid)]
            if isinstance(step, Terminate | Discard):
                self._made.discard(request.workload_uid)
            after = oldest(item for item in found if not item.gone)
            if after == instance:
                break  # the cloud is slow to show what it was told
            instance = after
        leaving = instance is not None and (instance.state == "shutting-down" or REMOVING in instance.tags)
        if instance is not None and BOOTED in instance.tags and not leaving:
            self._made.add(request.workload_uid)
        return instance, step

    async def _take(self, instance: Instance, step: Step) -> None:
        match step:
            case Terminate() | Discard():
                await self._cloud.terminate(instance)
            case Start():
                await self._cloud.start(instance)
            case Stop():
                await self._cloud.stop(instance)
            case Reboot(key):
                await self._reboot(instance, key)
            case Tag(key):
                await self._cloud.tag(instance, {key: "true"})
            case Untag(key):
                await self._cloud.untag(instance, key)

    async def _reboot(self, instance: Instance, key: str) -> None:
        """Once, as far as this process knows. A machine may take no notes while it reboots: it is noted when it is back."""
        if instance.id not in self._rebooted:
            await self._cloud.reboot(instance)
            self._rebooted.add(instance.id)
        try:
            await self._cloud.tag(instance, {key: "true"})
        except Exception as error:
            if not self._cloud.busy(error):
                raise
        else:
            self._rebooted.discard(instance.id)

    async def _ask(self, call: Awaitable[T]) -> T:
        """The call's result; trouble as ProviderError, for the class's owner."""
        try:
            return await call
        except (ApiException, ProviderError):
            raise
        except Exception as error:
            raise self._cloud.explain(error) from error

    def _applied_to(self, instance: Instance | None, request: ApplyRequest, wish: Wish, said: Outcome) -> Applied:
        return Applied(
            BOUND,
            said,
            observed=self.fleet.observed(instance, slot_named(request.source.name), request.source.uid),
            empty=instance is None,
            consumed=consumed(instance, wish),
            stalled=_HELD if instance is not None and instance.state == "held" else "",
        )

    def _soon(self, uid: str) -> None:
        """Something was asked for: have it looked at."""
        self._follower.look()
        self.fleet.attention.later(uid, follower.SOON)


_DELETED = "the machine was terminated by its owner: delete this Workload and make a new one"
_TAKEN = "another consumer has the machine, and nothing of this Workload is on it: delete this Workload and create it again"
_HELD = "the machine's owner holds it as it is: nothing changes until they let it go; ask them"

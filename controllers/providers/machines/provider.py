"""Implement a provider of machines that are created on demand, whatever their source.

Other modules, which do no I/O, decide what to do and what to report."""

from __future__ import annotations

import asyncio
import logging
from abc import abstractmethod
from collections.abc import Awaitable, Iterable, Sequence
from typing import Any, ClassVar, Self, TypeVar

from apiserver.client.errors import ApiException
from controllers.providers.base import (
    Applied,
    ApplyRequest,
    Consumer,
    Outcome,
    Provider,
    ProviderContext,
    ProviderError,
    ProviderHost,
    Released,
)
from controllers.providers.machines.driver import Driver, Timings
from controllers.providers.machines.flavors import (
    BOUND,
    NOT_OFFERED,
    REPLACING,
    Flavor,
    Offers,
    OutcomeCache,
    class_moved,
    not_ours,
    slot_named,
    was_provisioned,
)
from controllers.providers.machines.fleet import Fleet
from controllers.providers.machines.instance import BOOTED, REBOOTED, REMOVING, SURPLUS, Instance, claimed, flavor_of, newest_gone, oldest
from controllers.providers.machines.launcher import Launcher
from controllers.providers.machines.plan import known_desired_state, plan_for
from controllers.providers.machines.steps import LEAVING, DesiredState, Step, consumed_annotations, next_step

log = logging.getLogger(__name__)
T = TypeVar("T")

MOST_STEPS = 12


class MachineProvider(Provider):
    """Offers the machines of one place.

    A subclass for each provisioner defines the parameters and connects the driver. The tags of a
    machine record which Workload has it. A slot without a machine is held by its Host's claim
    alone. Machines are found by their tags, so a crash leaves none behind."""

    flavor_model: ClassVar[type[Flavor]]
    timings: ClassVar[Timings] = Timings()
    erases = True

    def __init__(self, context: ProviderContext, driver: Driver[Any]) -> None:
        settings, self._context, self._driver = driver.settings, context, driver
        selector = context.spec.host_selector.encode() if context.spec.host_selector else None
        offers = Offers("/".join((settings.identity, context.class_name, driver.place)), selector, settings.flavors)
        self.fleet = Fleet(
            offers,
            self.flavor_model,
            context.on_change,
            namespace=driver.place,
            manufacturer=driver.manufacturer,
            macs=driver.macs,
            id_in=driver.id_in,
        )
        self._follower = driver.follower(self.fleet, context.on_health)
        self._launcher = Launcher(driver, self.fleet)
        self._locks: dict[str, asyncio.Lock] = {}
        self._outcomes = OutcomeCache()
        self._made: set[str] = set()

    @classmethod
    async def create(cls, context: ProviderContext) -> Self:
        return cls(context, await cls.connect(context))

    @classmethod
    @abstractmethod
    async def connect(cls, context: ProviderContext) -> Driver[Any]:
        """Return the class's driver, without waiting for its source.

        Raises BadClass if the credentials cannot work."""

    async def run(self) -> None:
        await self._follower.run()

    async def close(self) -> None:
        self.fleet.requeuer.close()
        await self._driver.close()

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
        """Return why the Workload cannot have the slot."""
        if instance is not None:
            if not claimed(instance, request.workload_uid):
                return not_ours("HostTaken", _TAKEN)
            return not_ours("HostGone", _DELETED) if instance.state == "deleting" else None
        holder = self.fleet.holders.get(request.source.uid)
        if holder is not None and holder.workload_uid != request.workload_uid:
            return not_ours("HostTaken", _TAKEN)
        last = newest_gone(found, request.workload_uid)
        replaced = last is not None and REMOVING in last.tags
        had_one = request.workload_uid in self._made or was_provisioned(request.workload) or (last is not None and last.ended_by_hand)
        if had_one and not replaced:
            return not_ours("HostGone", _DELETED)
        return None if self.fleet.offers.flavor(slot_named(request.source.name)) is not None else not_ours("HostGone", NOT_OFFERED)

    async def _apply(self, request: ApplyRequest, instance: Instance | None, found: Sequence[Instance]) -> Applied:
        if not self._driver.reserves:
            self._hold(request)
        desired, said = plan_for(request, self._driver)
        instance, step = await self._converge(request, instance, desired, found)
        if isinstance(step, Outcome) and instance is None and self._driver.reserves:
            return Applied(step, step)
        if instance is not None and not claimed(instance, request.workload_uid):
            return not_ours("HostTaken", _TAKEN)
        if isinstance(step, Outcome):
            said = step
            if step is REPLACING:
                self._soon(request.source.uid)
        elif step is not None:
            said = REPLACING if instance is not None and instance.leaving and desired.image and said.status else said
            self._soon(request.source.uid)
        elif said.status is True:
            self._outcomes.put(request, said)
        return self._applied_to(instance, request, desired, said)

    def applied(self, request: ApplyRequest) -> Applied | None:
        instance, said = self.fleet.known(request.source.uid), self._outcomes.get(request)
        if said is None or instance is None or not claimed(instance, request.workload_uid) or self.fleet.crowded(request.source.uid):
            return None
        desired = known_desired_state(request, self._driver)
        return self._applied_to(instance, request, desired, said) if next_step(instance, desired) is None else None

    async def release(self, request: ApplyRequest) -> Released:
        async with self._alone(request.source.uid):
            return await self._release(request)

    async def _release(self, request: ApplyRequest) -> Released:
        uid = request.source.uid
        self._outcomes.forget(request.workload_uid)
        alive = [item for item in await self._instances(request) if not item.gone]
        ours = [item for item in alive if claimed(item, request.workload_uid)]
        keep = request.workload["spec"].get("reclaimPolicy") == "Retain"
        removed = bool(ours) and not keep
        for instance in ours:
            if instance.state in LEAVING:
                continue
            if keep and instance.state != "error":
                await self._retain(request, instance)
            elif not keep or not instance.booted:
                await self._call(self._driver.remove(instance, REMOVING))
                removed = True
            else:
                return Released(False, "the machine has failed, and cannot be kept as it is: ask its owner to repair or delete it")
        if removed or self._launcher.may_still_appear(uid):
            return self._waiting(uid, "waiting for the machine to be shut down and deleted")
        if not alive and not await self._call(self._driver.clean(request.workload_uid)):
            return self._waiting(uid, "waiting for the machine's disks to be deleted")
        holder = self.fleet.holders.get(uid)
        if holder is None or holder.workload_uid == request.workload_uid:
            self._launcher.forget(uid)
            if self.fleet.holders.pop(uid, None) is not None:
                self._context.on_change(uid)
        self._made.discard(request.workload_uid)
        return Released(True)

    def _waiting(self, uid: str, message: str) -> Released:
        self._soon(uid)
        return Released(False, message)

    async def _retain(self, request: ApplyRequest, instance: Instance) -> None:
        """Leave the machine running. Its slot is offered again after its owner has checked and
        deleted it."""
        metadata = request.workload["metadata"]
        await self._call(self._driver.retain(instance, f"{metadata['namespace']}/{metadata['name']}"))
        self._follower.poll_soon()

    def _alone(self, uid: str) -> asyncio.Lock:
        """Return the lock of a slot. Reading and creating are two calls, between which a cloud
        would accept a second creation."""
        return self._locks.setdefault(uid, asyncio.Lock())

    async def _instances(self, request: ApplyRequest) -> list[Instance]:
        """Read what the source has in the request's slot."""
        if request.source.namespace != self._driver.place:
            raise class_moved(request.source, self._driver.place, noun=self._driver.place_noun)
        found = await self._call(self._driver.in_slot(slot_named(request.source.name), request.source.uid))
        self._follower.seen(request.source.uid, found)
        return found

    async def _one(self, request: ApplyRequest, found: Iterable[Instance]) -> Instance | None:
        """Return the machine that has the slot.

        Other machines of the same Workload are removed: two replicas created them, or they were
        listed late."""
        alive = [item for item in found if not item.gone]
        first = oldest(item for item in alive if item.state != "shutting-down") or oldest(alive)
        for other in alive:
            if other is not first and other.state != "shutting-down" and claimed(other, request.workload_uid):
                log.warning("slot %s has two machines: terminating %s", request.source.name, other.id)
                await self._call(self._driver.remove(other, SURPLUS))
        return first

    def _hold(self, request: ApplyRequest) -> None:
        metadata = request.workload["metadata"]
        holder = Consumer("Workload", metadata["namespace"], metadata["name"], request.workload_uid)
        if self.fleet.holders.get(request.source.uid) != holder:
            self.fleet.holders[request.source.uid] = holder
            self._context.on_change(request.source.uid)

    async def _converge(
        self, request: ApplyRequest, instance: Instance | None, desired: DesiredState, found: Sequence[Instance]
    ) -> tuple[Instance | None, Step | Outcome | None]:
        """Take steps until the desired state is reached, or until the source is busy or refuses."""
        step: Step | None = None
        prepared = False
        for _ in range(MOST_STEPS):
            if instance is not None and not prepared:
                await self._call(self._driver.prepare(instance, request, desired))
                prepared = True
            step = next_step(instance, desired)
            if step is None or step is Step.WAIT:
                break
            if step is Step.CREATE:
                made = await self._make(request, desired, found)
                if not isinstance(made, Outcome) and claimed(made, request.workload_uid):
                    instance = made
                    continue
                return (None, made) if isinstance(made, Outcome) else (made, None)
            assert instance is not None
            if step is Step.DISCARD and (failed := self._launcher.failure(request.source.uid, instance)) is not None:
                return instance, failed
            after = await self._take(request, instance, step, desired)
            if isinstance(after, Outcome):
                return instance, after
            if after is None:
                found = [item for item in await self._instances(request) if claimed(item, request.workload_uid)]
                after = oldest(item for item in found if not item.gone)
            if step in (Step.ERASE, Step.DISCARD):
                self._made.discard(request.workload_uid)
            elif after is None:
                break  # another client has removed the machine in the meantime
            if after == instance:
                break  # the source does not show the change yet
            instance = after
        if instance is not None and (self._driver.reserves or (instance.booted and not instance.leaving)):
            self._made.add(request.workload_uid)
        return instance, step

    async def _make(self, request: ApplyRequest, desired: DesiredState, found: Sequence[Instance]) -> Instance | Outcome:
        made = await self._call(self._launcher.launch(request, desired, found))
        if not isinstance(made, Outcome):
            self._follower.seen(request.source.uid, [made])
            if not self._driver.remembers and claimed(made, request.workload_uid):
                # A machine of this set that disappears was deleted by hand.
                self._made.add(request.workload_uid)
        return made

    async def _take(self, request: ApplyRequest, instance: Instance, step: Step, desired: DesiredState) -> Instance | Outcome | None:
        """Take one step. Return the machine after it, None if it must be read again, or why the
        step is impossible."""
        try:
            return await self._call(self._carry_out(request, instance, step, desired))
        except ApiException as error:
            if not error.conflict:
                raise
            # The machine was changed in the meantime. The next step is decided from its new state.
            return None

    async def _carry_out(self, request: ApplyRequest, instance: Instance, step: Step, desired: DesiredState) -> Instance | Outcome | None:
        driver = self._driver
        match step:
            case Step.INSTALL:
                flavor = flavor_of(instance, self.flavor_model) or self.fleet.offers.flavor(slot_named(request.source.name))
                return await driver.install(instance, desired, flavor)
            case Step.NOTE_BOOTED:
                return await driver.tag(instance, {BOOTED: "true"})
            case Step.NOTE_REMOVING:
                return await driver.tag(instance, {REMOVING: "true"})
            case Step.FORGET_REBOOT:
                return await driver.untag(instance, REBOOTED)
            case Step.START:
                return await driver.start(instance)
            case Step.STOP:
                return await driver.stop(instance)
            case Step.REBOOT:
                return await driver.reboot(instance)
        return await driver.erase(instance)

    async def _call(self, call: Awaitable[T]) -> T:
        """Return the call's result. Errors of the source are raised as ProviderError, for the
        class's owner."""
        try:
            return await call
        except (ApiException, ProviderError):
            raise
        except Exception as error:
            raise self._driver.explain(error) from error

    def _applied_to(self, instance: Instance | None, request: ApplyRequest, desired: DesiredState, said: Outcome) -> Applied:
        return Applied(
            BOUND,
            said,
            observed=self.fleet.observed(instance, slot_named(request.source.name), request.source.uid),
            empty=instance is None or instance.empty,
            consumed_annotations=consumed_annotations(instance, desired),
            stalled=_HELD if instance is not None and instance.state == "held" else "",
        )

    def _soon(self, uid: str) -> None:
        """Read the slot again soon, because an operation was requested."""
        self._follower.poll_soon()
        self.fleet.requeuer.requeue_after(uid, self._driver.timings.soon)


_DELETED = "the machine was deleted by its owner: delete this Workload and create a new one"
_TAKEN = "another consumer has the machine, and nothing of this Workload is on it: delete this Workload and create it again"
_HELD = "the machine's owner has paused it: nothing changes until they resume it; ask them"

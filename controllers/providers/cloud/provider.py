"""The provider for machines of a public cloud. What to ask for and what to report is decided in pure modules."""

from __future__ import annotations

import asyncio
import hashlib
import logging
import uuid
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Self, TypeVar

from controllers.providers.base import Applied, Consumer, Outcome, Provider, ProviderContext, ProviderError, Released
from controllers.providers.cloud.ec2 import EC2
from controllers.providers.cloud.fleet import Fleet
from controllers.providers.cloud.images import image_id, user_data
from controllers.providers.cloud.instance import (
    BOOTED,
    QUARANTINED,
    REMOVING,
    WORKLOAD_UID,
    Instance,
    claimed,
    newest_gone,
    oldest,
    tags_for,
)
from controllers.providers.cloud.parameters import Parameters
from controllers.providers.cloud.problems import explain, refusal
from controllers.providers.cloud.steps import Create, Reboot, Start, Step, Stop, Tag, Terminate, Untag, Wait, Wish, consumed, next_step
from controllers.providers.flavors import once_made
from controllers.runtime.clock import Backoff
from controllers.runtime.errors import ApiException

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Awaitable, Iterable

    from controllers.providers.base import ApplyRequest, ProviderHost
    from controllers.providers.flavors import Slot
    from controllers.runtime.objects import Object

__all__ = ["CloudProvider"]

log = logging.getLogger(__name__)
T = TypeVar("T")

TRUST = 600.0
"""Seconds until everything is looked at again although nothing has changed."""
SOON = 2.0
"""Seconds between looks while the cloud is at work for us."""
TRY_AGAIN = 30.0
"""Seconds between tries to make a machine that the cloud refuses."""
MOST_STEPS = 8
TOKENS = uuid.UUID("0b9f3c55-9f0e-5a0c-8c0f-6d7b6a1f2c11")


class CloudProvider(Provider):
    """Machines in one region of one account, whose keys are in the class's secret (`accessKey`, `secretKey`, `sessionToken`).

    A slot without a machine is held by its Host's claim alone; the tags of an instance tell whose it is. Instances are found by these
    tags, and made with a token of the cloud's that yields the same one again, so that a crash leaves none behind."""

    parameters_model = Parameters

    def __init__(self, context: ProviderContext, cloud: EC2) -> None:
        assert isinstance(context.parameters, Parameters)
        self._context, self._parameters, self._cloud = context, context.parameters, cloud
        selector = context.spec.host_selector.encode() if context.spec.host_selector else None
        self.fleet = Fleet(context.class_name, self._parameters, selector, context.on_change)
        self._problem: ProviderError | None = ProviderError("Connecting", "asking the cloud for its machines for the first time")
        self._locks: dict[str, asyncio.Lock] = {}
        self._done: dict[str, tuple[str, float, Outcome]] = {}
        self._made: set[str] = set()
        self._failed: dict[str, tuple[str, float]] = {}
        self._timers: dict[str, asyncio.TimerHandle] = {}
        self._look = asyncio.Event()

    @classmethod
    async def create(cls, context: ProviderContext) -> Self:
        assert isinstance(context.parameters, Parameters)
        return cls(context, EC2(context.parameters, context.credentials))

    async def run(self) -> None:
        backoff = Backoff(first=1.0, most=60.0)
        while True:
            self._look.clear()
            try:
                self.fleet.saw(await self._cloud.instances())
            except Exception as error:
                self._trouble(explain(error))
                await self._rest(backoff.next())
            else:
                backoff.reset()
                self._trouble(None)
                await self._rest(self._parameters.poll_seconds)

    async def _rest(self, seconds: float) -> None:
        """Until it is time to look again; sooner while something is under way."""
        limit = min(seconds, SOON) if self.fleet.busy else seconds
        try:
            async with asyncio.timeout(limit):
                await self._look.wait()
        except TimeoutError:
            return
        await asyncio.sleep(min(seconds, SOON))  # what was asked for takes the cloud a moment; one look does for many

    def _trouble(self, problem: ProviderError | None) -> None:
        before, self._problem = self._problem, problem
        if (before is None) != (problem is None) or (before and problem and before.reason != problem.reason):
            self._context.on_health()

    async def close(self) -> None:
        for timer in self._timers.values():
            timer.cancel()
        self._cloud.close()

    @property
    def synced(self) -> bool:
        return self.fleet.synced

    def problem(self) -> ProviderError | None:
        return self._problem

    def hosts(self) -> Iterable[ProviderHost]:
        return self.fleet.hosts()

    def host(self, uid: str) -> ProviderHost | None:
        return self.fleet.host(uid)

    async def apply(self, request: ApplyRequest) -> Applied:
        async with self._alone(request.source.uid):
            return await self._apply(request)

    async def _apply(self, request: ApplyRequest) -> Applied:
        uid, slot = request.source.uid, self.fleet.slot(request.source.name)
        before = await self._instances(request)
        instance = await self._one(request, before)
        if instance is not None and not claimed(instance, request.workload_uid):
            return _not_ours("HostTaken", _TAKEN)
        if instance is None:
            holder = self.fleet.holders.get(uid)
            if holder is not None and holder.workload_uid != request.workload_uid:
                return _not_ours("HostTaken", _TAKEN)
            last = newest_gone(before, request.workload_uid)
            replaced = last is not None and REMOVING in last.tags
            had_one = request.workload_uid in self._made or once_made(request.workload) or (last is not None and last.ended_by_hand)
            if had_one and not replaced:
                return _not_ours("HostGone", _DELETED)
            if self.fleet.flavor(slot) is None:
                return _not_ours("HostGone", "its owner offers this machine no more: delete this Workload and make a new one")
        self._hold(request)
        wish, said = self._wish(request)
        instance, step = await self._converge(request, slot, instance, wish, before)
        if isinstance(step, Outcome):
            said = step
        elif step is not None:
            leaving = instance is not None and (instance.state == "shutting-down" or REMOVING in instance.tags)
            said = _REPLACING if leaving and wish.image_url and said.status else said
            self._soon(uid)
        elif said.status is True:
            self._done[request.workload_uid] = (request.version, asyncio.get_running_loop().time() + TRUST, said)
        return self._applied_to(instance, slot, request, wish, said)

    def applied(self, request: ApplyRequest) -> Applied | None:
        version, until, said = self._done.get(request.workload_uid, ("", 0.0, _TOLD))
        instance, slot = self.fleet.known(request.source.uid), self.fleet.slot(request.source.name)
        if version != request.version or until < asyncio.get_running_loop().time() or not request.workload["spec"].get("image"):
            return None
        if instance is None or not claimed(instance, request.workload_uid):
            return None
        wish = self._wish_of(request, "known")
        if next_step(instance, wish) is not None:
            return None
        return self._applied_to(instance, slot, request, wish, said)

    async def release(self, request: ApplyRequest) -> Released:
        async with self._alone(request.source.uid):
            return await self._release(request)

    async def _release(self, request: ApplyRequest) -> Released:
        uid = request.source.uid
        self._done.pop(request.workload_uid, None)
        ours = [item for item in await self._instances(request) if not item.gone and claimed(item, request.workload_uid)]
        keep = request.workload["spec"].get("reclaimPolicy") == "Retain"
        for instance in ours:
            if instance.state == "shutting-down":
                continue
            if keep:
                await self._ask(self._retain(request, instance))
            else:
                await self._ask(self._cloud.tag(instance, {REMOVING: "true"}))
                await self._ask(self._cloud.terminate(instance))
        if ours and not keep:
            self._soon(uid)
            return Released(False, "waiting for the machine to be shut down and deleted")
        if (holder := self.fleet.holders.get(uid)) is not None and holder.workload_uid == request.workload_uid:
            del self.fleet.holders[uid]
            self._in_trouble(uid, None)
            self._context.on_change(uid)
        self._made.discard(request.workload_uid)
        return Released(True)

    async def _retain(self, request: ApplyRequest, instance: Instance) -> None:
        """Leaves the machine running. Its slot is not offered until its owner has looked at it and terminated it."""
        metadata = request.workload["metadata"]
        await self._cloud.tag(instance, {QUARANTINED: f"{metadata['namespace']}/{metadata['name']}"})
        await self._cloud.untag(instance, WORKLOAD_UID)
        self._look.set()

    @asynccontextmanager
    async def _alone(self, uid: str) -> AsyncIterator[None]:
        """One at a time for each slot: looking and making are two calls, and the cloud excludes nobody."""
        lock = self._locks.setdefault(uid, asyncio.Lock())
        async with lock:
            yield

    async def _instances(self, request: ApplyRequest) -> list[Instance]:
        """What the cloud has in the request's slot."""
        if request.source.namespace != self._parameters.region:
            message = (
                f"the machine {request.source.name} is in {request.source.namespace}, and the class's parameters say "
                f"{self._parameters.region} now: set them back until it is released"
            )
            raise ProviderError("ClassMoved", message)
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
                await self._ask(self._cloud.terminate(other))
        return first

    def _hold(self, request: ApplyRequest) -> None:
        metadata = request.workload["metadata"]
        holder = Consumer("Workload", metadata["namespace"], metadata["name"], request.workload_uid)
        if self.fleet.holders.get(request.source.uid) != holder:
            self.fleet.holders[request.source.uid] = holder
            self._context.on_change(request.source.uid)

    def _wish(self, request: ApplyRequest) -> tuple[Wish, Outcome]:
        """What the Workload wants; or to hold what is there, and why."""
        spec = request.workload["spec"]
        try:
            if request.blocked is not None and (spec.get("image") or spec.get("customDeploy")):
                return self._wish_of(request, "", held=True), request.blocked
            image = image_id(spec, self._parameters)
            return self._wish_of(request, image or "", user_data(request) if image else b""), _told(request)
        except ProviderError as error:
            return self._wish_of(request, "", held=True), Outcome(False, error.reason, error.message)

    def _wish_of(self, request: ApplyRequest, image: str, data: bytes = b"", *, held: bool = False) -> Wish:
        spec = request.workload["spec"]
        url = (spec.get("image") or {}).get("url", "") if image else ""
        return Wish(bool(spec.get("online", True)), held, url, image, data, request.annotations)

    async def _converge(
        self, request: ApplyRequest, slot: Slot, instance: Instance | None, wish: Wish, found: list[Instance]
    ) -> tuple[Instance | None, Step | Outcome]:
        """Takes steps until all is as wished, or the cloud has to do something first, or it refuses."""
        step: Step = None
        for _ in range(MOST_STEPS):
            step = next_step(instance, wish)
            if step is None or isinstance(step, Wait):
                break
            if isinstance(step, Create):
                made = await self._create(request, slot, wish, found)
                if isinstance(made, Outcome):
                    return None, made
                instance = made
                continue
            assert instance is not None
            await self._ask(self._take(instance, step))
            found = [item for item in await self._instances(request) if claimed(item, request.workload_uid)]
            after = oldest(item for item in found if not item.gone)
            if after == instance:
                break  # the cloud is slow to show what it was told
            instance = after
            if isinstance(step, Terminate):
                self._made.discard(request.workload_uid)
        if instance is not None and BOOTED in instance.tags:
            self._made.add(request.workload_uid)
        return instance, step

    async def _take(self, instance: Instance, step: Step) -> None:
        match step:
            case Terminate():
                await self._cloud.terminate(instance)
            case Start():
                await self._cloud.start(instance)
            case Stop():
                await self._cloud.stop(instance)
            case Reboot(tag):
                await self._cloud.reboot(instance)
                await self._cloud.tag(instance, {tag: "true"})
            case Tag(key):
                await self._cloud.tag(instance, {key: "true"})
            case Untag(key):
                await self._cloud.untag(instance, key)

    async def _create(self, request: ApplyRequest, slot: Slot, wish: Wish, found: list[Instance]) -> Instance | Outcome:
        """An instance for the slot; or why there can be none now."""
        flavor, uid = self.fleet.flavor(slot), request.source.uid
        if flavor is None:
            return Outcome(False, "FlavorRemoved", "its owner offers this machine no more: delete this Workload and make a new one")
        lost = sum(item.gone for item in found)
        if (failed := self._failure(uid, newest_gone(found, request.workload_uid), lost)) is not None:
            return failed
        tags = tags_for(request, slot, flavor, request.workload["spec"]["image"], identity=self._parameters.identity)
        try:
            for number in range(lost, lost + 10):
                # The token of a terminated instance goes on to name it: the next one is taken, in the same order by everybody.
                token = _token(request, wish, flavor.instance_type, number)
                made = await self._cloud.create(wish.image_id, flavor.instance_type, tags, wish.user_data, token)
                if not made.gone and made.state != "shutting-down":
                    self._in_trouble(uid, None)
                    self.fleet.saw_slot(uid, [made])
                    return made
        except Exception as error:
            refused = refusal(error)
            if refused is None:
                raise _unavailable(error) from error
            self._in_trouble(uid, refused[1])
            return refused[0]
        raise ProviderError("Failing", "the cloud terminates the machine at once: see the instance's state reason there")

    def _failure(self, uid: str, last: Instance | None, lost: int) -> Outcome | None:
        """That the last machine never came up, until it is time for another try: each costs money."""
        if last is None or BOOTED in last.tags or REMOVING in last.tags:
            return None
        now = asyncio.get_running_loop().time()
        which, until = self._failed.get(uid, ("", 0.0))
        if which != last.id:
            until = now + min(TRY_AGAIN * 2 ** (lost - 1), 3600.0)
            self._failed[uid] = (last.id, until)
            self._in_trouble(uid, ("LaunchFailed", f"instance {last.id} ended before it ran: {last.reason or 'the cloud gives no reason'}"))
            self._later(uid, until - now)
        return _FAILED if now < until else None

    async def _ask(self, call: Awaitable[T]) -> T:
        """The call's result; trouble as ProviderError, for the class's owner."""
        try:
            return await call
        except Exception as error:
            raise _unavailable(error) from error

    def _applied_to(self, instance: Instance | None, slot: Slot, request: ApplyRequest, wish: Wish, said: Outcome) -> Applied:
        observed: Object = self.fleet.observed(instance, slot, request.source.uid)
        return Applied(_BOUND, said, observed=observed, empty=instance is None, consumed=consumed(instance, wish))

    def _in_trouble(self, uid: str, trouble: tuple[str, str] | None) -> None:
        """Notes why a machine cannot be made (and to try again), or that it can."""
        before = self.fleet.troubles.pop(uid, None)
        if trouble is not None:
            self.fleet.troubles[uid] = trouble
            self._later(uid, TRY_AGAIN)
        if trouble != before:
            self._context.on_change(uid)

    def _soon(self, uid: str) -> None:
        """Something was asked for: have it looked at."""
        self._look.set()
        self._later(uid, SOON)

    def _later(self, uid: str, seconds: float) -> None:
        if (timer := self._timers.pop(uid, None)) is not None:
            timer.cancel()
        self._timers[uid] = asyncio.get_running_loop().call_later(seconds, self._again, uid)

    def _again(self, uid: str) -> None:
        self._timers.pop(uid, None)
        self._context.on_change(uid)


def _token(request: ApplyRequest, wish: Wish, kind: str, number: int) -> str:
    """What makes a creation that is repeated yield the same instance. The cloud refuses a token that comes with something else."""
    digest = hashlib.sha256(wish.user_data).hexdigest()
    return str(uuid.uuid5(TOKENS, "\n".join((request.workload_uid, request.source.uid, wish.image_id, kind, digest, str(number)))))


def _unavailable(error: Exception) -> Exception:
    return error if isinstance(error, ApiException | ProviderError) else explain(error)


def _told(request: ApplyRequest) -> Outcome:
    if "networkData" in request.secrets:
        return Outcome(True, "Synchronized", "the machine has been told everything (but networkData: a cloud's network is its own)")
    return _TOLD


def _not_ours(reason: str, message: str) -> Applied:
    return Applied(Outcome(False, reason, message), Outcome(False, reason, "nothing is done with a machine that is not this Workload's"))


_BOUND = Outcome(True, "Bound", "the machine is this Workload's")
_TOLD = Outcome(True, "Synchronized", "the machine has been told everything")
_REPLACING = Outcome(False, "Replacing", "what was on the machine is being removed first")
_FAILED = Outcome(False, "LaunchFailed", "the cloud could not start the machine: it is tried again, less and less often")
_DELETED = "the machine was terminated by its owner: delete this Workload and make a new one"
_TAKEN = "somebody else has the machine: delete this Workload to get another one, or ask its owner to terminate the instance"

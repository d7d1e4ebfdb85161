"""The provider for virtual machines of one KubeVirt cluster. What to write and what to report is decided in pure modules."""

from __future__ import annotations

from typing import TYPE_CHECKING, Self

from apiserver.client.client import Client
from apiserver.client.errors import ApiException, BadConfig
from apiserver.client.kubeconfig import parse
from apiserver.client.objects import annotations_of, deleting, name_of, namespace_of, uid_of
from controllers.providers.base import Applied, ApplyRequest, BadClass, Outcome, Provider, ProviderContext, ProviderError, Released
from controllers.providers.flavors import BOUND, NOT_OFFERED, REPLACING, Told, moved, not_ours, once_made, slot_named
from controllers.providers.kubevirt import names
from controllers.providers.kubevirt.cluster import MachineCluster
from controllers.providers.kubevirt.fleet import Fleet
from controllers.providers.kubevirt.manifest import data_volume, virtual_machine
from controllers.providers.kubevirt.parameters import Parameters
from controllers.providers.kubevirt.plan import held, known_plan, plan_for
from controllers.providers.kubevirt.problems import explain, refusal
from controllers.providers.kubevirt.report import made_from, taken_by
from controllers.providers.kubevirt.steps import DeleteDisk, EndInstance, Install, Patch, Step, Wait, consumed, next_step

if TYPE_CHECKING:
    from collections.abc import Iterable

    from apiserver.client.objects import Object
    from controllers.providers.base import ProviderHost
    from controllers.providers.flavors import Slot
    from controllers.providers.kubevirt.images import RootDisk
    from controllers.providers.kubevirt.plan import Plan

__all__ = ["KubeVirtProvider"]

LOOK_AGAIN = 2.0
"""Seconds between looks at what no event tells of: disks that are being deleted."""
TRY_AGAIN = 15.0
"""Seconds between tries to make a machine that the cluster refuses."""
MOST_STEPS = 12


class KubeVirtProvider(Provider):
    """Machines of one namespace, reached with the kubeconfig in the class's secret (key `kubeconfig`)."""

    parameters_model = Parameters
    erases = True

    def __init__(self, context: ProviderContext, client: Client) -> None:
        assert isinstance(context.parameters, Parameters)
        self._context, self._parameters, self._client = context, context.parameters, client
        selector = context.spec.host_selector.encode() if context.spec.host_selector else None
        self.fleet = Fleet(client, context.class_name, self._parameters, selector, context.on_change)
        self._cluster = MachineCluster(client, self._parameters.namespace)
        self._attention = self.fleet.attention
        self._told = Told()
        self._made: set[str] = set()
        for informer in (self.fleet.machines, self.fleet.instances):
            informer.add_health_handler(context.on_health)

    @classmethod
    async def create(cls, context: ProviderContext) -> Self:
        kubeconfig = context.credentials.get("kubeconfig")
        if kubeconfig is None:
            raise BadClass("NoKubeconfig", "the credentials secret needs the key kubeconfig, with a kubeconfig for the KubeVirt cluster")
        assert isinstance(context.parameters, Parameters)
        try:
            client = Client(parse(kubeconfig), context=context.parameters.context)
            await client.open()
        except BadConfig as error:
            raise BadClass("BadKubeconfig", f"the kubeconfig in the credentials secret cannot be used: {error}") from error
        return cls(context, client)

    async def run(self) -> None:
        await self.fleet.run()

    async def close(self) -> None:
        self._attention.close()
        await self._client.close()

    @property
    def synced(self) -> bool:
        return self.fleet.synced

    def problem(self) -> ProviderError | None:
        for informer in (self.fleet.machines, self.fleet.instances):
            if informer.last_error is not None:
                return explain(informer.last_error, self._parameters.namespace)
        if not self.synced:
            return ProviderError("Connecting", "reading the machines of the KubeVirt cluster for the first time")
        return None

    def hosts(self) -> Iterable[ProviderHost]:
        return self.fleet.hosts()

    def host(self, uid: str) -> ProviderHost | None:
        return self.fleet.host(uid)

    async def apply(self, request: ApplyRequest) -> Applied:
        slot = slot_named(request.source.name)
        vm = await self._find(request, slot)
        if vm is None:
            made = await self._make(request, slot)
            if isinstance(made, Applied):
                return made
            vm = made
        if not taken_by(vm, request.workload_uid):
            return not_ours("HostTaken", _TAKEN)
        self._made.add(request.workload_uid)
        if deleting(vm):
            return not_ours("HostGone", _DELETED)
        plan = plan_for(request, verify=self._parameters.verify_checksums)
        vm, vmi, plan = await self._converge(request, vm, plan)
        if plan.said.status is True:
            self._told.note(request, plan.said)
        return self._applied_to(vm, vmi, slot, request, plan)

    def applied(self, request: ApplyRequest) -> Applied | None:
        vm, slot = self.fleet.known(request.source.uid), slot_named(request.source.name)
        if self._told.recall(request) is None or vm is None or deleting(vm) or not taken_by(vm, request.workload_uid):
            return None
        plan, vmi = known_plan(request), self.fleet.instance(vm)
        return None if next_step(vm, vmi, plan.wish) is not None else self._applied_to(vm, vmi, slot, request, plan)

    async def _find(self, request: ApplyRequest, slot: Slot) -> Object | None:
        """The VirtualMachine in the request's slot as it is now."""
        if request.source.namespace != self._parameters.namespace:
            raise moved(request.source, self._parameters.namespace, noun="namespace")
        return await self._cluster.machine(names.machine_name(slot, request.source.uid))

    async def _make(self, request: ApplyRequest, slot: Slot) -> Object | Applied:
        """Claims the slot by making its VirtualMachine; or why that cannot be."""
        if request.workload_uid in self._made or once_made(request.workload):
            return not_ours("HostGone", _DELETED)
        flavor = self.fleet.offers.flavor(slot)
        if flavor is None:
            return not_ours("HostGone", NOT_OFFERED)
        try:
            made = await self._cluster.make(virtual_machine(request, slot, flavor, self._parameters))
        except ApiException as error:
            refused = refusal(error)
            if refused is None:
                raise
            self._attention.trouble(request.source.uid, refused[1], again=TRY_AGAIN)
            return Applied(refused[0], refused[0])
        self._attention.fine(request.source.uid)
        made = made or await self._find(request, slot)
        return made if made is not None else not_ours("HostTaken", _TAKEN)

    async def _converge(self, request: ApplyRequest, vm: Object, plan: Plan) -> tuple[Object, Object | None, Plan]:
        """Takes steps until the machine is as wished, or something has to happen first."""
        if plan.seed is not None:
            await self._cluster.keep_secret(vm, request.workload_uid, plan.seed.data)
        elif not plan.wish.held:
            await self._cluster.remove_secrets(request.workload_uid)
        vmi = await self._cluster.instance(name_of(vm))
        for _ in range(MOST_STEPS):
            step = next_step(vm, vmi, plan.wish)
            if isinstance(step, Install) and (instead := await self._make_disk(request, vm, plan, step.disk)) is not None:
                return vm, vmi, instead
            try:
                after = await self._take(request, vm, step)
            except ApiException as error:
                if not error.conflict:
                    raise
                # KubeVirt writes its status often: decided anew on what there is now.
                after, vmi = await self._again_ours(request, vm), await self._cluster.instance(name_of(vm))
            if after is None:
                break
            vm = after
        replacing = isinstance(step, Wait | DeleteDisk) and plan.wish.disk is not None
        return vm, vmi, plan.saying(REPLACING) if replacing and plan.said.status else plan

    async def _again_ours(self, request: ApplyRequest, vm: Object) -> Object:
        """The machine as it is now, if it is this Workload's still; a conflict otherwise."""
        now = await self._cluster.machine(name_of(vm))
        if now is None or deleting(now) or not taken_by(now, request.workload_uid):
            raise ApiException(409, "Conflict", "the machine was taken away meanwhile")
        return now

    async def _take(self, request: ApplyRequest, vm: Object, step: Step) -> Object | None:
        """One step; the machine after it, or None if there is nothing more to do now."""
        match step:
            case Patch(body) | Install(then=Patch(body)):
                return await self._cluster.patch(vm, body)
            case DeleteDisk(name, then):
                if await self._cluster.delete_disk(name):
                    return await self._cluster.patch(vm, then.body)
                self._attention.later(request.source.uid, LOOK_AGAIN)
            case EndInstance(uid):
                await self._cluster.end_instance(name_of(vm), uid)
        return None

    async def _make_disk(self, request: ApplyRequest, vm: Object, plan: Plan, disk: RootDisk) -> Plan | None:
        """Has the image imported; None when it is, or else the plan to follow instead."""
        flavor = made_from(vm) or self.fleet.offers.flavor(slot_named(request.source.name))
        wanted = data_volume(vm, disk, str(flavor.disk) if flavor is not None else "", self._parameters)
        if wanted is None:
            return None
        made = await self._cluster.make_disk(wanted)
        if deleting(made) or all(owner["uid"] != uid_of(vm) for owner in made["metadata"].get("ownerReferences") or ()):
            # Of a machine that was here before: it goes with that one.
            await self._cluster.delete_disk(name_of(wanted))
            self._attention.later(request.source.uid, LOOK_AGAIN)
            return plan.saying(REPLACING)
        if _checksum(made) == _checksum(wanted) or not self._parameters.verify_checksums:
            return None
        # The API of an importer that does not know checksums has dropped it without a word.
        await self._cluster.delete_disk(name_of(wanted))
        return held(request, Outcome(False, "ChecksumUnsupported", _TOO_OLD))

    def _applied_to(self, vm: Object, vmi: Object | None, slot: Slot, request: ApplyRequest, plan: Plan) -> Applied:
        observed = self.fleet.observed(vm, vmi, slot, request.source.uid)
        return Applied(
            BOUND,
            plan.said,
            observed=observed,
            empty=observed["provisioning"]["state"] == "available" and vmi is None,
            consumed=consumed(vm, vmi, plan.wish),
        )

    async def release(self, request: ApplyRequest) -> Released:
        uid = request.source.uid
        self._told.forget(request.workload_uid)
        self._attention.fine(uid)
        vm = await self._find(request, slot_named(request.source.name))
        if vm is not None:
            if not taken_by(vm, request.workload_uid):
                return Released(True)  # what it has is its own by now, whoever had it made
            if request.workload["spec"].get("reclaimPolicy") == "Retain":
                return await self._retain(vm, request)
            if not deleting(vm):
                await self._cluster.delete_machine(vm)
            if await self._cluster.machine(name_of(vm)) is not None:
                self._attention.later(uid, LOOK_AGAIN)
                return Released(False, "waiting for the machine to be shut down and deleted")
        if not await self._cluster.clean(request.workload_uid):
            self._attention.later(uid, LOOK_AGAIN)
            return Released(False, "waiting for the machine's disks to be deleted")
        self._made.discard(request.workload_uid)
        return Released(True)

    async def _retain(self, vm: Object, request: ApplyRequest) -> Released:
        """Leaves the machine running. Its slot is not offered until its owner has looked at it and deleted it."""
        who = f"{namespace_of(request.workload)}/{name_of(request.workload)}"
        note = {names.QUARANTINED: annotations_of(vm).get(names.QUARANTINED) or who}
        await self._cluster.patch(vm, {"metadata": {"labels": {names.WORKLOAD_UID: None}, "annotations": note}})
        return Released(True)


def _checksum(disk: Object) -> str:
    """What a DataVolume's content is verified against."""
    return str(((disk["spec"].get("source") or {}).get("http") or {}).get("checksum") or "")


_DELETED = "the machine was deleted by its owner: delete this Workload and make a new one"
_TAKEN = "another consumer has the machine, and nothing of this Workload is on it: delete this Workload and create it again"
_TOO_OLD = "the class wants images to be verified, and its cluster's importer cannot do that (CDI 1.65 can): ask its owner"

"""Implement the provider for real hosts: the BareMetalHosts of one hardware cluster.

The Baremetal Operator controls these hosts."""

from __future__ import annotations

import asyncio

from pydantic import Field

from apiserver.apis.base import DNSLabel
from apiserver.client.client import Client
from apiserver.client.objects import Object, Resource, annotations_of, labels_of, name_of, namespace_of, uid_of
from controllers import adoptionoptions
from controllers.providers.baremetalhost import names
from controllers.providers.baremetalhost.adopter import Adopter
from controllers.providers.baremetalhost.adoptionrecord import handed_back_by, may_adopt
from controllers.providers.baremetalhost.desired import (
    cleaning_mode,
    drop_claim_patch,
    has_stale_label_of,
    is_claimed_by,
    is_recovered_by,
    released_patch,
)
from controllers.providers.baremetalhost.driver import BareMetalHostDriver, DriverParameters
from controllers.providers.baremetalhost.hardware import connect
from controllers.providers.baremetalhost.hardwaredata import HardwareObjects
from controllers.providers.baremetalhost.record import record_of
from controllers.providers.baremetalhost.recovery import Recoverer
from controllers.providers.baremetalhost.report import availability, consumer_of, is_empty, leftovers, provider_host, stalled
from controllers.providers.baremetalhost.sourceerrors import explain
from controllers.providers.base import ApplyRequest, Outcome, ProviderContext, ProviderError, ProviderHost, Released
from controllers.recovery import Options, Summary
from controllers.resumable import Reporter


class Parameters(DriverParameters):
    """The `parameters` of a WorkloadClass with provisioner metal3.io/baremetalhost."""

    namespace: DNSLabel | None = Field(default=None, description="Namespace of the hosts in the hardware cluster; all when empty.")
    online_when_free: bool = Field(default=False, description="Whether hosts without a consumer stay powered on.")


class BareMetalHostProvider(BareMetalHostDriver):
    """The hosts of one hardware cluster."""

    parameters_model = Parameters
    there = "the hardware cluster"

    def __init__(self, context: ProviderContext, client: Client) -> None:
        super().__init__(context, client)
        namespace = self._parameters.namespace or ""
        self._hardware = HardwareObjects(client, namespace, on_change=self._hardware_changed, on_health=context.on_health)

    async def run(self) -> None:
        async with asyncio.TaskGroup() as running:
            running.create_task(super().run())
            running.create_task(self._hardware.run())

    @property
    def synced(self) -> bool:
        return super().synced and self._hardware.is_known

    def complete(self, bmh: Object) -> Object:
        return self._hardware.complete(bmh)

    def _hardware_changed(self, key: str) -> None:
        if (bmh := self._informer.store.get(key)) is not None:
            self._changed(None, bmh)

    @property
    def _parameters(self) -> Parameters:
        assert isinstance(self._context.parameters, Parameters)
        return self._context.parameters

    def where(self) -> tuple[Resource, str]:
        return names.BARE_METAL_HOSTS, self._parameters.namespace or ""

    def explain(self, error: Exception) -> ProviderError:
        return explain(error, self._parameters.namespace)

    @classmethod
    async def recover(cls, management: Client, options: Options, reporter: Reporter) -> Summary:
        return await Recoverer(management, options, reporter).run()

    @classmethod
    async def adopt(
        cls, management: Client, class_: Object, options: adoptionoptions.Options, reporter: Reporter
    ) -> adoptionoptions.Summary:
        async with await connect(management, class_, agent="metal3-workloads-adopt") as hardware:
            return await Adopter(management, hardware, class_, options, reporter).run()

    def report(self, bmh: Object) -> ProviderHost:
        return provider_host(self.complete(bmh), self._policy)

    def record(self, request: ApplyRequest) -> str:
        return record_of(request.workload, request.namespace_uid)

    def refuse(self, bmh: Object, workload: Object) -> Outcome | None:
        if is_claimed_by(bmh, workload):
            return None
        if handed_back_by(bmh, workload):
            return Outcome(False, "HandedBack", _HANDED_BACK)
        if has_stale_label_of(bmh, workload) or is_recovered_by(bmh, workload) or may_adopt(bmh, workload, self._identity):
            return None
        if consumer_of(bmh) is not None:
            return Outcome(False, "HostTaken", _TAKEN)
        available, reason, _ = availability(bmh, self._identity)
        return (
            None
            if available
            else Outcome(False, "HostNotAvailable", f"the host is not available now ({reason}); it is claimed as soon as it is")
        )

    async def release(self, request: ApplyRequest) -> Released:
        self._done.pop(request.workload_uid)
        bmh = await self._find(request)
        if bmh is None or not is_claimed_by(bmh, request.workload):
            await self._copies.remove(request.workload_uid, request.source.namespace)
            return Released(True)
        bmh = await self._mark(bmh, request)
        if request.workload["spec"].get("reclaimPolicy") == "Retain":
            return await self._retain(bmh, request)
        cleaning = cleaning_mode(request.workload, self._context.spec.cleaning)
        bmh = await self._patch(bmh, released_patch(bmh, online=self._parameters.online_when_free, cleaning=cleaning))
        if not is_empty(bmh):
            return Released(False, _waiting(bmh))
        await self._copies.remove(request.workload_uid, namespace_of(bmh))
        await self._patch(bmh, drop_claim_patch(bmh, dirty_for=self._dirty(bmh, request)))
        return Released(True)

    async def tidy(self, uid: str) -> None:
        found = self._informer.store.by_index("uid", uid)
        if not found:
            return
        bmh = await self._client.get(names.BARE_METAL_HOSTS, name_of(found[0]), namespace_of(found[0]))
        if uid_of(bmh) != uid or not leftovers(bmh):
            return
        await self._copies.remove(labels_of(bmh)[names.WORKLOAD_UID], namespace_of(bmh))
        # The label is the only trace of the Workload, so the owner of the data on the disks is
        # unknown.
        unclean = "freed by hand, not cleaned" if bmh["spec"].get("automatedCleaningMode") == "disabled" else None
        await self._patch(bmh, drop_claim_patch(bmh, dirty_for=annotations_of(bmh).get(names.DIRTY_FOR), quarantined_by=unclean))

    async def _retain(self, bmh: Object, request: ApplyRequest) -> Released:
        """Leave the host running, quarantined until its owner has checked it.

        The copied secrets are removed, because an installed host does not need them."""
        workload = request.workload
        await self._copies.remove(request.workload_uid, namespace_of(bmh))
        who = f"{namespace_of(workload)}/{name_of(workload)}"
        await self._patch(bmh, drop_claim_patch(bmh, dirty_for=self._dirty_value(request), quarantined_by=who))
        return Released(True)

    def _dirty(self, bmh: Object, request: ApplyRequest) -> str | None:
        if bmh["spec"].get("automatedCleaningMode") != "disabled":
            return None
        return self._dirty_value(request)

    def _dirty_value(self, request: ApplyRequest) -> str:
        return names.dirty_mark(self._identity.name, namespace_of(request.workload), request.namespace_uid)


def _waiting(bmh: Object) -> str:
    status = bmh.get("status") or {}
    state = (status.get("provisioning") or {}).get("state") or "unknown"
    trouble = "; it reports an error, which its owner has to look at" if status.get("errorMessage") else ""
    if why := stalled(bmh):
        trouble += f"; {why}"
    return f"waiting for the host to be emptied and cleaned: it is {state}{trouble}"


_HANDED_BACK = "the hardware's owner has the host again, as it was: delete this Workload; the host and what runs on it stay as they are"
_TAKEN = (
    "another consumer has the host in the hardware cluster: to keep the host, ask the hardware's owner to clear the BareMetalHost's "
    "spec.consumerRef; to give it up, delete this Workload, then create it again to get another host"
)

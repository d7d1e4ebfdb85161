"""Implement the provider for hosts of another metal3-workloads: its BareMetalHost views in one
namespace.

It has the permissions of a tenant there, and no others. It claims by consumerRef, and gives a host
back by deleting the view. An existing claim can be taken over for its consumer, if that has moved
to this cluster (see `claim_state`).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Literal

from pydantic import Field

from apiserver.apis.base import DNSLabel
from apiserver.apis.host import WORKLOAD_FIELDS
from apiserver.apis.workload import host_of
from apiserver.client.errors import ApiException
from apiserver.client.objects import Object, Resource, deleting, name_of, namespace_of, uid_of
from controllers import kinds
from controllers.providers.baremetalhost.desired import Desired
from controllers.providers.baremetalhost.driver import BareMetalHostDriver, DriverParameters
from controllers.providers.baremetalhost.report import availability, host_status, provider_host
from controllers.providers.base import ApplyRequest, Outcome, ProviderError, ProviderHost, Released
from controllers.providers.relay.claimstate import claim_state, handing_back_patch, held_claim
from controllers.providers.relay.loops import RELAYED, hosts_behind, is_loop
from controllers.providers.relay.sourceerrors import explain, loop


class Parameters(DriverParameters):
    """The `parameters` of a WorkloadClass with provisioner metal3.io/relay."""

    namespace: DNSLabel = Field(description="The namespace of the hosts in the other cluster.")
    view_group: Literal["metal3.io", "workload.metal3.io"] = Field(
        default="metal3.io", description="The API group that the other cluster serves the BareMetalHost view under."
    )


class RelayProvider(BareMetalHostDriver):
    """The hosts of one namespace of another metal3-workloads."""

    parameters_model = Parameters
    there = "the other cluster"

    @property
    def _parameters(self) -> Parameters:
        assert isinstance(self._context.parameters, Parameters)
        return self._context.parameters

    def where(self) -> tuple[Resource, str]:
        return Resource(self._parameters.view_group, "v1alpha1", "baremetalhosts", "BareMetalHost"), self._parameters.namespace

    def explain(self, error: Exception) -> ProviderError:
        return explain(error, self._parameters.namespace)

    def problem(self) -> ProviderError | None:
        own = sum(self.excluded(view) for view in self._informer.store)
        return super().problem() or (loop(own, self._parameters.namespace) if own else None)

    def excluded(self, bmh: Object) -> bool:
        return is_loop(bmh, self._context.has_host)

    def _changed(self, old: Object | None, new: Object | None) -> None:
        super()._changed(old, new)
        if new is not None and self.excluded(new):
            self._context.on_health()

    def report(self, bmh: Object) -> ProviderHost:
        made = provider_host(bmh, self._policy)
        annotations = {**made.report.get("annotations", {}), RELAYED: ",".join(hosts_behind(bmh))}
        made = replace(
            made,
            source=replace(made.source, identity_namespace=made.source.namespace),
            report={**made.report, "annotations": annotations, "status": host_status(bmh, own=True)},
            dirty_for=None,
        )
        held = held_claim(bmh, WORKLOAD_FIELDS)
        if held is None:
            return made
        reference = held["spec"]["consumerRef"]
        who = f"{reference.get('kind')} {reference.get('namespace')}/{reference.get('name')}"
        message = f"{who} has it in the other cluster; after it has moved here, its first write to the host takes the claim over"
        return replace(made, reason="Held", message=message, held=held)

    def refuse(self, bmh: Object, workload: Object) -> Outcome | None:
        match claim_state(bmh, workload):
            case "ours" | "ours to adopt":
                return None
            case "handed back":
                return Outcome(False, "HandedBack", _HANDED_BACK)
            case "leaving":
                return Outcome(False, "HostReleased", _LEAVING)
            case "another's":
                return Outcome(False, "HostTaken", _TAKEN)
        available, reason, _ = availability(bmh)
        return (
            None
            if available
            else Outcome(False, "HostNotAvailable", f"the host is not available now ({reason}); it is claimed as soon as it is")
        )

    def _desired(self, request: ApplyRequest, secrets: Mapping[str, str]) -> Desired:
        want = super()._desired(request, secrets)
        # The host is always cleaned: the other cluster knows the namespace there, not the one here
        # whose data is on it.
        #
        # The uid is included, because a Workload there with the same name may have the host: one
        # that has moved here.
        return replace(want, cleaning="metadata", consumer={**want.consumer, "uid": request.workload_uid})

    async def release(self, request: ApplyRequest) -> Released:
        self._done.pop(request.workload_uid)
        view = await self._find(request)
        state = claim_state(view, request.workload) if view is not None else "another's"
        if view is None or state in ("another's", "free"):
            await self._copies.remove(request.workload_uid, request.source.namespace)
            return Released(True)
        if state == "handed back":
            await self._patch(view, handing_back_patch(view, request.workload))
            await self._copies.remove(request.workload_uid, request.source.namespace)
            return Released(True)
        if state == "leaving" or deleting(view):
            return Released(False, _waiting(view))
        view = await self._mark(view, request)
        if request.workload["spec"].get("reclaimPolicy") == "Retain" and not await self._retain(view):
            return Released(False, _NOT_RETAINED)
        version = view["metadata"]["resourceVersion"]
        await self._client.delete(self._hosts, name_of(view), namespace_of(view), uid=uid_of(view), resource_version=version)
        return Released(False, _waiting(view))

    async def _retain(self, view: Object) -> bool:
        """Set the Workload there to leave the host as it is. Return False if its class does not
        allow that."""
        found, _ = await self._client.list_all(kinds.WORKLOADS, namespace_of(view))
        for workload in found:
            if host_of(workload).get("uid") == uid_of(view):
                patch = {"metadata": {"uid": uid_of(workload)}, "spec": {"reclaimPolicy": "Retain"}}
                try:
                    await self._client.patch(kinds.WORKLOADS, name_of(workload), patch, namespace_of(workload))
                except ApiException as error:
                    if not error.invalid:
                        raise
                    return False
        return True


def _waiting(view: Object) -> str:
    state = ((view.get("status") or {}).get("provisioning") or {}).get("state") or "unknown"
    return f"waiting for the host to be emptied and cleaned: it is {state}"


_TAKEN = (
    "another consumer has the host where it comes from: to keep the host, ask that its spec.consumerRef be cleared there; to give it up, "
    "delete this Workload, then create it again to get another host"
)
_HANDED_BACK = "the host's consumer has it where it comes from again: delete this Workload; the host and what runs on it stay as they are"
_NOT_RETAINED = (
    "the host cannot be left as it is, because its own cluster does not allow that: save what you need, then set spec.reclaimPolicy to "
    "Delete, or ask the owner there to allow it"
)
_LEAVING = "the host was given up where it comes from, and is being cleaned there: delete this Workload and create it again for another one"

"""The provider for real hosts: speaks to one hardware cluster. What to write and what to report is decided in pure modules.

Every write to a host carries the resourceVersion it was decided on. A claim is one write: consumerRef and our label together.
"""

from __future__ import annotations

import asyncio
import re
from typing import TYPE_CHECKING, Self

from pydantic import ConfigDict, Field

from apiserver.apis.base import DNSLabel, Model
from controllers.providers.baremetalhost import names
from controllers.providers.baremetalhost.copies import SecretCopies
from controllers.providers.baremetalhost.data import copied_fields, copies
from controllers.providers.baremetalhost.desired import (
    claimed_patch,
    cleaning_mode,
    consumed,
    desired,
    drop_claim_patch,
    held,
    missing_checksum,
    released_patch,
    runs_something,
    taken_by_us,
    unhealthy_marks,
)
from controllers.providers.baremetalhost.problems import explain
from controllers.providers.baremetalhost.report import Policy, availability, consumer_of, host_status, is_empty, provider_host
from controllers.providers.base import (
    Applied,
    ApplyRequest,
    BadClass,
    Outcome,
    Provider,
    ProviderContext,
    ProviderError,
    ProviderHost,
    Released,
)
from controllers.runtime.client import Client
from controllers.runtime.errors import ApiException, BadConfig
from controllers.runtime.informer import Informer
from controllers.runtime.kubeconfig import parse
from controllers.runtime.objects import Object, labels_of, matches, name_of, namespace_of, uid_of

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from controllers.providers.baremetalhost.desired import Desired

__all__ = ["BareMetalHostProvider", "Parameters"]


TRUST = 600.0
"""Seconds until everything is looked at again although nothing has changed: somebody may have deleted a copied secret."""


class Parameters(Model):
    """`parameters` of a WorkloadClass with provisioner metal3.io/baremetalhost."""

    model_config = ConfigDict(extra="forbid")

    namespace: DNSLabel | None = Field(default=None, description="Namespace of the hosts in the hardware cluster; all when empty.")
    context: str | None = Field(default=None, description="Context of the kubeconfig; its current one when empty.")
    identity: str = Field(default="", max_length=63, description="Name of this management cluster, shown to the hardware's owner.")
    online_when_free: bool = Field(default=False, description="Whether hosts that nobody has stay powered on.")


class BareMetalHostProvider(Provider):
    """Hosts of one hardware cluster, reached with the kubeconfig in the class's secret (key `kubeconfig`)."""

    parameters_model = Parameters

    def __init__(self, context: ProviderContext, client: Client) -> None:
        assert isinstance(context.parameters, Parameters)
        self._context, self._parameters, self._client = context, context.parameters, client
        self._selector = context.spec.host_selector.encode() if context.spec.host_selector else None
        self._policy = _policy(context)
        self._copies = SecretCopies(client)
        self._done: dict[str, tuple[str, float]] = {}
        self._informer = Informer(
            client, names.BARE_METAL_HOSTS, namespace=self._parameters.namespace or "", indexers={"uid": lambda bmh: [uid_of(bmh)]}
        )
        self._informer.add_handler(self._changed)
        self._informer.add_health_handler(context.on_health)

    @classmethod
    async def create(cls, context: ProviderContext) -> Self:
        kubeconfig = context.credentials.get("kubeconfig")
        if kubeconfig is None:
            raise BadClass("NoKubeconfig", "the credentials secret needs the key kubeconfig, with a kubeconfig for the hardware cluster")
        assert isinstance(context.parameters, Parameters)
        try:
            client = Client(parse(kubeconfig), context=context.parameters.context)
            await client.open()
        except BadConfig as error:
            raise BadClass("BadKubeconfig", f"the kubeconfig in the credentials secret cannot be used: {error}") from error
        return cls(context, client)

    async def run(self) -> None:
        await self._informer.run()

    async def close(self) -> None:
        await self._client.close()

    @property
    def synced(self) -> bool:
        return self._informer.synced.is_set()

    def problem(self) -> ProviderError | None:
        error = self._informer.last_error
        if error is not None:
            return explain(error, self._parameters.namespace)
        if not self.synced:
            return ProviderError("Connecting", "reading the hosts of the hardware cluster for the first time")
        return None

    def hosts(self) -> Iterable[ProviderHost]:
        return [provider_host(bmh, self._policy) for bmh in self._informer.store if self._ours(bmh)]

    def host(self, uid: str) -> ProviderHost | None:
        found = self._informer.store.by_index("uid", uid)
        return provider_host(found[0], self._policy) if found and self._ours(found[0]) else None

    def _ours(self, bmh: Object) -> bool:
        # A claimed host stays with its class when its labels change: it has to be released through it.
        return matches(self._selector, labels_of(bmh)) or names.WORKLOAD_UID in labels_of(bmh)

    def _changed(self, old: Object | None, new: Object | None) -> None:
        if (bmh := new or old) is not None:
            self._context.on_change(uid_of(bmh))

    async def apply(self, request: ApplyRequest) -> Applied:
        bmh = await self._find(request)
        if bmh is None:
            return Applied(Outcome(False, "HostGone", _GONE), Outcome(False, "HostGone", _GONE))
        if refused := self._refuse(bmh, request.workload):
            return Applied(refused, Outcome(False, refused.reason, "nothing is written to a host that is not this Workload's"))
        blocked, data = self._data(request)
        bmh = await self._take(bmh, request)
        if blocked is not None:
            bmh = await self._patch(bmh, claimed_patch(bmh, held(bmh, self._desired(request, {}))))
            return self._applied_to(bmh, request, blocked)
        secrets = await self._copies.keep(request.workload, namespace_of(bmh), data)
        bmh = await self._patch(bmh, claimed_patch(bmh, self._desired(request, secrets)))
        if not data:
            await self._copies.remove(request.workload_uid, namespace_of(bmh))
        self._done[request.workload_uid] = (request.version, asyncio.get_running_loop().time() + TRUST)
        return self._applied_to(bmh, request, _SYNCHRONIZED)

    def applied(self, request: ApplyRequest) -> Applied | None:
        version, until = self._done.get(request.workload_uid, ("", 0.0))
        # A host that is to be emptied is always looked at: a stale copy may show it empty before it was filled.
        if version != request.version or until < asyncio.get_running_loop().time() or not runs_something(request.workload):
            return None
        found = self._informer.store.by_index("uid", request.source.uid)
        if not found or not taken_by_us(found[0], request.workload):
            return None
        secrets = {field: names.secret_name(request.workload_uid, field) for field in copied_fields(request.workload)}
        if claimed_patch(found[0], self._desired(request, secrets)):
            return None
        return self._applied_to(found[0], request, _SYNCHRONIZED)

    def _data(self, request: ApplyRequest) -> tuple[Outcome | None, dict[str, dict[str, bytes]]]:
        """The data of the secrets to copy, or why nothing can be put on the host."""
        if not runs_something(request.workload):
            return None, {}
        if request.blocked is not None:
            return request.blocked, {}
        if missing_checksum(request.workload["spec"].get("image")):
            return Outcome(False, "ChecksumMissing", _CHECKSUM), {}
        try:
            return None, copies(request)
        except ProviderError as error:
            return Outcome(False, error.reason, error.message), {}

    def _desired(self, request: ApplyRequest, secrets: Mapping[str, str]) -> Desired:
        cleaning = cleaning_mode(request.workload, self._context.spec.cleaning)
        return desired(request.workload, secrets, request.annotations, cleaning=cleaning, identity=self._parameters.identity)

    def _applied_to(self, bmh: Object, request: ApplyRequest, synchronized: Outcome) -> Applied:
        return Applied(_BOUND, synchronized, observed=host_status(bmh), empty=is_empty(bmh), consumed=consumed(bmh, request.annotations))

    async def release(self, request: ApplyRequest) -> Released:
        self._done.pop(request.workload_uid, None)
        bmh = await self._find(request)
        if bmh is not None and (marks := unhealthy_marks(bmh, request.annotations)):
            bmh = await self._patch(bmh, {"metadata": {"annotations": marks}})
        if bmh is None or not taken_by_us(bmh, request.workload):
            await self._copies.remove(request.workload_uid, request.source.namespace)
            return Released(True)
        if request.workload["spec"].get("reclaimPolicy") == "Retain":
            return await self._retain(bmh, request)
        bmh = await self._patch(bmh, released_patch(bmh, online=self._parameters.online_when_free))
        if not is_empty(bmh):
            return Released(False, _waiting(bmh))
        await self._copies.remove(request.workload_uid, namespace_of(bmh))
        await self._patch(bmh, drop_claim_patch(bmh, dirty_for=self._dirty(bmh, request.workload)))
        return Released(True)

    async def _retain(self, bmh: Object, request: ApplyRequest) -> Released:
        """Leaves the host running. It is not offered until its owner has looked at it. The copied secrets have done their work."""
        workload = request.workload
        await self._copies.remove(request.workload_uid, namespace_of(bmh))
        who = f"{namespace_of(workload)}/{name_of(workload)}"
        await self._patch(bmh, drop_claim_patch(bmh, dirty_for=self._dirty_value(namespace_of(workload)), quarantined_by=who))
        return Released(True)

    def _refuse(self, bmh: Object, workload: Object) -> Outcome | None:
        """Why this Workload cannot have the real host, or None."""
        if taken_by_us(bmh, workload):
            return None
        if consumer_of(bmh) is not None:
            return Outcome(False, "HostTaken", _TAKEN)
        available, reason, _ = availability(bmh, self._parameters.identity)
        return (
            None
            if available
            else Outcome(False, "HostNotAvailable", f"the host cannot be had now ({reason}); it is taken as soon as it can")
        )

    async def _take(self, bmh: Object, request: ApplyRequest) -> Object:
        """Takes the host before anything else is written, so that no secret goes to a host that another one is taking."""
        if taken_by_us(bmh, request.workload):
            return bmh
        full = claimed_patch(bmh, self._desired(request, {}))
        return await self._patch(bmh, {"metadata": full["metadata"], "spec": {"consumerRef": full["spec"]["consumerRef"]}})

    async def _patch(self, bmh: Object, patch: Object) -> Object:
        if not patch:
            return bmh
        version = bmh["metadata"]["resourceVersion"]
        body = {**patch, "metadata": {**patch.get("metadata", {}), "resourceVersion": version, "uid": uid_of(bmh)}}
        return await self._client.patch(names.BARE_METAL_HOSTS, name_of(bmh), body, namespace_of(bmh))

    async def _find(self, request: ApplyRequest) -> Object | None:
        """The real host as it is now; None if it is gone, also when another one has its name."""
        try:
            bmh = await self._client.get(names.BARE_METAL_HOSTS, request.source.name, request.source.namespace)
        except ApiException as error:
            # Only what the API says of this object counts: a missing kind or a proxy's page is trouble, not absence.
            if error.not_found and error.details.get("name") == request.source.name:
                return None
            raise
        return bmh if uid_of(bmh) == request.source.uid else None

    def _dirty(self, bmh: Object, workload: Object) -> str | None:
        if bmh["spec"].get("automatedCleaningMode") != "disabled":
            return None
        return self._dirty_value(namespace_of(workload))

    def _dirty_value(self, namespace: str) -> str:
        identity = self._parameters.identity
        return f"{identity}/{namespace}" if identity else namespace


def _policy(context: ProviderContext) -> Policy:
    metadata = context.spec.metadata
    labels = metadata.labels_match if metadata else None
    annotations = metadata.annotations_match if metadata else None
    assert isinstance(context.parameters, Parameters)
    return Policy(re.compile(labels) if labels else None, re.compile(annotations) if annotations else None, context.parameters.identity)


def _waiting(bmh: Object) -> str:
    status = bmh.get("status") or {}
    state = (status.get("provisioning") or {}).get("state") or "unknown"
    trouble = "; it reports an error, which its owner has to look at" if status.get("errorMessage") else ""
    return f"waiting for the host to be emptied and cleaned: it is {state}{trouble}"


_BOUND = Outcome(True, "Bound", "the host is this Workload's")
_SYNCHRONIZED = Outcome(True, "Synchronized", "the host has been told everything")
_GONE = "the machine was removed from the hardware cluster by its owner: delete this Workload and make a new one"
_TAKEN = (
    "somebody else uses the host in the hardware cluster: delete this Workload to get another one, "
    "or ask the hardware's owner to clear the host's consumerRef"
)
_CHECKSUM = "spec.image.checksum is missing: only live ISOs (format live-iso) and OCI images (oci://) go without one"

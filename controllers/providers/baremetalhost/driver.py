"""Implement a Provider whose machines are BareMetalHosts of another cluster.

The driver claims the hosts, writes what they have to run, and reports their state. Every write to a
host states the resourceVersion that the decision was based on. A claim is one write: consumerRef
and our label together. Real hosts and the views of another metal3-workloads differ in which
Workload may have a host and how it is given back. The subclasses implement these differences.
"""

from __future__ import annotations

import asyncio
import logging
import re
from abc import abstractmethod
from collections.abc import Iterable, Mapping
from datetime import UTC, datetime, timedelta
from typing import ClassVar, Self

from pydantic import ConfigDict, Field

from apiserver.apis.base import Model
from apiserver.apis.bounded import Bounded
from apiserver.apis.images import MISSING_CHECKSUM, missing_checksum
from apiserver.apis.names import IMAGE_AUTH
from apiserver.client.client import Client
from apiserver.client.clock import timestamp
from apiserver.client.errors import ApiException
from apiserver.client.informer import Informer
from apiserver.client.objects import Object, Resource, annotations_of, labels_of, matches, name_of, namespace_of, uid_of
from controllers.providers.baremetalhost import names
from controllers.providers.baremetalhost.copies import SecretCopies
from controllers.providers.baremetalhost.data import copied_fields, copies
from controllers.providers.baremetalhost.desired import (
    Desired,
    claimed_patch,
    cleaning_mode,
    consumed_annotations,
    desired,
    held,
    is_claimed_by,
    never_off,
    runs_something,
    unhealthy_marks,
)
from controllers.providers.baremetalhost.identity import Identity, identity_of
from controllers.providers.baremetalhost.refusals import refusal
from controllers.providers.baremetalhost.report import Policy, host_status, is_empty, stalled
from controllers.providers.base import (
    Applied,
    ApplyRequest,
    Outcome,
    Provider,
    ProviderContext,
    ProviderError,
    ProviderHost,
)
from controllers.providers.clusterclient import open_client

log = logging.getLogger(__name__)

TRUST = 600.0
"""The seconds after which a host is checked again although nothing changed: a copied secret may be
deleted."""
DONE = 4 * 1024 * 1024
"""The most bytes of remembered results, enough for 10,000 Workloads. A host whose result was
dropped is checked once more."""


class DriverParameters(Model):
    """The parameters that all classes with this driver have."""

    model_config = ConfigDict(extra="forbid")

    context: str | None = Field(default=None, description="Context of the kubeconfig; its current one when empty.")
    identity: str = Field(
        default="", max_length=63, description="Name of this management cluster, shown to the hosts' owner; its id when empty."
    )


class BareMetalHostDriver(Provider):
    """The hosts of one cluster, reached with the kubeconfig in the class's secret (key
    `kubeconfig`)."""

    parameters_model: ClassVar[type[DriverParameters]]
    passes_image_auth = True
    there: ClassVar[str]
    """What messages call the other cluster, such as "the hardware cluster"."""

    def __init__(self, context: ProviderContext, client: Client) -> None:
        assert isinstance(context.parameters, DriverParameters)
        self._context, self._client = context, client
        self._hosts, namespace = self.where()
        self._identity = identity_of(context.parameters.identity, context.cluster_id)
        self._policy = _policy(context, self._identity)
        self._copies = SecretCopies(client)
        self._done: Bounded[str, tuple[str, float]] = Bounded(DONE)  # by the uid of the Workload
        self._stale_text = 0.0, ""
        self._informer = Informer(
            client, self._hosts, namespace=namespace, indexers={"uid": lambda bmh: [uid_of(bmh)], "workload": _workloads_of}
        )
        self._informer.add_handler(self._changed)
        self._informer.add_health_handler(context.on_health)

    @classmethod
    async def create(cls, context: ProviderContext) -> Self:
        assert isinstance(context.parameters, DriverParameters)
        return cls(context, await open_client(context.credentials, context.parameters.context, cls.there))

    @abstractmethod
    def where(self) -> tuple[Resource, str]:
        """Return the kind of the hosts and their namespace ("" for all), from the class's
        parameters."""

    @abstractmethod
    def report(self, bmh: Object) -> ProviderHost:
        """Return the report on a host."""

    @abstractmethod
    def refuse(self, bmh: Object, workload: Object) -> Outcome | None:
        """Return why this Workload cannot have the host, or None."""

    @abstractmethod
    def explain(self, error: Exception) -> ProviderError:
        """Return the problem behind an error of the informer, for the class's owner."""

    def complete(self, bmh: Object) -> Object:
        """Return the host, completed with what other objects say about it."""
        return bmh

    def record(self, request: ApplyRequest) -> str:
        """Return the record of the Workload to write on its host, for a recovery after the store
        was lost. Return "" for none."""
        return ""

    def excluded(self, bmh: Object) -> bool:
        """Return whether the host does not belong to the class, whatever its labels."""
        return False

    async def run(self) -> None:
        await self._informer.run()

    async def forget(self, workload_uid: str) -> None:
        if self.synced and not self._informer.store.has("workload", workload_uid):
            await self._copies.remove(workload_uid, self.where()[1])

    async def close(self) -> None:
        await self._client.close()

    @property
    def synced(self) -> bool:
        return self._informer.synced.is_set()

    def problem(self) -> ProviderError | None:
        error = self._informer.last_error
        if error is not None:
            problem = self.explain(error)
            return ProviderError(problem.reason, f"{problem.message}{self._stale()}")
        if not self.synced:
            return ProviderError("Connecting", f"reading the hosts of {self.there} for the first time")
        return None

    def _stale(self) -> str:
        """Return the time of the last known state, as text; "" if it is current or nothing was ever
        read."""
        since = self._informer.stale_since
        if not self.synced or since is None:
            return ""
        # The time is computed once per outage, because each change of the message causes a write.
        if self._stale_text[0] != since:
            ago = timedelta(seconds=asyncio.get_running_loop().time() - since)
            self._stale_text = since, f"; what is known of the hosts is of {timestamp(datetime.now(UTC) - ago)}"
        return self._stale_text[1]

    def hosts(self) -> Iterable[ProviderHost]:
        return [self.report(bmh) for bmh in self._informer.store if self._ours(bmh)]

    def host(self, uid: str) -> ProviderHost | None:
        found = self._informer.store.by_index("uid", uid)
        return self.report(found[0]) if found and self._ours(found[0]) else None

    def _ours(self, bmh: Object) -> bool:
        if self.excluded(bmh):
            return False
        # A claimed host stays in its class when its labels change, because it is released through
        # the class.
        return matches(self._policy.selector, labels_of(bmh)) or names.WORKLOAD_UID in labels_of(bmh)

    def _changed(self, old: Object | None, new: Object | None) -> None:
        if (bmh := new or old) is not None:
            self._context.on_change(uid_of(bmh))

    async def apply(self, request: ApplyRequest) -> Applied:
        bmh = await self._find(request)
        if bmh is None:
            return Applied(Outcome(False, "HostGone", _GONE), Outcome(False, "HostGone", _GONE))
        if refused := self.refuse(bmh, request.workload):
            rejected_cleanly = labels_of(bmh).get(names.WORKLOAD_UID) != request.workload_uid
            nothing = Outcome(False, refused.reason, "nothing is written to a host that is not this Workload's")
            returned = refused.reason == "HandedBack"
            return Applied(refused, nothing, rejected_cleanly=rejected_cleanly, returned_to_previous_owner=returned)
        blocked, data = self._data(request)
        bmh = await self._take(bmh, request)
        if blocked is not None:
            bmh, refused = await self._write(bmh, held(bmh, self._desired(request, {})))
            return self._applied_to(bmh, request, refused or blocked)
        secrets = await self._copies.keep(request.workload, namespace_of(bmh), data)
        if IMAGE_AUTH not in secrets and auth_of(bmh) == names.secret_name(request.workload_uid, IMAGE_AUTH):
            # Remove the secret before the host stops naming it: after a crash, the name shows that
            # the removal is still to be done.
            await self._copies.remove_one(request.workload_uid, IMAGE_AUTH, namespace_of(bmh))
        bmh, refused = await self._write(bmh, self._desired(request, secrets))
        if refused:
            return self._applied_to(bmh, request, refused)
        if not data:
            await self._copies.remove(request.workload_uid, namespace_of(bmh))
        bmh = await self._forget_predecessor(bmh, request)
        self._done.put(request.workload_uid, (request.version, asyncio.get_running_loop().time() + TRUST), 200)
        return self._applied_to(bmh, request, _SYNCHRONIZED)

    async def _forget_predecessor(self, bmh: Object, request: ApplyRequest) -> Object:
        """End a recovery: remove the copied secrets of the lost Workload whose successor this one
        is."""
        lost = annotations_of(bmh).get(names.RECOVER)
        if lost is None:
            return bmh
        if lost and lost != request.workload_uid:
            await self._copies.remove(lost, namespace_of(bmh))
        return await self._patch(bmh, {"metadata": {"annotations": {names.RECOVER: None}}})

    def applied(self, request: ApplyRequest) -> Applied | None:
        version, until = self._done.get(request.workload_uid) or ("", 0.0)
        # A host that must be emptied is always read, because a stale copy may show it as empty,
        # from before something was installed on it.
        if version != request.version or until < asyncio.get_running_loop().time() or not runs_something(request.workload):
            return None
        found = self._informer.store.by_index("uid", request.source.uid)
        if not found or not is_claimed_by(found[0], request.workload):
            return None
        secrets = {field: names.secret_name(request.workload_uid, field) for field in copied_fields(request.workload)}
        if names.RECOVER in annotations_of(found[0]) or claimed_patch(found[0], self._desired(request, secrets)):
            return None
        return self._applied_to(found[0], request, _SYNCHRONIZED)

    def _data(self, request: ApplyRequest) -> tuple[Outcome | None, dict[str, dict[str, bytes]]]:
        """Return why nothing can be installed on the host, or None, and the data of the secrets to
        copy."""
        if not runs_something(request.workload):
            return None, {}
        if request.blocked is not None:
            return request.blocked, {}
        if missing_checksum(request.workload["spec"].get("image")):
            return Outcome(False, "ChecksumMissing", MISSING_CHECKSUM), {}
        try:
            return None, copies(request)
        except ProviderError as error:
            return Outcome(False, error.reason, error.message), {}

    def _desired(self, request: ApplyRequest, secrets: Mapping[str, str]) -> Desired:
        cleaning = cleaning_mode(request.workload, self._context.spec.cleaning)
        identity, record = self._identity.name, self.record(request)
        return desired(request.workload, secrets, request.annotations, cleaning=cleaning, identity=identity, record=record)

    def _applied_to(self, bmh: Object, request: ApplyRequest, synchronized: Outcome) -> Applied:
        done, why = consumed_annotations(bmh, request.annotations), stalled(bmh) or never_off(bmh, request.workload)
        observed = host_status(self.complete(bmh))
        return Applied(_BOUND, synchronized, observed=observed, empty=is_empty(bmh), consumed_annotations=done, stalled=why)

    async def _write(self, bmh: Object, want: Desired) -> tuple[Object, Outcome | None]:
        """Write the desired state. Return the host, and an Outcome if admission in its cluster
        refuses the write."""
        patch = claimed_patch(bmh, want)
        try:
            return await self._patch(bmh, patch), None
        except ApiException as error:
            if (why := refusal(error, patch)) is None:
                raise
            log.warning("host %s/%s: %s", namespace_of(bmh), name_of(bmh), error.message)
            return bmh, Outcome(False, "Refused", why)

    async def _take(self, bmh: Object, request: ApplyRequest) -> Object:
        """Claim the host before anything else is written.

        Otherwise a secret could be copied for a host that another Workload is claiming."""
        if is_claimed_by(bmh, request.workload):
            return bmh
        full = claimed_patch(bmh, self._desired(request, {}))
        # A recovered host names its predecessor, whose consumerRef is the same.
        reference = {key: value for key, value in full.get("spec", {}).items() if key == "consumerRef"}
        return await self._patch(bmh, {"metadata": full.get("metadata", {}), **({"spec": reference} if reference else {})})

    async def _patch(self, bmh: Object, patch: Object) -> Object:
        if not patch:
            return bmh
        version = bmh["metadata"]["resourceVersion"]
        body = {**patch, "metadata": {**patch.get("metadata", {}), "resourceVersion": version, "uid": uid_of(bmh)}}
        written = await self._client.patch(self._hosts, name_of(bmh), body, namespace_of(bmh))
        # The report must not show the host from before this write: a claim that has ended since
        # would look like an orphan's.
        self._informer.learn(written)
        return written

    async def _mark(self, bmh: Object, request: ApplyRequest) -> Object:
        """Pass on the marks that outlive the claim.

        The source may refuse a mark, for example if the annotations of the host are full. Such a
        refusal must not prevent the release."""
        marks = unhealthy_marks(bmh, request.annotations)
        if not marks:
            return bmh
        patch: Object = {"metadata": {"annotations": marks}}
        try:
            return await self._patch(bmh, patch)
        except ApiException as error:
            if refusal(error, patch) is None:
                raise
            log.warning("host %s/%s cannot be marked as unhealthy and is released unmarked: %s", namespace_of(bmh), name_of(bmh), error)
            return bmh

    async def _find(self, request: ApplyRequest) -> Object | None:
        """Return the host as it is now; None if it is gone, even if another host has its name."""
        try:
            bmh = await self._client.get(self._hosts, request.source.name, request.source.namespace)
        except ApiException as error:
            # Only an answer of the API about this object counts. A missing kind or a proxy's page
            # is an error, not absence.
            if error.not_found and error.details.get("name") == request.source.name:
                return None
            raise
        return bmh if uid_of(bmh) == request.source.uid else None


def auth_of(bmh: Object) -> str | None:
    """Return the name of the secret with which the host's image is pulled."""
    name: str | None = ((bmh.get("spec") or {}).get("image") or {}).get(IMAGE_AUTH)
    return name


def _policy(context: ProviderContext, identity: Identity) -> Policy:
    metadata = context.spec.metadata
    labels = metadata.labels_match if metadata else None
    annotations = metadata.annotations_match if metadata else None
    selector = context.spec.host_selector.encode() if context.spec.host_selector else None
    return Policy(re.compile(labels) if labels else None, re.compile(annotations) if annotations else None, identity, selector)


_BOUND = Outcome(True, "Bound", "the host is this Workload's")
_SYNCHRONIZED = Outcome(True, "Synchronized", "all settings were passed to the host")
_GONE = "the machine is not at its source any more: if its owner removed it for good, delete this Workload and create it again"


def _workloads_of(bmh: Object) -> list[str]:
    """Return the uids of the Workloads that the host's label or consumerRef names."""
    consumer = (bmh.get("spec") or {}).get("consumerRef") or {}
    return sorted({uid for uid in (labels_of(bmh).get(names.WORKLOAD_UID), consumer.get("uid")) if uid})

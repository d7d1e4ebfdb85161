"""Define the interface of a provider: a source of machines that can be offered, driven and
released.

Each WorkloadClass has one provider instance. Providers are found by entry point: the group is
`metal3_workloads.providers`, and the name is the class's `provisioner`. A provider communicates
with its own source only. The controllers manage the objects in the management cluster. Tenants see
what a provider reports, so a report must not contain anything that belongs to the owner. It has no
BMC addresses, credentials, names of secrets, or annotations of the owner.

    ProviderError      the class's owner has to fix something, or the source has to recover
    +-- BadClass       the class's parameters or credentials cannot work; final until they change
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from importlib.metadata import entry_points
from typing import Any, ClassVar, Self

from apiserver.apis.base import Model
from apiserver.apis.workloadclass import WorkloadClassSpec
from apiserver.client.client import Client
from controllers import adoptionoptions
from controllers.recovery import Options, Summary
from controllers.resumable import Blocked, Reporter

__all__ = [
    "Applied",
    "ApplyRequest",
    "BadClass",
    "Consumer",
    "Outcome",
    "Provider",
    "ProviderContext",
    "ProviderError",
    "ProviderHost",
    "Released",
    "Source",
    "find_provider",
    "provisioners",
]

ENTRY_POINTS = "metal3_workloads.providers"

Object = dict[str, Any]


class ProviderError(Exception):
    """Reports a problem at the source.

    `reason` is a CamelCase word. `message` is for the owner only, and states what to do."""

    def __init__(self, reason: str, message: str) -> None:
        super().__init__(message)
        self.reason, self.message = reason, message


class BadClass(ProviderError):
    """Reports that parameters or credentials of the class cannot be used."""


@dataclass(frozen=True, slots=True)
class Source:
    """Identifies a real host at its source.

    The uid decides: a new machine under an old name is another host. `identity_namespace`: the
    namespace of the management cluster in which the view keeps the source's uid. A source whose
    hosts are views sets it, so that a consumer that moves here finds the same hosts. If it is
    empty, the view's uid is derived from the source's uid."""

    namespace: str
    name: str
    uid: str
    identity_namespace: str = ""


@dataclass(frozen=True, slots=True)
class Consumer:
    """Names the consumer that the real host itself records.

    `workload_uid` is set if the consumer is a Workload of this project."""

    kind: str
    namespace: str
    name: str
    workload_uid: str = ""


@dataclass(frozen=True, slots=True)
class ProviderHost:
    """Describes one real host as its source reports it now.

    `report`: a HostReport as JSON (see apiserver.apis.host).

    `available`: whether a Workload could claim the host now. If not, `reason` (CamelCase) and
    `message` state why, and what the owner can do.

    `dirty_for`: the only namespace that may claim the host, because it was not cleaned.
    `dirty_for_uid`: the namespace's uid, as ApplyRequest.namespace_uid was at the release. Without
    a uid, no namespace may claim the host.

    `leftovers`: the owner freed the host by hand, and the remains of a Workload must still be
    removed (see Provider.tidy).

    `held`: a HeldClaim as JSON (see apiserver.apis.host): a claim that the source knows, and that a
    consumer which moves here may adopt.

    `error`: the source's own description of the error, for the owner only.

    `to_free`: what the owner has to do at the source to free the host by hand, whatever runs on
    it."""

    source: Source
    report: Object
    available: bool
    reason: str = ""
    message: str = ""
    dirty_for: str | None = None
    consumer: Consumer | None = None
    leftovers: bool = False
    held: Object | None = None
    error: str = ""
    to_free: str = "clear spec.image, spec.customDeploy and spec.consumerRef of the real host"
    dirty_for_uid: str = ""


@dataclass(frozen=True, slots=True)
class ProviderContext:
    """Holds what a provider is created from.

    `credentials`: the decoded values of the class's secret; empty without a secret.

    `on_change(uid)`: the provider calls it whenever the host with this uid appears, changes or
    disappears. `on_health()`: the provider calls it whenever the result of `problem()` may have
    changed. Both return at once.

    `has_host(name)`: whether the management cluster has a Host of this name, for a source that may
    lead back to that cluster.

    `cluster_id`: distinguishes this management cluster from others that share the source; empty if
    unknown."""

    class_name: str
    spec: WorkloadClassSpec
    parameters: Model
    credentials: Mapping[str, bytes]
    on_change: Callable[[str], None]
    on_health: Callable[[], None]
    has_host: Callable[[str], bool] = lambda name: False
    cluster_id: str = ""


@dataclass(frozen=True, slots=True)
class Outcome:
    """Holds a condition's status (True, False or None for Unknown), its CamelCase reason, and its
    message.

    Tenants see all three."""

    status: bool | None
    reason: str
    message: str


@dataclass(frozen=True, slots=True)
class ApplyRequest:
    """The desired state of a real host.

    `workload`: the Workload as JSON.

    `secrets`: the decoded data of the secret for each of "userData", "metaData" and "networkData"
    that the Workload names. Other fields are missing.

    `image_auth`: the decoded data of the secret with the registry's credentials of an OCI image, if
    the Workload names one and `Provider.passes_image_auth`.

    `blocked`: why nothing new may be installed, for example because a secret is missing. The
    provider then keeps the claim and what runs on the host.

    `view_name`, `view_uid`: the host as the tenant sees it.

    `annotations`: the annotations of the tenant on its view. A provider passes on only those that
    are meant for the machine.

    `namespace_uid`: the uid of the namespace that claimed the host, because names are reused; "" if
    it is not known.

    `version`: changes whenever the meaning of anything here changes, including the secrets'
    data."""

    workload: Object
    source: Source
    secrets: Mapping[str, Mapping[str, bytes]]
    view_name: str
    view_uid: str
    image_auth: Mapping[str, bytes] | None = None
    annotations: Mapping[str, str] = field(default_factory=dict)
    blocked: Outcome | None = None
    version: str = ""
    namespace_uid: str = ""

    @property
    def workload_uid(self) -> str:
        return str(self.workload["metadata"]["uid"])


@dataclass(frozen=True, slots=True)
class Applied:
    """The result of `apply`."""

    bound: Outcome
    """Whether this Workload has the real host."""
    synchronized: Outcome
    """Whether everything that the Workload asks for was written to the source."""
    observed: Object | None = None
    """The host's status right after `apply`, in the form of HostReport's `status`; None if
    unknown."""
    empty: bool = False
    """Whether the real host has nothing installed, and no operation is in progress."""
    consumed_annotations: tuple[str, ...] = ()
    """The tenant's one-shot annotations that took effect and can be removed."""
    stalled: str = ""
    """Why the host does not change although everything was written, as a message for the tenant. It
    is empty if the host follows its spec."""
    returned_to_previous_owner: bool = False
    """Whether the adopted claim was returned to its consumer at the source.

    A Workload that was created for the claim is then deleted."""
    rejected_cleanly: bool = False
    """Whether the host is unavailable and nothing was changed on it.

    The scheduler may then pick another host, unless the host was requested by name."""


@dataclass(frozen=True, slots=True)
class Released:
    """The result of `release`.

    `done`: the real host has no consumer and no copy of a secret, and nothing is installed. It is
    clean, or marked as dirty or quarantined. Otherwise `message` states what `release` waits for,
    for the tenant."""

    done: bool
    message: str = ""


class Provider(ABC):
    """A source of machines.

    Every method is level-triggered: it may be cancelled at any point and called again."""

    parameters_model: ClassVar[type[Model]] = Model
    """The model of the class's `parameters`.

    It should refuse unknown fields (extra="forbid"), because they are typing errors."""

    erases: ClassVar[bool] = False
    """Whether a release deletes the machine's disks, so that a class may set cleaning.mode to
    full."""

    passes_image_auth: ClassVar[bool] = False
    """Whether a machine's source gets the credentials of the registry of an OCI image. If not, such
    an image is refused."""

    @classmethod
    @abstractmethod
    async def create(cls, context: ProviderContext) -> Self:
        """Create a provider without waiting for its source.

        Raises BadClass if the credentials or parameters cannot work."""

    @classmethod
    async def recover(cls, management: Client, options: Options, reporter: Reporter) -> Summary:
        """Give hosts whose claims the store has lost back to their Workloads.

        Providers whose sources record no Workloads recover nothing."""
        return Summary()

    @classmethod
    async def adopt(
        cls, management: Client, class_: Object, options: adoptionoptions.Options, reporter: Reporter
    ) -> adoptionoptions.Summary:
        """Give hosts of the class that their owner uses to tenants as they run, or take them back.

        Providers whose sources have no such machines adopt nothing."""
        raise Blocked(
            f"the class {class_['metadata']['name']} has no hosts that could be adopted: its provisioner is not metal3.io/baremetalhost"
        )

    @abstractmethod
    async def run(self) -> None:
        """Follow the source until cancelled, and call on_change and on_health.

        Errors of the source must not end this method."""

    @abstractmethod
    def hosts(self) -> Iterable[ProviderHost]:
        """Return all hosts as last known."""

    @abstractmethod
    def host(self, uid: str) -> ProviderHost | None:
        """Return one host as last known; None if it is gone, or does not belong to the class."""

    @abstractmethod
    def problem(self) -> ProviderError | None:
        """Return why the source cannot be followed now, or None.

        Before the source was first read completely, there is a problem."""

    @property
    @abstractmethod
    def synced(self) -> bool:
        """Return whether the source was read completely at least once, so that an unknown host is a
        host that is gone."""

    @abstractmethod
    async def apply(self, request: ApplyRequest) -> Applied:
        """Claim the host for the Workload if no other consumer has it, and write what it has to
        run.

        Calling this again has no effect. Raises ProviderError, or ApiException of the client, if
        the source does not answer; the controller then tries again."""

    def applied(self, request: ApplyRequest) -> Applied | None:
        """Return the result of `apply` if it has nothing to do, without a request to the source;
        otherwise None.

        `request.secrets` is empty here; `request.version` shows whether they changed. This method
        only saves requests."""
        return None

    @abstractmethod
    async def release(self, request: ApplyRequest) -> Released:
        """Remove the Workload from the host.

        The controller calls this method until the result is done. Calling it again afterwards has
        no effect."""

    async def tidy(self, uid: str) -> None:
        """Remove what a Workload left on and next to a host that its owner freed by hand.

        Calling this again, or for other hosts, has no effect."""
        return

    async def forget(self, workload_uid: str) -> None:
        """Remove what a Workload left at the source, after its host has gone or was taken back.

        Calling this again, or while the Workload has a host, has no effect."""
        return

    @abstractmethod
    async def close(self) -> None:
        """Close all connections."""


def provisioners() -> list[str]:
    """Return the names of all installed providers."""
    return sorted({point.name for point in entry_points(group=ENTRY_POINTS)})


def find_provider(provisioner: str) -> type[Provider]:
    """Return the provider with this name. Raises BadClass if it is not installed."""
    for point in entry_points(group=ENTRY_POINTS, name=provisioner):
        found = point.load()
        if not (isinstance(found, type) and issubclass(found, Provider)):
            raise BadClass("BadProvider", f"the entry point {provisioner!r} does not name a Provider: reinstall what ships it")
        return found
    known = ", ".join(provisioners()) or "none"
    raise BadClass("UnknownProvisioner", f"there is no provisioner {provisioner!r}: set spec.provisioner to one of: {known}")

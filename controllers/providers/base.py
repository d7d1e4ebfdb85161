"""The Provider seam: a source of machines that can be offered, driven and taken back. One instance per WorkloadClass.

Providers are found by entry point: group `metal3_workloads.providers`, the name is the class's `provisioner`. They speak to
their own source only; the objects of the management cluster are the controllers' business. What a provider reports is
what tenants see: nothing of the owner's (BMC addresses, credentials, secret names, owner's annotations) may be in it.

    ProviderError                 something the class's owner (or time) has to mend: reason, message
    +-- BadClass                  the class cannot work as it is: parameters or credentials; terminal until they change
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass, field
from importlib.metadata import entry_points
from typing import TYPE_CHECKING, Any, ClassVar, Self

from apiserver.apis.base import Model

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping

    from apiserver.apis.workloadclass import WorkloadClassSpec

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
    """`reason` is a CamelCase word, `message` says what is wrong and what to do, fit for the owner (not for tenants)."""

    def __init__(self, reason: str, message: str) -> None:
        super().__init__(message)
        self.reason, self.message = reason, message


class BadClass(ProviderError):
    """The class's parameters or credentials cannot be used."""


@dataclass(frozen=True, slots=True)
class Source:
    """A real host's identity at its source. The uid is what counts: a new machine under an old name is another one.

    `identity_namespace`: the one namespace of the management cluster in which the view has this very uid, not one made from it: for a
    source whose hosts are views already, so that who moves here from there finds the same hosts."""

    namespace: str
    name: str
    uid: str
    identity_namespace: str = ""


@dataclass(frozen=True, slots=True)
class Consumer:
    """Who has the real host, by its own record. `workload_uid` is set if it is a Workload of this project."""

    kind: str
    namespace: str
    name: str
    workload_uid: str = ""


@dataclass(frozen=True, slots=True)
class ProviderHost:
    """One real host as its source reports it now.

    `report` is a HostReport as JSON (see apiserver.apis.host). `available`: a Workload could have it now; if not,
    `reason` (CamelCase) and `message` say why and what the owner can do. `dirty_for`: the one namespace that may have it.
    `leftovers`: it was freed by hand, and what a Workload has left is still to be removed (see Provider.tidy).
    `held`: a HeldClaim as JSON (see apiserver.apis.host), if its source knows a claim that a consumer moving here may go on with.
    `error`: what the source says is wrong with it, in its own words: for the owner alone.
    `to_free`: what its owner has to do at the source to free it by hand, whatever runs there."""

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


@dataclass(frozen=True, slots=True)
class ProviderContext:
    """What a provider is made from.

    `credentials`: the decoded values of the class's secret (empty without one). `on_change(uid)` is to be called whenever the
    host with this uid appears, changes or goes; `on_health()` whenever `problem()` may have changed. Both return at once.
    `has_host(name)`: whether the management cluster itself has a Host of this name; for sources that may lead back to it. `cluster_id`:
    what tells this management cluster from others that share the source, "" where that is not known."""

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
    """Part of a condition: True, False or None (unknown), a CamelCase reason, a message fit for the tenant."""

    status: bool | None
    reason: str
    message: str


@dataclass(frozen=True, slots=True)
class ApplyRequest:
    """What is to be true of a real host.

    `workload`: the Workload as JSON. `secrets`: per field ("userData", "metaData", "networkData") the data of the secret that the
    Workload names, values decoded; fields it does not name are missing. `blocked`: why nothing new may be put on the host (a
    secret is missing); it is to be held, and what is on it kept. `view_name`, `view_uid`: the host as its tenant knows it.
    `annotations`: what the tenant wrote on its view; only those meant for the machine are passed on. `version` changes
    whenever anything of this changes in meaning, the secrets' data included."""

    workload: Object
    source: Source
    secrets: Mapping[str, Mapping[str, bytes]]
    view_name: str
    view_uid: str
    annotations: Mapping[str, str] = field(default_factory=dict)
    blocked: Outcome | None = None
    version: str = ""

    @property
    def workload_uid(self) -> str:
        return str(self.workload["metadata"]["uid"])


@dataclass(frozen=True, slots=True)
class Applied:
    """What came of `apply`. `bound`: whether the real host is this Workload's. `synchronized`: whether it was told everything.
    `stalled`: why it does not follow although it was told, fit for the tenant; empty when it does.

    `observed`: the host's status right after it, in HostReport's `status` form; None when it is not known. `empty`: the real host was
    seen with nothing on it and nothing under way. `consumed`: annotations of the tenant that have done their work. `handed_back`: the
    claim that was taken over is its consumer's at the source again: a Workload that the claim itself had made is to go. `untouched`: the
    real host cannot be had, and bears no trace of this Workload: if the host was merely chosen, another one may be."""

    bound: Outcome
    synchronized: Outcome
    observed: Object | None = None
    empty: bool = False
    consumed: tuple[str, ...] = ()
    stalled: str = ""
    handed_back: bool = False
    untouched: bool = False


@dataclass(frozen=True, slots=True)
class Released:
    """What came of `release`. `done`: the real host is nobody's, empty, clean (or marked dirty or quarantined), and no secret is left.
    Otherwise `message` says what is waited for, fit for the tenant."""

    done: bool
    message: str = ""


class Provider(ABC):
    """A source of machines. Every method may be cancelled anywhere and called again: all is level-triggered."""

    parameters_model: ClassVar[type[Model]] = Model
    """The class's `parameters`; unknown fields should be refused (extra="forbid"), for they are typing errors."""

    @classmethod
    @abstractmethod
    async def create(cls, context: ProviderContext) -> Self:
        """Makes a provider without waiting for its source. Raises BadClass if credentials or parameters cannot work."""

    @abstractmethod
    async def run(self) -> None:
        """Follows the source until cancelled, calling on_change and on_health. Trouble of the source is survived."""

    @abstractmethod
    def hosts(self) -> Iterable[ProviderHost]:
        """All hosts, as last known."""

    @abstractmethod
    def host(self, uid: str) -> ProviderHost | None:
        """One host as last known; None when it is gone, or not of the class (any more)."""

    @abstractmethod
    def problem(self) -> ProviderError | None:
        """Why the source cannot be followed at present, or None. Until the source was first read completely there is one."""

    @property
    @abstractmethod
    def synced(self) -> bool:
        """Whether the source was read completely once, so that a host not known is a host that is gone."""

    @abstractmethod
    async def apply(self, request: ApplyRequest) -> Applied:
        """Takes the host for the Workload, if nobody else has it, and tells it what to run. Idempotent.

        Raises ProviderError or the client's errors when the source does not answer; it is tried again then."""

    def applied(self, request: ApplyRequest) -> Applied | None:
        """What `apply` would return, if it would not have to do anything as far as is known without asking the source; else None.

        `request.secrets` is empty here, `request.version` tells whether they are the same as before. To save requests only."""
        return None

    @abstractmethod
    async def release(self, request: ApplyRequest) -> Released:
        """Takes the Workload off the host. Called again and again until done; idempotent, also after it was done."""

    async def tidy(self, uid: str) -> None:
        """Removes what a Workload has left on and beside a host that its owner has freed by hand. Harmless on others, idempotent."""
        return

    @abstractmethod
    async def close(self) -> None:
        """Ends all connections."""


def provisioners() -> list[str]:
    """The names of all installed providers."""
    return sorted({point.name for point in entry_points(group=ENTRY_POINTS)})


def find_provider(provisioner: str) -> type[Provider]:
    """The provider of this name. Raises BadClass when none is installed."""
    for point in entry_points(group=ENTRY_POINTS, name=provisioner):
        found = point.load()
        if not (isinstance(found, type) and issubclass(found, Provider)):
            raise BadClass("BadProvider", f"the entry point {provisioner!r} does not name a Provider: reinstall what ships it")
        return found
    known = ", ".join(provisioners()) or "none"
    raise BadClass("UnknownProvisioner", f"there is no provisioner {provisioner!r}: set spec.provisioner to one of: {known}")

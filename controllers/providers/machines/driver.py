"""Define the interface between the provider and one kind of source.

Everything above this interface is the same for all sources. A driver reads the source's machines as
Instances, with tags as instance.py names them and states from its list.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar, Generic, TypeVar

from apiserver.client.objects import Object
from controllers.providers.base import ApplyRequest, Outcome, ProviderError
from controllers.providers.machines.flavors import Flavor, Slot
from controllers.providers.machines.fleet import Fleet
from controllers.providers.machines.instance import Instance
from controllers.providers.machines.refusals import Refusal
from controllers.providers.machines.steps import DesiredState

AnyInstance = TypeVar("AnyInstance", bound=Instance)


@dataclass(frozen=True, slots=True)
class Timings:
    """The time limits of one class, in seconds.

    - `soon`: until a source with an operation in progress is read again.
    - `retry`: between the first attempts to create a machine that the source refuses or could not
      start. `longest`: the most between later attempts, because each attempt costs money.
    - `doubt`: how long a slot is kept after a creation whose response was lost, because its machine
      may be listed late.
    - `request`: for one request to a cloud.
    - `poll_first`, `poll_longest`: between attempts to list a cloud's machines after an error."""

    soon: float = 2.0
    retry: float = 30.0
    longest: float = 3600.0
    doubt: float = 30.0
    request: float = 20.0
    poll_first: float = 1.0
    poll_longest: float = 60.0


@dataclass(frozen=True, slots=True)
class DesiredContent:
    """Describes what a Workload wants on its machine.

    `image`: the image as it is reported (None: nothing). `boot`: the argument for Driver.create or
    install. `note`: a text that is appended to what the tenant reads after everything was
    written."""

    image: Object | None = None
    boot: Any = None
    note: str = ""


class Follower(ABC):
    """Keeps a Fleet up to date.

    `problem`: why that is impossible now, or None. A change of it is reported to `on_health`."""

    problem: ProviderError | None

    @abstractmethod
    async def run(self) -> None:
        """Follow the source until cancelled. Errors of the source must not end this method."""

    def poll_soon(self) -> None:
        """Read the source soon, because an operation was requested.

        A source that reports changes by itself need not be read."""
        return

    def seen(self, uid: str, found: Sequence[Instance]) -> None:
        """Update the fleet with what was just read of one slot.

        A source that reports changes by itself will report this one, in order."""
        return


class Driver(ABC, Generic[AnyInstance]):
    """Accesses one place (a region of an account, a namespace of a cluster).

    Methods raise errors that `explain` and `refusal` understand."""

    manufacturer: ClassVar[str]
    """Shown as the hardware's manufacturer."""
    place_noun: ClassVar[str]
    """What the source calls a place, such as region."""
    remembers: ClassVar[bool]
    """Whether deleted machines are listed for a while with their tags, and a repeated creation
    yields the same machine.

    Otherwise the Workload's status is the only record that a machine was to be removed."""
    reserves: ClassVar[bool] = False
    """Whether a machine is created with the claim, empty, and stays until the release.

    The source then excludes a second machine. Otherwise the machine is created with its image and
    removed with it, and two replicas may create one each (see launcher.py)."""
    macs: ClassVar[bool] = False
    """Whether the MAC addresses of a machine are known before it exists (see
    flavors.mac_address)."""

    def __init__(self, settings: Any, place: str, timings: Timings) -> None:
        """Create the driver.

        `settings`: the class's parameters. `place`: where machines are created, such as the
        region's name."""
        self.settings, self.place, self.timings = settings, place, timings

    @abstractmethod
    def follower(self, fleet: Fleet, on_health: Callable[[], None]) -> Follower:
        """Return the object that keeps the fleet up to date."""

    @abstractmethod
    async def in_slot(self, slot: Slot, uid: str) -> list[AnyInstance]:
        """Return all machines in this slot as the source has them now."""

    def id_in(self, slot: Slot, uid: str) -> str:
        """Return the id that a machine in this slot must have; empty if the source chooses ids."""
        return ""

    @abstractmethod
    def content(self, request: ApplyRequest) -> DesiredContent:
        """Return what the Workload wants on its machine. Raises ProviderError with a message for
        the tenant."""

    @abstractmethod
    def known_image(self, spec: Object) -> Object | None:
        """Return `content().image` of a request that was served before, without its secrets."""

    @abstractmethod
    async def create(self, request: ApplyRequest, slot: Slot, flavor: Any, desired: DesiredState, attempt: int) -> AnyInstance:
        """Create a machine with all its tags in one call.

        If the source remembers, the same request and attempt yield the same machine. If it reserves
        and the slot has a machine, this method returns that one, whatever its Workload."""

    async def prepare(self, instance: AnyInstance, request: ApplyRequest, desired: DesiredState) -> None:
        """Write what must exist before the machine is changed, and remove what is not needed any
        more."""
        return

    async def install(self, instance: AnyInstance, desired: DesiredState, flavor: Flavor | None) -> AnyInstance | Outcome | None:
        """Put the image on an empty machine, or return why that is impossible now.

        It is called only for sources that reserve."""
        raise NotImplementedError  # other sources have no empty machines

    @abstractmethod
    async def erase(self, instance: AnyInstance) -> AnyInstance | None:
        """Take the next step of removing what is on the machine.

        If the source does not reserve machines, remove the machine."""

    @abstractmethod
    async def remove(self, instance: AnyInstance, why: str) -> None:
        """Delete the machine with its disks.

        `why`: a tag that records the reason, for sources whose tags outlive the machines."""

    @abstractmethod
    async def retain(self, instance: AnyInstance, who: str) -> None:
        """Quarantine the machine: leave it as it is, without its Workload."""

    @abstractmethod
    async def start(self, instance: AnyInstance) -> AnyInstance | None:
        """Power on. Like other methods, this returns the machine afterwards, or None if it must be
        read again."""

    @abstractmethod
    async def stop(self, instance: AnyInstance) -> AnyInstance | None:
        """Power off. The content of the disk stays."""

    @abstractmethod
    async def reboot(self, instance: AnyInstance) -> AnyInstance | None:
        """Reboot the machine once, and record it (tag REBOOTED)."""

    @abstractmethod
    async def tag(self, instance: AnyInstance, tags: Mapping[str, str]) -> AnyInstance | None:
        """Set these tags. Other tags stay."""

    @abstractmethod
    async def untag(self, instance: AnyInstance, *keys: str) -> AnyInstance | None:
        """Remove these tags; the machine need not have them."""

    async def clean(self, workload_uid: str) -> bool:
        """Delete what a Workload left at the source besides its machine. Return whether nothing is
        left."""
        return True

    @abstractmethod
    def explain(self, error: Exception) -> ProviderError:
        """Return why the source cannot be used, for the class's owner."""

    @abstractmethod
    def refusal(self, error: Exception) -> Refusal | None:
        """Return why the source refuses to create a machine; None for other errors."""

    def may_have_created(self, error: Exception) -> bool:
        """Return whether a creation that ended with this error may still have created a machine,
        which is listed late."""
        return False

    @abstractmethod
    async def close(self) -> None:
        """Close all connections. Calls in progress end by themselves after their timeout."""

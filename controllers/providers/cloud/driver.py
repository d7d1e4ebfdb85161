"""The seam between the provider and one kind of cloud. Everything above it is the same for all.

Instances come with tags as instance.py names them, and with states of its words; what the cloud calls them is the driver's business.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

if TYPE_CHECKING:
    from collections.abc import Mapping

    from controllers.providers.base import Outcome, ProviderError
    from controllers.providers.cloud.instance import Instance

__all__ = ["Driver", "Refusal"]


@dataclass(frozen=True, slots=True)
class Refusal:
    """Why the cloud will not make a machine. `trouble`: (reason, message) for the owner."""

    tenant: Outcome
    trouble: tuple[str, str]


class Driver(ABC):
    """One region of one account (or project). Methods raise what `explain` and `refusal` understand."""

    maker: ClassVar[str]
    """Shown as the hardware's manufacturer."""
    scheme: ClassVar[str]
    """What begins the URL of an image that is named by the cloud's own id."""
    most_user_data: ClassVar[int]
    """Bytes of user data that it takes."""
    remembers: ClassVar[bool]
    """Whether instances that are gone are listed for a while, with their tags, and creations carry a token. Otherwise the Workload's status
    is the only record that a machine was to go, and a creation that is repeated makes another instance (see making.py)."""

    @abstractmethod
    async def instances(self, slot_uid: str = "") -> list[Instance]:
        """All that are ours in the region, or those of one slot, as the cloud has them now."""

    @abstractmethod
    async def create(self, image: str, kind: str, tags: Mapping[str, str], user_data: bytes, token: str) -> Instance:
        """Makes an instance with its tags in one call; if the cloud knows tokens, the same one again when this one was used before."""

    @abstractmethod
    async def terminate(self, instance: Instance) -> None:
        """Shuts it down and deletes it with its disk. One that is gone already is no error."""

    @abstractmethod
    async def start(self, instance: Instance) -> None:
        """Power on."""

    @abstractmethod
    async def stop(self, instance: Instance) -> None:
        """Power off; what is on its disk stays."""

    @abstractmethod
    async def reboot(self, instance: Instance) -> None:
        """Asks it to reboot."""

    @abstractmethod
    async def tag(self, instance: Instance, tags: Mapping[str, str]) -> None:
        """Sets these tags; others stay."""

    @abstractmethod
    async def untag(self, instance: Instance, *keys: str) -> None:
        """Removes these tags, as far as it has them."""

    @abstractmethod
    def explain(self, error: Exception) -> ProviderError:
        """Why the cloud cannot be asked, for the class's owner."""

    @abstractmethod
    def busy(self, error: Exception) -> bool:
        """Whether the instance is only being worked on, and takes the same a moment later."""

    @abstractmethod
    def refusal(self, error: Exception) -> Refusal | None:
        """Why the cloud will not make a machine; None for trouble in general."""

    @abstractmethod
    def close(self) -> None:
        """Takes no more calls; those under way end by themselves in time."""

"""What a class has on offer at present: its flavors, as far as its host selector matches them, and their slots."""

from __future__ import annotations

from typing import TYPE_CHECKING, Generic

from apiserver.client.objects import matches
from controllers.providers.machines.flavors.hosts import offered_slots
from controllers.providers.machines.flavors.model import AnyFlavor
from controllers.providers.machines.flavors.slots import Slot, slot_uid

if TYPE_CHECKING:
    from collections.abc import Iterable

    from apiserver.client.objects import Object

__all__ = ["Offers"]


class Offers(Generic[AnyFlavor]):
    """Of one class. `place`: see `slot_uid`. `slots`: those on offer, by uid."""

    def __init__(self, place: str, selector: Object | None, flavors: Iterable[AnyFlavor]) -> None:
        self.place, self._selector = place, selector
        self.slots: dict[str, Slot] = {}
        self._flavors: dict[str, AnyFlavor] = {}
        self.change(flavors)

    def change(self, flavors: Iterable[AnyFlavor]) -> set[str]:
        """Has these flavors on offer from now on; the uids of slots that may have come, changed or gone."""
        self._flavors = {flavor.name: flavor for flavor in flavors if matches(self._selector, flavor.labels)}
        before = self.slots
        self.slots = {slot_uid(self.place, slot): slot for slot in offered_slots(self._flavors.values())}
        return before.keys() | self.slots.keys()

    def named(self, name: str) -> AnyFlavor | None:
        """The flavor of this name, whatever its capacity."""
        return self._flavors.get(name)

    def flavor(self, slot: Slot) -> AnyFlavor | None:
        """The flavor that a machine in this slot would be made of; None when it is offered no more."""
        flavor = self._flavors.get(slot.flavor)
        return flavor if flavor is not None and slot.index < flavor.capacity else None

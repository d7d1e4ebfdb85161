"""Keep what a class offers: the flavors that its host selector matches, and their slots."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Generic

from apiserver.client.objects import Object, matches
from controllers.providers.machines.flavors.hosts import offered_slots
from controllers.providers.machines.flavors.model import AnyFlavor
from controllers.providers.machines.flavors.slots import Slot, slot_uid


class Offers(Generic[AnyFlavor]):
    """Holds the offers of one class. `place`: see `slot_uid`. `slots`: the offered slots, by
    uid."""

    def __init__(self, place: str, selector: Object | None, flavors: Iterable[AnyFlavor]) -> None:
        self.place = place
        self._flavors = {flavor.name: flavor for flavor in flavors if matches(selector, flavor.labels)}
        self.slots: dict[str, Slot] = {slot_uid(place, slot): slot for slot in offered_slots(self._flavors.values())}

    def named(self, name: str) -> AnyFlavor | None:
        """Return the flavor of this name, whatever its capacity."""
        return self._flavors.get(name)

    def flavor(self, slot: Slot) -> AnyFlavor | None:
        """Return the flavor for a new machine in this slot; None if the slot is not offered any
        more."""
        flavor = self._flavors.get(slot.flavor)
        return flavor if flavor is not None and slot.index < flavor.capacity else None

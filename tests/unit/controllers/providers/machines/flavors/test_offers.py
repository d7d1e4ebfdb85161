"""Check which slots are on offer."""

from __future__ import annotations

from controllers.providers.machines.flavors import Flavor, Offers, Slot


def flavor(name: str, capacity: int, **labels: str) -> Flavor:
    given = {"name": name, "cpu": 1, "memory": "1Gi", "disk": "1Gi", "capacity": capacity, "labels": labels}
    return Flavor.decode(given)


def test_selected_flavors_have_a_slot_for_each_machine() -> None:
    offers = Offers("place", {"matchLabels": {"kind": "vm"}}, [flavor("a", 2, kind="vm"), flavor("b", 1)])
    assert sorted(offers.slots.values()) == [Slot("a", 0), Slot("a", 1)], "the other is not selected"
    assert offers.flavor(Slot("a", 0)) is offers.named("a")
    assert offers.flavor(Slot("a", 2)) is None, "beyond its capacity"
    assert offers.flavor(Slot("c", 0)) is None

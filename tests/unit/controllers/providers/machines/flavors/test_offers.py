"""Check which slots are on offer as flavors change."""

from __future__ import annotations

from controllers.providers.machines.flavors import Flavor, Offers, Slot


def flavor(name: str, capacity: int, **labels: str) -> Flavor:
    given = {"name": name, "cpu": 1, "memory": "1Gi", "disk": "1Gi", "capacity": capacity, "labels": labels}
    return Flavor.decode(given)


def test_offers_change_and_tell_which_slots_may_have() -> None:
    offers = Offers("place", {"matchLabels": {"kind": "vm"}}, [flavor("a", 2, kind="vm"), flavor("b", 1)])
    assert sorted(offers.slots.values()) == [Slot("a", 0), Slot("a", 1)], "the other is not selected"
    before = set(offers.slots)
    assert offers.change([flavor("a", 1, kind="vm"), flavor("b", 1, kind="vm")]) == before | set(offers.slots)
    assert sorted(offers.slots.values()) == [Slot("a", 0), Slot("b", 0)]
    assert offers.flavor(Slot("a", 0)) is offers.named("a")
    assert offers.flavor(Slot("a", 1)) is None, "beyond its capacity"
    assert offers.flavor(Slot("c", 0)) is None

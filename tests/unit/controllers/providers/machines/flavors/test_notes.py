"""The notes that providers of machines keep: what is on offer, what is to be looked at again, what
was told."""

from __future__ import annotations

import asyncio
from dataclasses import replace

import pytest

from controllers.providers.base import Outcome, Source
from controllers.providers.machines.flavors import Attention, Flavor, Offers, Slot, Told, held_off, slot_named
from controllers.providers.testing import claim, eventually

SAID = Outcome(True, "Synchronized", "all")
QUOTA, OTHER = ("QuotaExceeded", "raise it"), ("NoCapacity", "wait")


def flavor(name: str, capacity: int, **labels: str) -> Flavor:
    given = {"name": name, "cpu": 1, "memory": "1Gi", "disk": "1Gi", "capacity": capacity, "labels": labels}
    return Flavor.decode(given)


async def test_trouble_is_told_once_and_looked_at_again() -> None:
    seen: list[str] = []
    attention = Attention(seen.append)
    attention.trouble("a", QUOTA, again=3600)
    attention.trouble("a", QUOTA, again=3600)
    assert (seen, attention.troubles) == (["a"], {"a": QUOTA})
    attention.trouble("a", OTHER, again=0.01)
    assert seen == ["a", "a"], "another reason"
    await eventually(lambda: len(seen) == 3)
    attention.fine("a")
    attention.fine("a")
    assert (len(seen), attention.troubles) == (4, {})


async def test_the_last_plan_counts_and_none_after_the_end() -> None:
    seen: list[str] = []
    attention = Attention(seen.append)
    attention.later("a", 0.0)
    attention.later("a", 3600)
    attention.later("b", 0.0)
    await eventually(lambda: seen == ["b"])
    attention.later("c", 0.0)
    attention.close()
    for _ in range(10):
        await asyncio.sleep(0)
    assert seen == ["b"]


def test_offers_change_and_tell_which_slots_may_have() -> None:
    offers = Offers("place", {"matchLabels": {"kind": "vm"}}, [flavor("a", 2, kind="vm"), flavor("b", 1)])
    assert sorted(offers.slots.values()) == [Slot("a", 0), Slot("a", 1)], "the other is not selected"
    before = set(offers.slots)
    assert offers.change([flavor("a", 1, kind="vm"), flavor("b", 1, kind="vm")]) == before | set(offers.slots)
    assert sorted(offers.slots.values()) == [Slot("a", 0), Slot("b", 0)]
    assert offers.flavor(Slot("a", 0)) is offers.named("a")
    assert offers.flavor(Slot("a", 1)) is None, "beyond its capacity"
    assert offers.flavor(Slot("c", 0)) is None


@pytest.mark.parametrize(("name", "slot"), [("small-0", Slot("small", 0)), ("very-small-12", Slot("very-small", 12)), ("odd", Slot("", 0))])
def test_slots_are_found_by_their_hosts_names(name: str, slot: Slot) -> None:
    assert slot_named(name) == slot


def test_only_a_suffix_holds_the_power_off() -> None:
    assert not held_off(["reboot.metal3.io", "other/reboot.metal3.io", "reboot.metal3.iox/y"])
    assert held_off(["x", "reboot.metal3.io/remediation"])


async def test_what_was_told_is_recalled_until_anything_changes() -> None:
    notes, request = Told(), claim("w", Source("p", "small-0", "uid"))
    assert notes.recall(request) is None
    notes.note(request, SAID)
    assert notes.recall(request) == SAID
    assert notes.recall(replace(request, version="another")) is None
    assert notes.recall(claim("other", request.source)) is None
    empty = claim("w", request.source, image=None)
    notes.note(empty, SAID)
    assert notes.recall(empty) is None, "one that is to be empty is always looked at"
    notes.note(request, SAID)
    notes.forget(request.workload_uid)
    assert notes.recall(request) is None
    notes = Told(trust=-1.0)
    notes.note(request, SAID)
    assert notes.recall(request) is None, "it is time to look"

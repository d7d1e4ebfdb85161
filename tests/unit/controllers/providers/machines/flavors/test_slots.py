"""Check that slots are found by the names of their hosts."""

from __future__ import annotations

import pytest

from controllers.providers.machines.flavors import Slot, slot_named


@pytest.mark.parametrize(("name", "slot"), [("small-0", Slot("small", 0)), ("very-small-12", Slot("very-small", 12)), ("odd", Slot("", 0))])
def test_slots_are_found_by_their_hosts_names(name: str, slot: Slot) -> None:
    assert slot_named(name) == slot

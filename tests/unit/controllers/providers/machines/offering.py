"""Change what a running provider offers.

The controllers create another provider when the flavors of a class change. The tests of all
providers use one."""

from __future__ import annotations

from typing import TYPE_CHECKING

from controllers.providers.machines.flavors import Offers

if TYPE_CHECKING:
    from collections.abc import Iterable

    from controllers.providers.machines.flavors import Flavor
    from controllers.providers.machines.fleet import Fleet


def offer(fleet: Fleet, flavors: Iterable[Flavor]) -> None:
    """Offer these flavors from now on. Existing machines stay."""
    before = fleet.offers
    fleet.offers = Offers(before.place, None, flavors)
    fleet._by_id = fleet._ids()
    if fleet.synced:
        fleet._notify(before.slots.keys() | fleet.offers.slots.keys())

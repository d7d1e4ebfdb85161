"""Check that explanations are computed once, and again when hosts have changed."""

from __future__ import annotations

from controllers.scheduler.cache import SchedulerCache
from controllers.scheduler.explanations import Explanations
from controllers.scheduler.fit import Requirements, explain
from tests.unit.controllers.clusters import host
from tests.unit.controllers.fakeclock import FakeClock


def no_host_fits(share: str, few: str) -> str:
    return explain({}).replace(
        "no host of the class is available to this namespace:", f"{share} hosts are available to this namespace: {few} fewer than 9 NICs;"
    )


def test_explanations_are_made_once_and_again_when_things_have_changed() -> None:
    free, now = SchedulerCache(FakeClock()), [0.0]

    def clock() -> float:
        now[0] += 0.1  # each reading of the clock, as if counting took that long
        return now[0]

    free.update(None, host("h1"))
    explanations = Explanations(free, clock)
    first, second = Requirements(namespace_uid="a", seed="1", nics=9), Requirements(namespace_uid="a", seed="2", nics=9)
    assert explanations.of("metal", first) == (no_host_fits("0/1", "1 has"), True)
    assert explanations.of("metal", second) == (no_host_fits("0/1", "1 has"), True)
    free.update(None, host("h2"))
    assert explanations.of("metal", first) == (no_host_fits("0/1", "1 has"), False), "it was counted just now"
    now[0] += 5
    assert explanations.of("metal", first) == (no_host_fits("0/2", "2 have"), True)
    assert explanations.of("other", first)[0].startswith("no host of the class is available")

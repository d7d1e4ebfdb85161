"""Check which answers may follow which, from an etcd that was restored or not."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from storage.base import RolledBack
from storage.etcd.lineage import BUMPED, Lineage, Sighting, sighting_of

NUMBERS = st.integers(0, 2**40)


@pytest.mark.parametrize(
    ("before", "now", "fine"),
    [
        (Sighting("a", 2, 10), Sighting("a", 2, 10), True),
        (Sighting("a", 2, 10), Sighting("a", 3, 11), True),  # another leader
        (Sighting("a", 2, 10), Sighting("a", 2, 9), False),
        (Sighting("a", 2, 10), Sighting("a", 3, 9), False),
        (Sighting("a", 2, 10), Sighting("b", 2, 9), False),
        (Sighting("a", 2, 10), Sighting("b", 2, 11), False),  # restored, and written to since
        (Sighting("a", 2, 10), Sighting("a", 1, 11), False),  # restored under the same token
        (Sighting("a", 2, 10), Sighting("b", 2, 10 + BUMPED), True),
        (Sighting("a", 2, 10), Sighting("a", 1, 10 + BUMPED), True),
        (Sighting("", 0, 10), Sighting("", 0, 11), True),  # a proxy that leaves headers out
        (Sighting("", 0, 10), Sighting("", 0, 9), False),
        (Sighting("", 0, 0), Sighting("a", 2, 1), True),  # the first answer
    ],
)
def test_what_may_follow(before: Sighting, now: Sighting, fine: bool) -> None:
    lineage = Lineage("here")
    if fine:
        lineage.check(before, now)
        assert lineage.known == now
    else:
        with pytest.raises(RolledBack, match="--bump-revision"):
            lineage.check(before, now)
        assert lineage.known == Sighting("", 0, 0)


def test_answers_may_overtake_each_other() -> None:
    lineage = Lineage("here")
    before = lineage.known
    lineage.check(before, Sighting("a", 3, 10))
    lineage.check(before, Sighting("a", 2, 9))  # this call began before the other one's answer
    assert lineage.known == Sighting("a", 3, 10)


@given(st.text(), NUMBERS, NUMBERS)
def test_a_record_comes_back(cluster: str, term: int, revision: int) -> None:
    sighting = Sighting(cluster, term, revision)
    assert Sighting.decode(sighting.encode(), revision) == sighting


def test_headers() -> None:
    assert sighting_of({"header": {"cluster_id": "12", "raft_term": "3", "revision": "9"}}) == Sighting("12", 3, 9)
    assert sighting_of({"header": {}}) == Sighting("", 0, 0)  # etcd leaves zeros out

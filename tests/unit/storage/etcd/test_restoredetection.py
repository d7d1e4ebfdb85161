"""Check which answers may follow which, from an etcd that was restored or not."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from storage.base import RolledBack
from storage.etcd.restoredetection import BUMPED, Fingerprint, RestoreDetector, fingerprint_of

NUMBERS = st.integers(0, 2**40)


@pytest.mark.parametrize(
    ("before", "now", "fine"),
    [
        (Fingerprint("a", 2, 10), Fingerprint("a", 2, 10), True),
        (Fingerprint("a", 2, 10), Fingerprint("a", 3, 11), True),  # another leader
        (Fingerprint("a", 2, 10), Fingerprint("a", 2, 9), False),
        (Fingerprint("a", 2, 10), Fingerprint("a", 3, 9), False),
        (Fingerprint("a", 2, 10), Fingerprint("b", 2, 9), False),
        (Fingerprint("a", 2, 10), Fingerprint("b", 2, 11), False),  # restored, and written to since
        (Fingerprint("a", 2, 10), Fingerprint("a", 1, 11), False),  # restored under the same token
        (Fingerprint("a", 2, 10), Fingerprint("b", 2, 10 + BUMPED), True),
        (Fingerprint("a", 2, 10), Fingerprint("a", 1, 10 + BUMPED), True),
        (Fingerprint("", 0, 10), Fingerprint("", 0, 11), True),  # a proxy that leaves headers out
        (Fingerprint("", 0, 10), Fingerprint("", 0, 9), False),
        (Fingerprint("", 0, 0), Fingerprint("a", 2, 1), True),  # the first answer
    ],
)
def test_fingerprints_that_may_follow_another(before: Fingerprint, now: Fingerprint, fine: bool) -> None:
    detector = RestoreDetector("here")
    if fine:
        detector.check(before, now)
        assert detector.known == now
    else:
        with pytest.raises(RolledBack, match="--bump-revision"):
            detector.check(before, now)
        assert detector.known == Fingerprint("", 0, 0)


def test_answers_may_overtake_each_other() -> None:
    detector = RestoreDetector("here")
    before = detector.known
    detector.check(before, Fingerprint("a", 3, 10))
    detector.check(before, Fingerprint("a", 2, 9))  # this call began before the other one's answer
    assert detector.known == Fingerprint("a", 3, 10)


@given(st.text(), NUMBERS, NUMBERS)
def test_a_record_comes_back(cluster: str, term: int, revision: int) -> None:
    fingerprint = Fingerprint(cluster, term, revision)
    assert Fingerprint.decode(fingerprint.encode(), revision) == fingerprint


def test_headers() -> None:
    assert fingerprint_of({"header": {"cluster_id": "12", "raft_term": "3", "revision": "9"}}) == Fingerprint("12", 3, 9)
    assert fingerprint_of({"header": {}}) == Fingerprint("", 0, 0)  # etcd leaves zeros out

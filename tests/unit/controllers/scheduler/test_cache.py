"""Cover the free hosts of each class, and why the others are not free."""

from __future__ import annotations

from typing import Any

from controllers.kinds import FAILURE_DOMAIN as DOMAIN
from controllers.scheduler.cache import ASSUMED_FOR, SchedulerCache
from controllers.scheduler.fit import OWN, Requirements
from tests.unit.controllers.clusters import host
from tests.unit.controllers.fakeclock import FakeClock


def test_free_hosts_and_assumptions() -> None:
    clock = FakeClock()
    free, want = SchedulerCache(clock), Requirements(namespace_uid="a", seed="w")
    assert free.update(None, host("h1")) == "metal"
    free.update(None, host("h2", claim="w"))
    free.update(None, host("h3", available=False, reason="Unhealthy"))
    assert free.best("metal", want) == "h1"
    assert free.reasons("metal", Requirements(namespace_uid="a", seed="w", nics=9)) == {"have fewer than 9 NICs": 1}, (
        "of what others have nothing is said"
    )
    before = free.version("metal")
    free.assume("h1")
    assert free.best("metal", want) is None
    assert free.reasons("metal", want) == {}
    assert free.version("metal") != before
    # A late event from before the binding does not free the host.
    assert free.update(host("h1"), {**host("h1"), "metadata": {"name": "h1", "resourceVersion": "2"}}) is None
    assert free.best("metal", want) is None
    free.forget("h1")
    assert free.best("metal", want) == "h1"
    free.assume("h1")
    clock.advance(ASSUMED_FOR + 1)
    assert free.best("metal", want) == "h1", "an assumption that nothing confirms ends"
    free.assume("h1")
    assert free.update(host("h1"), host("h1", claim="w")) is None
    before = free.version("metal")
    assert free.update(host("h2", claim="w"), host("h2", claim="w")) is None
    assert free.version("metal") == before, "nothing that matters has changed"
    assert free.update(host("h2", claim="w"), host("h2", available=False)) is None
    assert free.version("metal") != before, "nothing is free, but for another reason"
    assert free.update(host("h2", available=False), host("h2")) == "metal"
    assert free.best("metal", want) == "h2"
    assert free.total("metal") == 3
    for name in ("h1", "h2", "h3"):
        assert free.update(host(name), None) is None
    assert (free.total("metal"), free.best("metal", want), free.reasons("metal", want)) == (0, None, {})


def test_only_claimed_hosts_of_the_own_namespace_are_counted() -> None:
    free = SchedulerCache(FakeClock())
    small, own, others = host("h1"), host("h2", claim="w"), host("h3", claim="w")
    own["spec"]["claimRef"] |= {"namespaceUID": "uid-a"}
    others["spec"]["claimRef"] |= {"namespace": "b", "namespaceUID": "uid-b"}
    for one in (small, own, others):
        free.update(None, one)
    want = Requirements(namespace_uid="uid-a", seed="w", nics=9)
    assert free.reasons("metal", want) == {"have fewer than 9 NICs": 1, OWN: 1}
    before = free.version("metal")
    free.update(own, host("h2", available=False))
    assert free.version("metal") != before
    assert free.reasons("metal", want) == {"have fewer than 9 NICs": 1}
    assert free.reasons("metal", Requirements(namespace_uid="", seed="w", nics=9)) == {"have fewer than 9 NICs": 1}, (
        "no namespace, no hosts"
    )


def test_what_others_have_left_their_data_on_is_not_counted() -> None:
    free = SchedulerCache(FakeClock())
    dirty = host("h1")
    dirty["status"]["dirtyFor"] = "other"
    free.update(None, dirty)
    assert free.reasons("metal", Requirements(namespace_uid="a", seed="w")) == {}


def test_a_cordoned_host_is_not_chosen_until_it_is_uncordoned() -> None:
    free, want = SchedulerCache(FakeClock()), Requirements(namespace_uid="a", seed="w")
    cordoned = host("h1")
    cordoned["spec"] = {**cordoned["spec"], "unschedulable": True}
    assert free.update(None, cordoned) is None
    assert free.best("metal", want) is None
    assert free.total("metal") == 1
    assert free.update(cordoned, host("h1")) == "metal", "Workloads that wait are tried again"
    assert free.best("metal", want) == "h1"


def kept(name: str, uid: str, cpus: int = 16) -> dict[str, Any]:
    """Return a free Host that a Reservation keeps for the namespace with this uid."""
    made = host(name)
    made["spec"]["reservedFor"] = {"namespace": "n", "namespaceUID": uid, "name": "r", "uid": "1"}
    report = made["status"]["report"]
    report["status"] = {**report["status"], "hardware": {**report["status"]["hardware"], "cpu": {"count": cpus}}}
    return made


def test_hosts_that_are_kept_for_the_namespace_come_first_whatever_their_size() -> None:
    free = SchedulerCache(FakeClock())
    for one in (host("small"), kept("large", "a", cpus=128), kept("others", "b", cpus=1)):
        free.update(None, one)
    assert free.best("metal", Requirements(namespace_uid="a", seed="w")) == "large"
    assert free.best("metal", Requirements(namespace_uid="b", seed="w")) == "others"
    assert free.best("metal", Requirements(namespace_uid="c", seed="w")) == "small"
    free.update(kept("large", "a", cpus=128), host("large", claim="w"))
    assert free.best("metal", Requirements(namespace_uid="a", seed="w")) == "small"
    assert free.update(kept("others", "b", cpus=1), host("others")) == "metal", "what is not kept any more wakes those that wait"


def test_what_is_kept_for_others_is_not_counted() -> None:
    free = SchedulerCache(FakeClock())
    for one in (kept("x", "b"), kept("y", "b"), kept("mine", "a")):
        free.update(None, one)
    assert free.reasons("metal", Requirements(namespace_uid="a", seed="w", nics=9)) == {"have fewer than 9 NICs": 1}
    assert free.reasons("metal", Requirements(namespace_uid="c", seed="w")) == {}


def test_preferences_decide_before_what_is_kept() -> None:
    free = SchedulerCache(FakeClock())
    near, far = host("near"), kept("far", "a")
    near["status"]["report"]["labels"], far["status"]["report"]["labels"] = {DOMAIN: "east"}, {DOMAIN: "west"}
    for one in (near, far):
        free.update(None, one)
    assert free.best("metal", Requirements(namespace_uid="a", seed="w", failure_domain="east")) == "near"
    assert free.best("metal", Requirements(namespace_uid="a", seed="w")) == "far"

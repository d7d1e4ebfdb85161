"""Check when a host no longer counts against its last tenant's quota."""

from __future__ import annotations

from typing import Any

import pytest

from controllers.providers.base import Consumer, ProviderHost, Source
from controllers.quotacharges import ends, is_over, is_settling

MARKED = {"annotations": {"capm3.metal3.io/unhealthy": ""}}
WORKLOAD = {"metadata": {"namespace": "a", "name": "w", "uid": "u"}}


def host(*, claimed: bool = False, unhealthy: bool = False, **status: Any) -> dict[str, Any]:
    charge = {"namespace": "a", "name": "w", "uid": "u", **({"unhealthy": True} if unhealthy else {})}
    return {"spec": {"chargedTo": charge, **({"claimRef": charge} if claimed else {})}, "status": status}


def reported(reason: str, report: Any = None, consumer: Consumer | None = None, **more: Any) -> ProviderHost:
    return ProviderHost(Source("metal3", "h", "u"), report or {}, False, reason, "", consumer=consumer, **more)


@pytest.mark.parametrize(
    ("charged", "seen", "over"),
    [
        (host(), reported("Quarantined"), False),
        (host(), reported("NotReady"), False),
        (host(), reported("Claimed", consumer=Consumer("Workload", "a", "w", "u")), False),
        (host(), reported("HostError", consumer=Consumer("Workload", "a", "w", "u")), False),
        (host(), reported("InUse", consumer=Consumer("HostClaim", "x", "y")), True),
        (host(), reported("Claimed", consumer=Consumer("Workload", "x", "y")), True),
        (host(), reported("Paused"), True),
        (host(), reported("HostError"), True),
        (host(), reported("Paused", dirty_for="a"), False),
        (host(), reported("Unhealthy", MARKED), True),
        (host(unhealthy=True), reported("Unhealthy", MARKED), False),
        (host(unhealthy=True), reported("Paused", MARKED), False),
        (host(unhealthy=True), reported("Paused"), True),
        (host(claimed=True), reported("Paused"), False),
    ],
)
def test_what_is_not_the_tenants_doing_ends_it(charged: Any, seen: ProviderHost, *, over: bool) -> None:
    assert ends(charged, seen) is over


@pytest.mark.parametrize(
    ("uid", "present", "over"), [("1", "1", False), ("1", "2", True), ("1", None, True), (None, "2", False), (None, None, False)]
)
def test_a_namespace_that_is_gone_has_no_account(uid: str | None, present: str | None, *, over: bool) -> None:
    left = host()
    if uid is not None:
        left["spec"]["chargedTo"]["namespaceUID"] = uid
    namespace = {"metadata": {"name": "a", "uid": present}} if present else None
    assert ends(left, reported("Quarantined", dirty_for="a"), {"a": namespace}.get) is over
    left["spec"]["claimRef"] = left["spec"]["chargedTo"]
    assert not ends(left, reported("Quarantined"), {"a": namespace}.get)


def test_a_report_that_was_quicker_than_the_release_is_sent_again() -> None:
    assert is_over(host(), {"available": True})
    assert not is_over(host(), {"available": True, "dirtyFor": "a"})
    assert not is_over(host(), {"available": False})
    assert not is_over(host(claimed=True), {"available": True})


@pytest.mark.parametrize(
    ("left", "waits"),
    [
        (host(available=True), True),
        (host(available=False, reason="Claimed"), True),
        (host(available=False, reason="NotReady"), True),
        (host(available=False, reason="Quarantined"), False),
        (host(available=True, dirtyFor="a"), False),
        (host(claimed=True, available=True), False),
    ],
)
def test_its_workload_waits_for_what_passes(left: Any, *, waits: bool) -> None:
    assert is_settling(left, WORKLOAD) is waits
    assert not is_settling(left, {"metadata": {**WORKLOAD["metadata"], "uid": "another"}})

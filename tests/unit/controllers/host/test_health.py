"""Check which hosts are not offered because of their BMC's health report."""

from __future__ import annotations

from typing import Any

import pytest

from controllers.host.events import host_events
from controllers.host.health import NOT_HEALTHY, with_health
from controllers.providers.base import ProviderHost, Source
from controllers.quotacharges import ends


def reported(status: str | None, *, available: bool = True, reason: str = "") -> ProviderHost:
    conditions = [{"type": "Healthy", "status": status, "reason": "CriticalError"}] if status else []
    report = {"name": "h", "spec": {}, "status": {"provisioning": {"state": "available"}, "conditions": conditions}}
    return ProviderHost(Source("metal3", "h", "u"), report, available, reason)


def class_of(**offer: Any) -> dict[str, Any]:
    return {"spec": {"provisioner": "p", **({"offer": offer} if offer else {})}}


@pytest.mark.parametrize(
    ("status", "class_", "offered"),
    [
        ("False", class_of(), False),
        ("False", class_of(maxPerNamespace=3), False),
        ("False", class_of(requireHealthy=True), False),
        ("False", class_of(requireHealthy=False), True),
        ("False", None, False),
        ("True", class_of(requireHealthy=True), True),
        ("Unknown", class_of(requireHealthy=True), True),
        (None, class_of(requireHealthy=True), True),
    ],
)
def test_a_host_with_a_problem_is_offered_only_where_its_class_says_so(status: str | None, class_: Any, offered: bool) -> None:
    found = with_health(reported(status), class_)
    assert (found.available, found.reason) == (offered, "" if offered else NOT_HEALTHY)
    assert offered or ("CriticalError" in found.message and "requireHealthy" in found.message)


def test_another_reason_takes_precedence() -> None:
    assert with_health(reported("False", available=False, reason="Claimed"), class_of()).reason == "Claimed"


def test_a_broken_host_is_not_charged_to_the_tenant_that_has_left_it() -> None:
    host = {"spec": {"chargedTo": {"namespace": "a", "name": "w", "uid": "w"}}}
    assert ends(host, with_health(reported("False"), class_of()))


def record(status: str | None, reason: str = "", *, claimed: bool = True) -> dict[str, Any]:
    spec = {"source": {"name": "h"}, **({"claimRef": {"namespace": "a", "name": "w", "uid": "w"}} if claimed else {})}
    return {"spec": spec, "status": {"report": reported(status).report, "reason": reason, "message": "repair it"}}


@pytest.mark.parametrize(
    ("before", "after", "shown"),
    [
        (record("True"), record("False"), [("Warning", NOT_HEALTHY)]),
        (record("False"), record("False"), []),
        (record("False"), record("True"), [("Normal", "Healthy")]),
        (record(None), record("True"), []),
        (record("True"), record("Unknown"), []),
        (record("True", claimed=False), record("False", NOT_HEALTHY, claimed=False), [("Warning", NOT_HEALTHY)]),
        (record("False", NOT_HEALTHY, claimed=False), record("False", NOT_HEALTHY, claimed=False), []),
    ],
)
def test_the_owner_is_informed_once(before: dict[str, Any], after: dict[str, Any], shown: list[tuple[str, str]]) -> None:
    assert [(one.type, one.reason) for one in host_events(before, after)] == shown

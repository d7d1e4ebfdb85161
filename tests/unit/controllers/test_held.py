"""Hosts whose source has them for somebody: where they are shown, and what is noted of them."""

from __future__ import annotations

from typing import Any

import pytest

from controllers.host.controller import host_status, new_host
from controllers.offer.plan import held_offers
from controllers.providers.base import ProviderHost, Source

REPORT: dict[str, Any] = {"name": "h1", "spec": {}, "status": {"provisioning": {"state": "provisioned"}}}
HELD: dict[str, Any] = {"namespace": "team-a", "spec": {"consumerRef": {"kind": "Metal3Machine", "name": "m"}}}


def reported(held: dict[str, Any] | None = HELD) -> ProviderHost:
    return ProviderHost(Source("team-a", "h1", "u", identity_namespace="team-a"), REPORT, available=False, reason="Held", held=held)


def host(**status: Any) -> dict[str, Any]:
    return {**new_host("relay", reported()), "status": {"report": REPORT, "held": HELD, **status}}


def test_identity_is_in_the_hosts_source() -> None:
    assert new_host("relay", reported())["spec"]["source"] == {
        "name": "h1",
        "uid": "u",
        "namespace": "team-a",
        "identityNamespace": "team-a",
    }


def test_it_is_noted_until_somebody_here_has_it() -> None:
    free = new_host("relay", reported())
    assert host_status(reported(), free)["held"] == HELD
    assert "held" not in host_status(reported(None), free)
    claimed = {**free, "spec": {**free["spec"], "claimRef": {"namespace": "team-a", "name": "w", "uid": "x"}}}
    assert "held" not in host_status(reported(), claimed)


@pytest.mark.parametrize(("namespaces", "shown"), [(["team-a", "team-b"], ["team-a"]), (["team-b"], []), ([], [])])
def test_it_is_shown_in_its_namespace_only_and_where_the_class_allows_it(namespaces: list[str], shown: list[str]) -> None:
    assert held_offers(host(), namespaces) == shown


def test_it_is_not_shown_without_a_report_or_on_its_way_out() -> None:
    assert held_offers(host(report=None), ["team-a"]) == []
    leaving = host()
    leaving["metadata"]["deletionTimestamp"] = "x"
    assert held_offers(leaving, ["team-a"]) == []
    assert held_offers(host(held=None), ["team-a"]) == []

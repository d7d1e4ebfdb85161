"""Cover copied first-boot secrets: what BMO reads, and which identity the host has for its
tenant."""

from __future__ import annotations

from typing import Any

import orjson
import pytest

from controllers.providers.baremetalhost.data import copies
from controllers.providers.base import ApplyRequest, ProviderError, Source
from tests.unit.controllers.clusters import workload


def request(**secrets: dict[str, bytes]) -> ApplyRequest:
    wl = workload("w")
    wl["metadata"]["uid"] = "u"
    wl["spec"] |= {field: {"name": f"my-{field}"} for field in secrets}
    return ApplyRequest(wl, Source("metal3", "h", "r"), secrets, view_name="node-1", view_uid="view-uid")


def metadata(made: ApplyRequest) -> Any:
    return orjson.loads(copies(made)["metaData"]["metaData"])


def test_metadata_names_the_host_as_its_tenant_knows_it() -> None:
    assert metadata(request()) == {
        "uuid": "view-uid",
        "metal3-name": "node-1",
        "metal3-namespace": "team-a",
        "local-hostname": "node-1",
        "local_hostname": "node-1",
        "name": "node-1",
    }


def test_the_tenants_metadata_is_kept_as_it_is_and_comes_first() -> None:
    found = metadata(request(metaData={"metaData": b"local-hostname: mine\nday: 2026-01-02\nnumber: 7\n"}))
    assert found["local-hostname"] == "mine"
    assert found["day"] == "2026-01-02"
    assert found["number"] == 7
    assert found["uuid"] == "view-uid"


def test_each_falls_back_to_value_as_in_bmo_and_nothing_else_is_copied() -> None:
    assert copies(request(userData={"value": b"x", "format": b"cloud-config"}))["userData"] == {"userData": b"x"}
    assert copies(request(userData={"value": b"x", "userData": b"y"}))["userData"] == {"userData": b"y"}
    assert copies(request(networkData={"networkData": b"n"}))["networkData"] == {"networkData": b"n"}
    assert copies(request(networkData={"value": b"n"}))["networkData"] == {"networkData": b"n"}
    assert metadata(request(metaData={"value": b"rack: r1"}))["rack"] == "r1"


@pytest.mark.parametrize(
    ("secrets", "word"),
    [
        ({"userData": {"other": b""}}, "my-userData"),
        ({"networkData": {"other": b"x"}}, "networkData"),
        ({"metaData": {"metaData": b"- a list"}}, "object"),
        ({"metaData": {"metaData": b"{broken"}}, "object"),
        ({"metaData": {"metaData": b"\xff\xfe\x00"}}, "object"),
        ({"metaData": {"metaData": b"1: number as key"}}, "object"),
        ({"metaData": {"metaData": b"a: &x [s3cret]\nb: *x"}}, "alias"),
        ({"metaData": {"metaData": b"a: !s3cret b"}}, "object"),
    ],
)
def test_unusable_secrets_are_named_not_quoted(secrets: dict[str, dict[str, bytes]], word: str) -> None:
    with pytest.raises(ProviderError) as caught:
        copies(request(**secrets))
    assert caught.value.reason == "InvalidSecret"
    assert word in caught.value.message
    assert "s3cret" not in caught.value.message
    assert "broken" not in caught.value.message

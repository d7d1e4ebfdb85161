"""Check that merging changes no document that it is given."""

from __future__ import annotations

import copy

from apiserver.gateway import merge
from apiserver.registry.baremetalhost import baremetalhosts
from tests.unit.apiserver.gateway.test_documents import DISCOVERY, DOCUMENTS, GROUPS, OPENAPI_V2, OPENAPI_V3, RESOURCES

KINDS = [baremetalhosts(view=True)]


def test_merging_changes_no_argument() -> None:
    before = copy.deepcopy((DISCOVERY, DOCUMENTS))
    merge.group_list(GROUPS, KINDS)
    merge.discovery_list(DISCOVERY, KINDS, "workload.metal3.io")
    merge.resources(RESOURCES, "v1alpha1", KINDS)
    merge.openapi_v2(OPENAPI_V2, KINDS)
    merge.openapi_v3(OPENAPI_V3, "v1alpha1", KINDS)
    assert before == (DISCOVERY, DOCUMENTS)


def test_a_group_with_other_versions_gets_the_views() -> None:
    found = merge.group({"name": "metal3.io", "versions": [{"version": "v1"}], "preferredVersion": {"version": "v1"}}, KINDS)
    assert [one["version"] for one in found["versions"]] == ["v1", "v1alpha1"]
    assert found["preferredVersion"] == {"version": "v1"}
    discovered = {"items": [{"metadata": {"name": "metal3.io"}, "versions": [{"version": "v1", "resources": []}]}], "apiVersion": "a/v2"}
    assert [one["version"] for one in merge.discovery_list(discovered, KINDS, "workload.metal3.io")["items"][0]["versions"]] == [
        "v1",
        "v1alpha1",
    ]

"""Check which writes a policy is about."""

from __future__ import annotations

from typing import Any

import pytest

from apiserver.admission.policies.matching import resources_of
from tests.unit.apiserver.admission.policies.given import RULE
from tests.unit.apiserver.admission.writes import CLUSTER_THINGS, thing, write

NAMESPACE = {"metadata": {"name": "n", "labels": {"team": "a"}}}


@pytest.mark.parametrize(
    ("given", "matches"),
    [
        ({}, True),
        ({"resourceRules": [RULE]}, True),
        ({"resourceRules": [{**RULE, "operations": ["DELETE"]}]}, False),
        ({"resourceRules": [{**RULE, "resourceNames": ["x"]}]}, True),
        ({"resourceRules": [{**RULE, "resourceNames": ["y"]}]}, False),
        ({"resourceRules": [RULE], "excludeResourceRules": [{**RULE, "resources": ["things"]}]}, False),
        ({"resourceRules": [RULE], "excludeResourceRules": [{**RULE, "resources": ["others"]}]}, True),
        ({"namespaceSelector": {"matchLabels": {"team": "a"}}}, True),
        ({"namespaceSelector": {"matchLabels": {"team": "b"}}}, False),
        ({"objectSelector": {"matchLabels": {"l": "new"}}}, True),
        ({"objectSelector": {"matchLabels": {"l": "old"}}}, True),
        ({"objectSelector": {"matchLabels": {"l": "none"}}}, False),
    ],
)
def test_matching(given: dict[str, Any], matches: bool) -> None:
    attributes = write("UPDATE", new=thing(labels={"l": "new"}), old=thing(labels={"l": "old"}))
    assert resources_of(given).match(attributes, NAMESPACE) is matches


def test_cluster_scoped_objects_have_no_namespace_to_select() -> None:
    assert resources_of({"namespaceSelector": {"matchLabels": {"team": "b"}}}).match(write(resource=CLUSTER_THINGS), None)

"""Check which writes rules and selectors choose."""

from __future__ import annotations

from typing import Any

import pytest

from apiserver.admission.rules import Rule, label_selector, objects_match
from tests.unit.apiserver.admission.writes import CLUSTER_THINGS, THINGS, thing, write

RULE = {"operations": ["CREATE"], "apiGroups": ["g"], "apiVersions": ["v1"], "resources": ["things"]}


@pytest.mark.parametrize(
    ("change", "matches"),
    [
        ({}, True),
        ({"operations": ["UPDATE", "DELETE"]}, False),
        ({"operations": ["*"]}, True),
        ({"apiGroups": ["other"]}, False),
        ({"apiGroups": ["other", "*"]}, True),
        ({"apiVersions": ["v2"]}, False),
        ({"apiVersions": ["*"]}, True),
        ({"resources": ["others"]}, False),
        ({"resources": ["*"]}, True),
        ({"resources": ["*/*"]}, True),
        ({"resources": ["things/*"]}, True),
        ({"resources": ["things/status"]}, False),
        ({"resources": ["*/status"]}, False),
        ({"resources": []}, False),
        ({"scope": "Namespaced"}, True),
        ({"scope": "Cluster"}, False),
        ({"scope": "*"}, True),
    ],
)
def test_rules_about_an_object(change: dict[str, Any], matches: bool) -> None:
    assert Rule.parse({**RULE, **change}).matches(write()) is matches


@pytest.mark.parametrize(
    ("resources", "matches"),
    [(["things"], False), (["*"], False), (["things/status"], True), (["things/*"], True), (["*/status"], True), (["*/*"], True)],
)
def test_rules_about_a_subresource(resources: list[str], matches: bool) -> None:
    rule = Rule.parse({**RULE, "operations": ["UPDATE"], "resources": resources})
    assert rule.matches(write("UPDATE", THINGS, "status")) is matches


def test_rules_about_cluster_scope() -> None:
    rule = {**RULE, "resources": ["*"]}
    assert Rule.parse({**rule, "scope": "Cluster"}).matches(write(resource=CLUSTER_THINGS))
    assert not Rule.parse({**rule, "scope": "Namespaced"}).matches(write(resource=CLUSTER_THINGS))


@pytest.mark.parametrize(
    ("selector", "matches"),
    [
        (None, True),
        ({}, True),
        ({"matchLabels": {"a": "1"}}, True),
        ({"matchLabels": {"a": "1", "b": "2"}}, False),
        ({"matchExpressions": [{"key": "a", "operator": "In", "values": ["1", "2"]}]}, True),
        ({"matchExpressions": [{"key": "a", "operator": "NotIn", "values": ["1", "2"]}]}, False),
        ({"matchExpressions": [{"key": "b", "operator": "NotIn", "values": ["1"]}]}, True),
        ({"matchExpressions": [{"key": "a", "operator": "Exists"}]}, True),
        ({"matchExpressions": [{"key": "a", "operator": "DoesNotExist"}]}, False),
        ({"matchLabels": {"a": "1"}, "matchExpressions": [{"key": "b", "operator": "Exists"}]}, False),
    ],
)
def test_selectors(selector: Any, matches: bool) -> None:
    assert label_selector(selector).matches({"a": "1"}) is matches


def test_an_object_is_chosen_as_it_is_or_as_it_was() -> None:
    selector = label_selector({"matchLabels": {"a": "1"}})
    chosen, other = thing(labels={"a": "1"}), thing()
    assert objects_match(selector, write("UPDATE", new=chosen, old=other))
    assert objects_match(selector, write("UPDATE", new=other, old=chosen))
    assert objects_match(selector, write("DELETE", old=chosen))
    assert not objects_match(selector, write("UPDATE", new=other, old=other))
    assert objects_match(label_selector(None), write("DELETE", old=other))

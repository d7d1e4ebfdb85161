"""Check which namespaces a class admits, and which class is the default."""

from __future__ import annotations

from typing import Any

import pytest

from controllers.classaccess import admits, default_class, is_active


def namespace(name: str, phase: str = "Active", **labels: str) -> dict[str, Any]:
    return {"metadata": {"name": name, "labels": labels}, "status": {"phase": phase}}


@pytest.mark.parametrize(
    ("rules", "admitted"),
    [
        (None, set()),
        ({}, set()),
        ({"names": ["*"]}, {"team-a", "team-b", "prod"}),
        ({"names": ["team-a"]}, {"team-a"}),
        ({"nameMatches": "team-.*"}, {"team-a", "team-b"}),
        ({"nameMatches": "team"}, set()),
        ({"selector": {"matchLabels": {"tier": "gold"}}}, {"prod"}),
        ({"selector": {}}, {"team-a", "team-b", "prod"}),
        ({"names": ["team-b"], "selector": {"matchLabels": {"tier": "gold"}}}, {"team-b", "prod"}),
    ],
)
def test_admitted_namespaces(rules: dict[str, Any] | None, admitted: set[str]) -> None:
    class_: dict[str, Any] = {"metadata": {"name": "metal"}, "spec": {} if rules is None else {"allowedNamespaces": rules}}
    everyone = [namespace("team-a"), namespace("team-b"), namespace("prod", tier="gold")]
    assert {item["metadata"]["name"] for item in everyone if admits(class_, item)} == admitted
    class_["metadata"]["deletionTimestamp"] = "2026-01-01T00:00:00Z"
    assert not any(admits(class_, item) for item in everyone), "a class that is being deleted takes nobody in"


def test_a_terminating_namespace_is_not_active() -> None:
    assert is_active(namespace("a"))
    assert not is_active(namespace("a", phase="Terminating"))
    assert not is_active({"metadata": {"name": "a", "deletionTimestamp": "x"}})


def test_the_newest_default_class_wins() -> None:
    key = "workloadclass.workload.metal3.io/is-default-class"
    classes = [
        {"metadata": {"name": "old", "creationTimestamp": "2026-01-01T00:00:00Z", "annotations": {key: "true"}}},
        {"metadata": {"name": "new", "creationTimestamp": "2026-02-01T00:00:00Z", "annotations": {key: "true"}}},
        {"metadata": {"name": "newest", "creationTimestamp": "2026-03-01T00:00:00Z", "annotations": {key: "false"}}},
    ]
    found = default_class(classes)
    assert found is not None
    assert found["metadata"]["name"] == "new"
    assert default_class(classes[2:]) is None

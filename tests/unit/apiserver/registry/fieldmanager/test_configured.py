"""Check what an admission policy's apply configuration does to an object."""

from __future__ import annotations

from typing import Any

import pytest

from apiserver.registry.fieldmanager import ApplyRefused, SchemaMismatch, compile_schema, configured

SCHEMA = compile_schema(
    {
        "properties": {
            "spec": {
                "type": "object",
                "properties": {
                    "size": {"type": "integer"},
                    "args": {"type": "array", "items": {"type": "string"}},
                    "tags": {"type": "array", "x-kubernetes-list-type": "set", "items": {"type": "string"}},
                    "whole": {"type": "object", "x-kubernetes-map-type": "atomic", "properties": {"a": {"type": "string"}}},
                    "parts": {
                        "type": "array",
                        "x-kubernetes-list-type": "map",
                        "x-kubernetes-list-map-keys": ["name"],
                        "items": {
                            "type": "object",
                            "properties": {"name": {"type": "string"}, "args": {"type": "array", "items": {"type": "string"}}},
                        },
                    },
                },
            }
        }
    }
)
LIVE: dict[str, Any] = {"spec": {"size": 1, "args": ["x"], "tags": ["b"]}}


def test_everything_in_the_configuration_is_merged() -> None:
    found = configured(SCHEMA, LIVE, {"spec": {"size": 2, "tags": ["a"], "parts": [{"name": "p"}]}})
    assert found == {"spec": {"size": 2, "args": ["x"], "tags": ["b", "a"], "parts": [{"name": "p"}]}}
    assert LIVE["spec"]["size"] == 1


@pytest.mark.parametrize(
    ("spec", "path"),
    [
        ({"args": []}, ".spec.args"),
        ({"whole": {"a": "x"}}, ".spec.whole"),
        ({"parts": [{"name": "p", "args": ["a"]}]}, ".spec.parts[0].args"),
    ],
)
def test_atomic_values_are_not_replaced(spec: dict[str, Any], path: str) -> None:
    with pytest.raises(ApplyRefused) as caught:
        configured(SCHEMA, LIVE, {"spec": spec})
    assert str(caught.value) == f"invalid ApplyConfiguration: may not mutate atomic arrays, maps or structs: {path}"


@pytest.mark.parametrize(
    ("spec", "said"),
    [
        ({"nope": 1}, ".spec.nope: field not declared in schema"),
        ({"size": "many"}, ".spec.size: expected numeric (int or float), got string"),
        ({"tags": ["a", "a"]}, '.spec.tags: duplicate entries for key [="a"]'),
    ],
)
def test_what_does_not_fit_the_schema_is_refused(spec: dict[str, Any], said: str) -> None:
    with pytest.raises(SchemaMismatch) as caught:
        configured(SCHEMA, LIVE, {"spec": spec})
    assert str(caught.value) == f"failed to convert patch object to typed object: {said}"


def test_nesting_is_bounded() -> None:
    free = compile_schema({"properties": {"spec": {"type": "object", "x-kubernetes-preserve-unknown-fields": True}}})
    deep: dict[str, Any] = {}
    for _ in range(5000):
        deep = {"a": deep}
    with pytest.raises(ApplyRefused, match="nested too deeply"):
        configured(free, {}, {"spec": deep})

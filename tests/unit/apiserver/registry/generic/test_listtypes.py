"""Cover duplicate items of lists that are sets or maps."""

from __future__ import annotations

from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from apiserver.registry.generic.listtypes import duplicate_causes, with_list_types

TAGS = {"type": "array", "x-kubernetes-list-type": "set", "items": {"type": "string"}}
PORTS = {
    "type": "array",
    "x-kubernetes-list-type": "map",
    "x-kubernetes-list-map-keys": ["port", "protocol"],
    "items": {"type": "object", "properties": {"port": {}, "protocol": {}, "tags": TAGS}},
}
SCHEMA: dict[str, Any] = {"properties": {"spec": {"properties": {"tags": TAGS, "ports": PORTS, "args": {"items": {"type": "string"}}}}}}


def fields(**spec: Any) -> list[str]:
    return [cause["field"] for cause in duplicate_causes(with_list_types(SCHEMA), {"spec": spec})]


def test_sets_and_maps() -> None:
    assert fields(tags=["a", "b", "a"]) == ["spec.tags[2]"]
    assert fields(ports=[{"port": 1, "protocol": "x"}, {"port": 1, "protocol": "y"}, {"port": 1, "protocol": "x", "name": "z"}]) == [
        "spec.ports[2]"
    ]
    assert fields(ports=[{"port": 1, "tags": ["a", "a"]}]) == ["spec.ports[0].tags[1]"]
    assert fields(args=["a", "a"]) == []


def test_parts_without_sets_and_maps_are_left_out() -> None:
    assert set(with_list_types(SCHEMA)["properties"]["spec"]["properties"]) == {"tags", "ports"}
    assert with_list_types({"properties": {"args": {"items": {"type": "string"}}}}) == {}


def test_properties_are_no_additional_properties() -> None:
    schema = with_list_types({"properties": {"plain": {"items": {"type": "string"}}}, "additionalProperties": TAGS})
    found = duplicate_causes(schema, {"plain": ["a", "a"], "other": ["a", "a"]})
    assert [cause["field"] for cause in found] == ["other[1]"]


def test_numbers_and_text_are_not_the_same() -> None:
    assert fields(tags=["1", 1, True, "true"]) == []


@given(st.lists(st.text(max_size=2)))
def test_every_repetition_is_reported_once(tags: list[str]) -> None:
    assert len(fields(tags=tags)) == len(tags) - len(set(tags))

"""Compile types from structural schemas."""

from __future__ import annotations

from typing import Any

import pytest

from apiserver.registry.fieldmanager.schema import DEDUCED, SchemaError, Type, compile_schema
from tests.unit.apiserver.registry.fieldmanager.examples import NUMBER, TEXT, THING, keyed, objects


def field(schema: dict[str, Any]) -> Type:
    """Return the type of a field with this schema."""
    map_ = compile_schema(objects(field=schema)).map
    assert map_ is not None
    return map_.type_of("field")


def below(type_: Type, *names: str) -> Type:
    for name in names:
        assert type_.map is not None
        type_ = type_.map.type_of(name)
    return type_


def test_metadata_is_that_of_every_kind() -> None:
    metadata = below(compile_schema(objects(metadata={"type": "object"})), "metadata")
    assert metadata.map is not None
    assert metadata.map.element is None
    labels, owners, finalizers = (metadata.map.type_of(name) for name in ("labels", "ownerReferences", "finalizers"))
    assert labels.map is not None
    assert not labels.map.atomic
    assert owners.list is not None
    assert owners.list.keys == ("uid",)
    assert owners.list.item.map is not None
    assert owners.list.item.map.atomic
    assert finalizers.list is not None
    assert finalizers.list.relation == "set"


def test_lists_are_atomic_and_objects_granular_by_default() -> None:
    items, values = field({"type": "array", "items": TEXT}), field(objects(a=TEXT))
    assert items.list is not None
    assert items.list.relation == "atomic"
    assert values.map is not None
    assert not values.map.atomic


def test_additional_properties() -> None:
    elements = {
        "only what is declared": objects(a=TEXT),
        "nothing more": {**objects(a=TEXT), "additionalProperties": False},
        "texts": {"type": "object", "additionalProperties": TEXT},
        "anything, declared so": {**objects(a=TEXT), "additionalProperties": True},
        "anything, as nothing is declared": {"type": "object"},
        "anything, kept": {**objects(a=TEXT), "x-kubernetes-preserve-unknown-fields": True},
    }
    found = {what: map_.element for what, schema in elements.items() if (map_ := field(schema).map) is not None}
    assert found["only what is declared"] is found["nothing more"] is None
    assert (texts := found["texts"]) is not None
    assert texts.scalar == "string"
    assert {id(element) for what, element in found.items() if what.startswith("anything")} == {id(DEDUCED)}


def test_unknown_fields_are_kept_further_down_as_well() -> None:
    inner = below(field({**objects(a=objects(b=TEXT)), "x-kubernetes-preserve-unknown-fields": True}), "a")
    assert inner.map is not None
    assert inner.map.element is DEDUCED


def test_embedded_resources_have_metadata() -> None:
    labels = below(field({"type": "object", "x-kubernetes-embedded-resource": True}), "metadata", "labels")
    assert labels.map is not None


def test_without_a_type_a_value_may_be_anything() -> None:
    found = field({"x-kubernetes-int-or-string": True})
    assert (found.scalar, found.list is None, found.map is None) == ("untyped", False, False)


def test_formats_may_be_written_otherwise() -> None:
    assert field({"type": "string", "format": "date-time"}).scalar == "untyped"
    assert field({"type": "string", "format": "byte"}).scalar == "string"


def test_where_python_cannot_tell_one_from_true() -> None:
    for exact in (TEXT, NUMBER, objects(a={"type": "boolean"}), {"type": "array", "items": NUMBER}):
        assert field(exact).exact
    free = {"type": "object"}
    for open_ in (free, objects(a=free), {"type": "array", "items": free}, {"x-kubernetes-int-or-string": True}):
        assert not field(open_).exact
    assert not THING.exact


def test_keys_may_have_defaults() -> None:
    found = field(keyed("protocol", "port", of=objects(port=NUMBER, protocol={**TEXT, "default": "TCP"}))).list
    assert found is not None
    assert (found.keys, found.defaults) == (("port", "protocol"), {"protocol": "TCP"})


@pytest.mark.parametrize(
    ("schema", "reported"),
    [
        ({"type": "integr"}, r'\.field has type "integr"'),
        ({"type": "array"}, r"\.field is an array without items"),
        ({"type": "array", "items": TEXT, "x-kubernetes-list-type": "maps"}, r'\.field has x-kubernetes-list-type "maps"'),
        ({"type": "array", "items": objects(), "x-kubernetes-list-type": "map"}, "x-kubernetes-list-map-keys"),
        (keyed("a", of=TEXT), r"\.field is a list with map keys"),
        ({**objects(), "x-kubernetes-map-type": "set"}, r'\.field has x-kubernetes-map-type "set"'),
    ],
)
def test_wrong_schemas_are_reported(schema: dict[str, Any], reported: str) -> None:
    with pytest.raises(SchemaError, match=reported):
        field(schema)

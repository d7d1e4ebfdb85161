"""Check how the values of mutations become JSON, and what they do to an object."""

from __future__ import annotations

import time
from typing import Any

import pytest

from apiserver.admission.policies.mutations import Unchangeable, applied, configuration_of, operations_from, patched
from apiserver.apis.status import ApiError
from apiserver.cel.meter import Meter
from apiserver.cel.program import Program
from apiserver.registry.generic.tracking import schema_of
from tests.unit.apiserver.admission.writes import Thing, thing


def value(expression: str) -> Any:
    """Return the value of an expression that may construct objects."""
    return Program(expression, (), structs=True).run({}, Meter(lambda units: None))


def test_an_apply_configuration_is_json() -> None:
    found = configuration_of(value("Object{spec: Object.spec{n: uint(3), x: [1.5, null, true], m: {'k': Object.spec.m{a: 'b'}}}}"))
    assert found == {"spec": {"n": 3, "x": [1.5, None, True], "m": {"k": {"a": "b"}}}}
    assert type(found["spec"]["n"]) is int


@pytest.mark.parametrize(
    ("expression", "said"),
    [
        ("{'spec': 1}", "unsupported return type from ApplyConfiguration expression: map"),
        ("Object.spec{a: 1}", "unsupported return type from ApplyConfiguration expression: Object.spec"),
        ("Object{spec: Object.sepc{a: 1}}", 'unexpected type name "Object.sepc", expected "Object.spec"'),
        ("Object{spec: [Object.spec.x{a: 1}]}", 'unexpected type name "Object.spec.x", expected "Object.spec"'),
        ("Object{a: {1: 2}}", "map key 1 is of type int, not string"),
        ("Object{a: {true: 2}}", "is of type bool, not string"),
        ("Object{a: timestamp('2026-01-01T00:00:00Z')}", "a value of type google.protobuf.Timestamp cannot be converted"),
        ("Object{a: optional.of(1)}", "a value of type optional_type cannot be converted"),
        ("Object{a: lists.range(20000)}", "more than 16000 values"),
    ],
)
def test_values_that_are_no_apply_configuration_are_refused(expression: str, said: str) -> None:
    with pytest.raises(Unchangeable) as caught:
        configuration_of(value(expression))
    assert said in str(caught.value)


def test_a_json_patch_has_values_as_protobuf_has() -> None:
    found = operations_from(
        value(
            "[JSONPatch{op: 'add', path: '/a', value: [dyn(9007199254740993), duration('90s'), b'abc', timestamp('2026-01-01T00:00:00Z')]},"
            " JSONPatch{op: 'move', from: '/b', path: '/c'}, JSONPatch{op: 'add', path: '/d', value: Object{x: 1}}]"
        )
    )
    values = ["9007199254740993", "90s", "YWJj", "2026-01-01T00:00:00Z"]
    assert found == [
        {"op": "add", "path": "/a", "value": values},
        {"op": "move", "path": "/c", "from": "/b"},
        {"op": "add", "path": "/d", "value": {"x": 1}},
    ]


@pytest.mark.parametrize(
    ("expression", "said"),
    [
        ("JSONPatch{op: 'add'}", "should evaluate to array"),
        ("[{'op': 'add'}]", "should evaluate to array of JSONPatch"),
        ("[JSONPatch{op: 1}]", "unexpected type int for JSONPatchType 'op' field"),
        ("[JSONPatch{nope: 1}]", "unexpected JSONPatchType field: nope"),
        ("[JSONPatch{op: 'add', path: '/a', value: Object.a{b: Object.c{}}}]", "unexpected type name"),
    ],
)
def test_values_that_are_no_json_patch_are_refused(expression: str, said: str) -> None:
    with pytest.raises(Unchangeable) as caught:
        operations_from(value(expression))
    assert said in str(caught.value)


def test_values_that_share_parts_do_not_grow_beyond_an_object() -> None:
    doubling = "lists.range(40)"
    for _ in range(40):
        doubling = f"[{doubling}].map(x, [x, x])[0]"
    began = time.process_time()
    with pytest.raises(Unchangeable, match="more than 16000 values"):
        configuration_of(value(f"Object{{a: {doubling}}}"))
    assert time.process_time() - began < 5
    with pytest.raises(Unchangeable, match="1048576 bytes"):
        configuration_of(value(f"Object{{a: lists.range(1200).map(i, '{'x' * 1000}')}}"))


def test_a_patch_changes_a_copy() -> None:
    obj = thing(size=1)
    found = patched(obj, [{"op": "replace", "path": "/spec/size", "value": 2}])
    assert (found["spec"], obj["spec"]) == ({"size": 2}, {"size": 1})


def test_a_failed_test_changes_nothing() -> None:
    obj = thing(size=1)
    assert patched(obj, [{"op": "remove", "path": "/spec"}, {"op": "test", "path": "/metadata/name", "value": "y"}]) is obj


def test_a_patch_that_does_not_apply_is_reported() -> None:
    with pytest.raises(Unchangeable, match=r"^JSON Patch: remove operation does not apply: /spec/nope"):
        patched(thing(), [{"op": "remove", "path": "/spec/nope"}])


@pytest.mark.parametrize("path", ["/kind", "/metadata"])
def test_a_patch_that_leaves_no_object_is_an_error(path: str) -> None:
    with pytest.raises(ApiError) as caught:
        patched(thing(), [{"op": "remove", "path": path}])
    assert caught.value.code == 500


def test_an_apply_configuration_keeps_the_rest() -> None:
    schema = schema_of(Thing)
    assert applied(schema, thing(size=1), {"spec": {"color": "red"}}) == thing(size=1, color="red")
    with pytest.raises(Unchangeable, match=r"^error applying patch: failed to convert patch object to typed object: .spec.nope: field not"):
        applied(schema, thing(size=1), {"spec": {"nope": 1}})

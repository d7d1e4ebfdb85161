"""Cover sets of fields: FieldsV1 documents, and the laws of sets, checked against plain Python sets
of paths."""

from __future__ import annotations

from itertools import product

import pytest
from hypothesis import given
from hypothesis import strategies as st

from apiserver.registry.fieldmanager.fieldset import EMPTY, FieldSet, Path, Tree

ELEMENTS = ("f:a", "f:b", 'k:{"a":1}', 'v:"x"', "i:0")
elements = st.sampled_from(ELEMENTS)
paths = st.sampled_from([path for length in (1, 2, 3) for path in product(ELEMENTS, repeat=length)])
path_sets = st.frozensets(paths, max_size=8)


def made(members: frozenset[Path]) -> FieldSet:
    return FieldSet.of(*members)


def members(found: FieldSet) -> frozenset[Path]:
    return frozenset(found.paths())


@given(path_sets)
def test_the_document_says_what_is_in_the_set(wanted: frozenset[Path]) -> None:
    found = made(wanted)
    assert members(found) == wanted
    assert FieldSet.parse(found.document()) == found
    assert bool(found) == bool(wanted)
    assert all(path in found for path in wanted)


@given(path_sets, paths)
def test_membership(wanted: frozenset[Path], path: Path) -> None:
    assert (path in made(wanted)) == (path in wanted)


@given(path_sets, path_sets)
def test_operations_are_those_of_sets(left: frozenset[Path], right: frozenset[Path]) -> None:
    assert members(made(left) | made(right)) == left | right
    assert members(made(left) & made(right)) == left & right
    assert members(made(left) - made(right)) == left - right


@given(path_sets, path_sets)
def test_the_recursive_difference_takes_what_is_below_too(left: frozenset[Path], right: frozenset[Path]) -> None:
    wanted = {path for path in left if not any(path[: len(other)] == other for other in right)}
    assert members(made(left).without(made(right))) == wanted


@given(path_sets, path_sets)
def test_results_are_canonical(left: frozenset[Path], right: frozenset[Path]) -> None:
    for found in (made(left) | made(right), made(left) & made(right), made(left) - made(right), made(left).without(made(right))):
        assert found == made(members(found)), "two sets with the same members must be equal"
        assert hash(found) == hash(made(members(found)))


@given(path_sets, path_sets)
def test_operands_stay_as_they_are(left: frozenset[Path], right: frozenset[Path]) -> None:
    one, other = made(left), made(right)
    for operation in ("__or__", "__and__", "__sub__", "without"):
        getattr(one, operation)(other)
    assert (members(one), members(other)) == (left, right)


@given(path_sets, elements)
def test_below(wanted: frozenset[Path], element: str) -> None:
    assert members(made(wanted).below(element)) == {path[1:] for path in wanted if path[0] == element and len(path) > 1}


@pytest.mark.parametrize(
    ("sent", "wanted"),
    [
        ({}, {}),
        ({".": {}}, {}),
        ({".": {}, "f:a": {}}, {"f:a": {}}),
        ({"f:a": {".": {}}}, {"f:a": {}}),
        ({"f:a": {"x:from-the-future": {}}}, {"f:a": {}}),
        ({"f:a": {"x:from-the-future": {}, "f:b": {}}}, {"f:a": {"f:b": {}}}),
        ({'k:{"b":1,"a":2}': {"f:x": {}}, 'k:{"a":2,"b":1}': {}}, {'k:{"a":2,"b":1}': {".": {}, "f:x": {}}}),
    ],
)
def test_documents_of_clients(sent: Tree, wanted: Tree) -> None:
    assert FieldSet.parse(sent).tree == wanted


@pytest.mark.parametrize("sent", [None, [], {"f:a": None}, {"f:a": {"b": {}}}, {"f:a": 1}])
def test_malformed_field_sets_are_refused(sent: object) -> None:
    with pytest.raises(ValueError):  # noqa: PT011 - several kinds of ValueError
        FieldSet.parse(sent)


def test_members_come_before_what_is_below_them() -> None:
    found = FieldSet({"f:b": {".": {}, "f:c": {}}, "f:a": {"f:z": {}}, "f:d": {}})
    assert found.render() == [".b", ".d", ".a.z", ".b.c"]


def test_documents_are_in_order() -> None:
    assert list(FieldSet({"v:1": {}, "f:b": {}, "f:a": {"f:x": {}, ".": {}}}).document()) == ["f:a", "f:b", "v:1"]


def test_the_empty_set() -> None:
    assert not EMPTY
    assert () not in EMPTY
    assert repr(EMPTY) == "FieldSet({})"

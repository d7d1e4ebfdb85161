"""Cover unknown fields."""

from __future__ import annotations

from typing import Any

import pytest

from apiserver.handlers.request.fieldvalidation import MOST, check_body, unknown_fields
from apiserver.registry.generic.context import Context, UserInfo
from apiserver.registry.generic.patch import merge_patch
from apiserver.registry.generic.schema import model_schema
from tests.unit.apiserver.handlers.kinds import WIDGETS

SCHEMA = model_schema(WIDGETS.model)


@pytest.mark.parametrize(
    ("obj", "expected"),
    [
        ({"spec": {"size": 1, "settings": {"any": "x"}, "free": {"a": {"b": 1}}}}, []),
        ({"spec": {"frob": 1}, "more": {}}, ["spec.frob", "more"]),
        ({"spec": {"parts": [{"name": "a"}, {"nome": "b"}]}}, ["spec.parts[1].nome"]),
        ({"metadata": {"labels": {"a": "b"}, "frob": 1, "managedFields": [{"fieldsV1": {"f:x": {}}}]}}, ["metadata.frob"]),
        ({"spec": None, "metadata": "x"}, []),
        ({"spec": {"parts": {"a": 1}, "size": {"b": 2}}}, ["spec.parts.a", "spec.size.b"]),
    ],
)
def test_unknown_fields(obj: dict[str, Any], expected: list[str]) -> None:
    found = list(unknown_fields(SCHEMA, obj))
    assert found == [field for field in expected if not field.startswith(("spec.parts.a", "spec.size.b"))]


STORED = {"metadata": {"labels": {"a": "b"}}, "spec": {"size": 1, "settings": {"any": "x"}, "parts": [{"name": "a"}]}}


@pytest.mark.parametrize(
    ("patch", "expected"),
    [
        ({"spec": {"size": 2}}, []),
        ({"spec": {"frob": {}}, "more": 1}, ["spec.frob", "more"]),
        ({"spec": {"parts": [{"name": "a"}, {"nome": "b"}]}}, ["spec.parts[1].nome"]),
        ({"metadata": {"labels": {"c": "d"}, "frob": 1}}, ["metadata.frob"]),
        ({"spec": {"settings": 1, "parts": None}}, []),
    ],
)
def test_of_a_patched_object_only_what_changed_is_looked_into(patch: dict[str, Any], expected: list[str]) -> None:
    patched = merge_patch(STORED, patch)
    assert list(unknown_fields(SCHEMA, patched, stored=STORED)) == list(unknown_fields(SCHEMA, patched)) == expected
    known = {**STORED, "kept": {"unknown": 1}}
    assert list(unknown_fields(SCHEMA, merge_patch(known, patch), stored=known)) == expected


def test_a_flood_of_problems_is_cut() -> None:
    context = Context(UserInfo("u"), field_validation="Warn")
    check_body(context, WIDGETS, SCHEMA, {f"f{n}": 1 for n in range(MOST + 5)}, ())
    assert len(context.warnings) == MOST + 1
    assert context.warnings[-1] == "and 5 more"

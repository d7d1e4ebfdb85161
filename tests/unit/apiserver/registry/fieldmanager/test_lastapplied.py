"""Migrate from client-side to server-side apply."""

from __future__ import annotations

import json
from typing import Any

import pytest

from apiserver.registry.fieldmanager import ApplyConflict, apply, track_update
from apiserver.registry.fieldmanager.lastapplied import ANNOTATION, renewed, unchanged_fields
from tests.unit.apiserver.registry.fieldmanager.examples import API_VERSION, NOW, THEN, THING, thing

Object = dict[str, Any]


def client_side(spec: Object, **annotations: str) -> Object:
    """Return what kubectl apply stores."""
    note = json.dumps(thing(spec))
    obj = thing(spec, uid="u", annotations={**annotations, ANNOTATION: note})
    entries = track_update(THING, None, obj, manager="kubectl-client-side-apply", api_version=API_VERSION, now=THEN)
    return {**obj, "metadata": {**obj["metadata"], "managedFields": entries}}


def server_side(live: Object, obj: Object, manager: str = "kubectl") -> Object:
    return apply(THING, live, obj, manager=manager, api_version=API_VERSION, now=NOW)


def test_kubectl_may_change_what_it_applied_before() -> None:
    found = server_side(client_side({"image": "a", "replicas": 1}), thing({"image": "b", "replicas": 1}))
    assert found["spec"] == {"image": "b", "replicas": 1}


def test_others_may_not() -> None:
    with pytest.raises(ApplyConflict):
        server_side(client_side({"image": "a"}), thing({"image": "b"}), "helm")


def test_what_was_changed_since_is_in_conflict_still() -> None:
    live = client_side({"image": "a", "replicas": 1})
    changed = {**live, "spec": {**live["spec"], "replicas": 2}}
    entries = track_update(THING, live, changed, manager="scaler", api_version=API_VERSION, now=THEN)
    changed["metadata"] = {**live["metadata"], "managedFields": entries}
    with pytest.raises(ApplyConflict) as caught:
        server_side(changed, thing({"image": "b", "replicas": 1}))
    assert caught.value.conflicts == [(".spec.replicas", '"scaler" using example.com/v1')]


def test_the_note_is_kept_up_to_date() -> None:
    found = server_side(client_side({"image": "a"}, mine="1"), thing({"image": "a<b>&", "replicas": 1.0}, annotations={"mine": "1"}))
    text = found["metadata"]["annotations"][ANNOTATION]
    assert text == (
        '{"apiVersion":"example.com/v1","kind":"Thing","metadata":{"annotations":{"mine":"1"},"name":"a"},'
        '"spec":{"image":"a\\u003cb\\u003e\\u0026","replicas":1}}\n'
    )


def test_the_note_does_not_hold_itself() -> None:
    found = renewed(client_side({}), thing({}, annotations={ANNOTATION: "x", "b": "c"}))
    assert json.loads(found["metadata"]["annotations"][ANNOTATION])["metadata"]["annotations"] == {"b": "c"}


def test_without_a_note_none_is_made() -> None:
    live = thing({"image": "a"}, uid="u", annotations={"a": "b"})
    assert ANNOTATION not in server_side(live, thing({"replicas": 1}))["metadata"]["annotations"]


def test_a_note_that_became_too_large_is_dropped() -> None:
    found = renewed(client_side({}), thing({"image": "x" * 300_000}))
    assert ANNOTATION not in found["metadata"]["annotations"]


@pytest.mark.parametrize(
    "note", ["", "no JSON", "[]", json.dumps({**thing({}), "apiVersion": "example.com/v0"}), json.dumps(thing({"unheard": 1}))]
)
def test_a_note_that_cannot_be_used_allows_nothing(note: str) -> None:
    live = thing({"image": "a"}, annotations={ANNOTATION: note})
    assert not unchanged_fields(THING, live, API_VERSION)

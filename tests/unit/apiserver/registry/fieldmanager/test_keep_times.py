"""Check that a write that would change only the times in managedFields stores nothing."""

from __future__ import annotations

from typing import Any

from apiserver.registry.fieldmanager import keep_times
from tests.unit.apiserver.registry.fieldmanager.examples import API_VERSION, NOW, THEN, fields, thing

Object = dict[str, Any]


def owned(spec: Object, time: str, manager: str = "anna") -> Object:
    entry = {"manager": manager, "operation": "Apply", "apiVersion": API_VERSION, "time": time, "fieldsV1": fields(free={})}
    return thing(spec, managedFields=[entry])


def test_times_alone_are_no_change() -> None:
    live, new = owned({"free": {"a": 1}}, THEN), owned({"free": {"a": 1}}, NOW)
    assert keep_times(live, new) == live
    assert new == owned({"free": {"a": 1}}, NOW)


def test_with_any_other_change_the_new_times_hold() -> None:
    live = owned({"free": {"a": 1}}, THEN)
    for new in (owned({"free": {"a": True}}, NOW), owned({"free": {"a": 1}}, NOW, "ben"), owned({}, NOW)):
        assert keep_times(live, new) is new


def test_a_created_object_keeps_its_own_times() -> None:
    new = owned({}, NOW)
    assert keep_times(None, new) is new

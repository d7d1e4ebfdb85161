"""Check which object controls another one."""

from __future__ import annotations

from typing import Any

from controllers.owners import controller_of, controlling_set

SET = {"apiVersion": "workload.metal3.io/v1alpha1", "kind": "WorkloadSet", "name": "db", "uid": "u", "controller": True}


def owned(*owners: dict[str, Any]) -> dict[str, Any]:
    return {"metadata": {"name": "db-0", "ownerReferences": list(owners)}}


def test_an_owner_is_not_a_controller() -> None:
    assert controller_of(owned({**SET, "controller": False})) is None
    assert controller_of({"metadata": {"name": "db-0"}}) is None
    assert controller_of(owned({**SET, "controller": None}, SET)) == SET


def test_only_a_set_of_this_group_is_one() -> None:
    assert controlling_set(owned(SET)) == SET
    assert controlling_set(owned({**SET, "kind": "ReplicaSet"})) is None
    assert controlling_set(owned({**SET, "apiVersion": "example.com/v1"})) is None

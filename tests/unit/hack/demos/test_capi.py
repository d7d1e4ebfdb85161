"""Check the objects that a move creates again."""

from __future__ import annotations

from typing import Any

from hack.demos.capi import _recreated


def test_made_again_with_the_owners_of_the_target() -> None:
    owner = {"apiVersion": "v1", "kind": "Cluster", "name": "c", "uid": "old-owner"}
    metadata = {"name": "m", "namespace": "a", "finalizers": ["f"], "annotations": {"k": "v"}, "ownerReferences": [owner]}
    system = {"uid": "old", "resourceVersion": "7", "creationTimestamp": "t", "generation": 3, "managedFields": []}
    before: dict[str, Any] = {"kind": "Machine", "metadata": {**metadata, **system}, "spec": {"x": 1}, "status": {"phase": "Running"}}
    after = _recreated(before, {"old-owner": "new-owner"})
    assert after == {"kind": "Machine", "metadata": {**metadata, "ownerReferences": [{**owner, "uid": "new-owner"}]}, "spec": {"x": 1}}
    assert before["metadata"]["ownerReferences"] == [owner], "the original is left alone"

"""Check which parts of watched objects the controllers keep in memory."""

from __future__ import annotations

from controllers.cluster import without_managers
from tests.unit.controllers.clusters import host


def test_managers_are_left_out_of_what_is_kept() -> None:
    bare = host("h1")
    full = {**bare, "metadata": {**bare["metadata"], "managedFields": [{"manager": "x"}]}}
    assert without_managers(full) == bare == without_managers(bare)
    assert "managedFields" in full["metadata"], "what came is not changed"

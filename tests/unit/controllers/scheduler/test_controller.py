"""Check what the scheduler makes of a refused binding."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest

from controllers.scheduler.controller import Scheduler

CHOSEN_FOR: dict[str, Any] = {
    "metadata": {"name": "w", "namespace": "a", "uid": "u", "generation": 3},
    "spec": {"requirements": {"cpuCount": 1}},
}


@pytest.mark.parametrize(
    ("metadata", "settled"),
    [({}, False), ({"generation": 5}, True), ({"uid": "later"}, True), ({"resourceVersion": "9"}, False)],
)
async def test_a_spec_that_was_changed_and_changed_back_is_not_the_hosts_failure(metadata: dict[str, Any], *, settled: bool) -> None:
    """Free the host where the Workload has changed: a tenant that changes its spec to and fro would
    keep all free hosts assumed."""

    async def find(*_: object) -> dict[str, Any]:
        return {**CHOSEN_FOR, "metadata": {**CHOSEN_FOR["metadata"], **metadata}}

    scheduler = Scheduler.__new__(Scheduler)
    scheduler._cluster = SimpleNamespace(client=SimpleNamespace(find=find))  # type: ignore[assignment] # it has what is used of the cluster
    assert await scheduler._settled(CHOSEN_FOR) is settled

"""Check for whom the controller of Workloads keeps hosts."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest

from controllers.workload import controller
from controllers.workload.controller import GANG_INCOMPLETE, WorkloadController


@pytest.mark.parametrize(("reason", "kept"), [(GANG_INCOMPLETE, False), ("HostTaken", True)])
async def test_a_host_without_another_consumer_is_free_at_once_when_it_is_given_up(
    monkeypatch: pytest.MonkeyPatch, reason: str, *, kept: bool
) -> None:
    """A gang that is never complete would keep twice its quota of hosts from others."""

    async def given_up(*_: Any) -> bool:
        return True

    monkeypatch.setattr(controller, "reschedule", given_up)
    avoided = list[Any]()
    made = WorkloadController.__new__(WorkloadController)
    made._cluster, made._sources = SimpleNamespace(), {}  # type: ignore[assignment] # what is used of them
    made._scheduler = SimpleNamespace(avoid=avoided.append)
    host = {"metadata": {"name": "h"}, "spec": {"className": "metal"}}
    workload = {"metadata": {"name": "w"}, "status": {"conditions": [{"type": "Bound", "status": "False", "reason": reason}]}}
    assert await made._reschedule(workload, host) is None
    assert avoided == ([host] if kept else [])

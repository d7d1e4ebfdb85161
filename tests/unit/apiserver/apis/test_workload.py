"""Read the state of a binding from a status, also from one that an earlier version stored."""

from __future__ import annotations

from typing import Any

import pytest

from apiserver.apis.workload import HOST_CHOSEN, binding_state

HOST = {"host": {"name": "node-0"}}


def bound(status: str, reason: str) -> dict[str, Any]:
    return {
        "conditions": [{"type": "Ready", "status": "False", "reason": HOST_CHOSEN}, {"type": "Bound", "status": status, "reason": reason}]
    }


@pytest.mark.parametrize(
    ("status", "state"),
    [
        (None, None),
        ({}, None),
        ({"phase": "Pending"}, None),
        ({"phase": "Lost", "binding": {"state": "Confirmed"}}, None),
        ({**HOST, "phase": "Pending", "binding": {"state": "Confirmed"}}, "Confirmed"),
        ({**HOST, "phase": "Bound", **bound("True", HOST_CHOSEN), "binding": {"state": "Rescheduling"}}, "Rescheduling"),
        ({**HOST, "phase": "Bound", **bound("True", HOST_CHOSEN)}, "Assumed"),
        ({**HOST, "phase": "Provisioning", **bound("True", HOST_CHOSEN)}, "Assumed"),
        ({**HOST, "phase": "Running", **bound("True", "Bound")}, "Confirmed"),
        ({**HOST, "phase": "Failed", **bound("False", "HostTaken")}, "Confirmed"),
        ({**HOST, "phase": "Failed", **bound("False", HOST_CHOSEN)}, "Confirmed"),
        ({**HOST, "phase": "Running"}, "Confirmed"),
        ({**HOST, "phase": "Pending", **bound("False", "HostTaken")}, "Rescheduling"),
        ({**HOST, "phase": "Pending", **bound("True", HOST_CHOSEN)}, "Rescheduling"),
    ],
)
def test_the_state_is_a_field_and_was_encoded_elsewhere_before(status: dict[str, Any] | None, state: str | None) -> None:
    assert binding_state(status) == state

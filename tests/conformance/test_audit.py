"""Compare what both servers write to their audit logs about admission policies."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest

from tests.conformance.cases import all_cases
from tests.conformance.servers import AUDITED

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from tests.conformance.compare import Verdict

Records = dict[str, dict[str, Any]]
NAMES = [name for name in all_cases() if name.startswith(("policies/", "mutating-policies/"))]
COMMON = ("authorization.k8s.io/", "authentication.k8s.io/", "apiserver.latency.k8s.io/")
"""Annotations that depend on the way to the server, and on the machine."""


@pytest.fixture(scope="session")
def recorded(verdicts: Mapping[str, Verdict], audited: Path) -> tuple[Records, Records]:
    """Return the annotations of requests by their audit IDs, of kube-apiserver and of ours."""
    assert verdicts
    return _read(audited / "cluster" / AUDITED), _read(audited / AUDITED)


def _read(path: Path) -> Records:
    events = map(json.loads, path.read_text().splitlines())
    return {event["auditID"]: _own(event.get("annotations") or {}) for event in events if event["stage"] == "ResponseComplete"}


def _own(annotations: dict[str, str]) -> dict[str, Any]:
    """Return the annotations that admission wrote. JSON is decoded, because Go escapes < in it."""
    own = {key: value for key, value in annotations.items() if not key.startswith(COMMON)}
    return {key: json.loads(value) if key.endswith("/validation_failure") else value for key, value in own.items()}


@pytest.mark.parametrize("name", NAMES)
def test_policies_write_the_same_annotations(name: str, verdicts: Mapping[str, Verdict], recorded: tuple[Records, Records]) -> None:
    theirs, ours = recorded
    requests = [f"c{list(verdicts).index(name)}-0-{number}" for number in range(1, len(all_cases()[name].steps) + 1)]
    assert [ours[one] for one in requests] == [theirs[one] for one in requests]


def test_some_requests_have_annotations(recorded: tuple[Records, Records]) -> None:
    keys = {key for found in recorded[0].values() for key in found}
    assert {"validation.policy.admission.k8s.io/validation_failure", "notes/size"} <= keys

"""Check the health checks for Flux that the guide to GitOps shows."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
import yaml

from apiserver.cel.meter import Meter
from apiserver.cel.program import Program

PAGE = Path(__file__).parents[3] / "docs" / "gitops.md"


@pytest.fixture(scope="module")
def expressions() -> dict[str, str]:
    """Return the expressions for WorkloadClasses."""
    (block,) = re.findall(r"^```yaml\n(.*?)^```", PAGE.read_text(), re.DOTALL | re.MULTILINE)
    (check,) = yaml.safe_load(block)["spec"]["healthCheckExprs"]
    assert (check["apiVersion"], check["kind"]) == ("workload.metal3.io/v1alpha1", "WorkloadClass")
    return {name: check[name] for name in ("current", "failed")}


@pytest.mark.parametrize(
    ("status", "reason", "current", "failed"),
    [
        ("True", "Connected", True, False),
        ("False", "Unreachable", False, False),
        ("False", "SecretNotFound", False, False),
        ("False", "UnknownProvisioner", False, True),
        ("False", "BadParameters", False, True),
        (None, "", False, False),
    ],
)
def test_flux_waits_for_the_connection_of_a_class(
    expressions: dict[str, str], status: str | None, reason: str, *, current: bool, failed: bool
) -> None:
    found = [{"type": "Exclusive", "status": "True", "reason": "Exclusive"}]
    if status is not None:
        found.append({"type": "Connected", "status": status, "reason": reason})
    variables = {"status": {"conditions": found}}
    said = {name: Program(text, variables).run(variables, Meter(lambda units: None)) for name, text in expressions.items()}
    assert said == {"current": current, "failed": failed}

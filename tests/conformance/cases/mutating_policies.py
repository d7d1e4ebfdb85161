"""Test MutatingAdmissionPolicies: both servers change objects by those of the control plane."""

from __future__ import annotations

from typing import Any

from tests.conformance.case import GADGETS, Case, Step, apply, delete, gadget, get, merge, post, put
from tests.conformance.policies import labelled

ONE = f"{GADGETS}/one"


def _create(policy: str, name: str = "one", *, query: str = "", **spec: Any) -> Step:
    return post(f"{GADGETS}{query}", gadget(name, meta=labelled(policy), **(spec or {"size": 3})), "made")


def _case(policy: str, *steps: Step, name: str = "", **more: Any) -> Case:
    return Case(f"{policy}{f' {name}' if name else ''}", steps or (_create(policy), get(ONE)), messages=True, **more)


PORTS = [{"port": 443}, {"port": 80, "name": "old"}]

CASES = (
    *(
        _case(policy)
        for policy in (
            "apply",
            "apply-metadata",
            "apply-set",
            "apply-map-list",
            "apply-atomic-list",
            "apply-atomic-list-ignored",
            "apply-atomic-map",
            "apply-free",
            "apply-nothing",
            "apply-invalid",
            "apply-status",
            "apply-name",
            "apply-wrong-type",
            "apply-null",
            "mutation-missing",
            "mutation-missing-ignored",
            "mutation-missing-twice",
            "patch",
            "patch-object",
            "patch-label",
            "patch-test",
            "patch-copy",
            "patch-missing-ignored",
            "patch-defaults",
            "patch-unknown",
            "patch-values",
            "two-mutations",
            "mutation-order",
            "once",
            "again",
            "mutation-conditions",
            "mutation-bad-condition",
            "mutation-bad-condition-ignored",
            "mutation-params",
            "mutation-params-missing",
            "mutation-params-missing-ignored",
            "mutation-variables",
            "mutation-authorizer",
            "mutation-request",
            "mutation-budget",
        )
    ),
    _case("patch-missing", allowed={"1-made.*message": "the texts of the libraries for JSON patches differ after the operation's name"}),
    *(_case("again-with-condition", _create("again-with-condition", size=size), name=str(size)) for size in (2, 3, 4, 5)),
    *(
        _case("apply-optional", _create("apply-optional", **spec), name=name)
        for name, spec in {"there": {"code": "abc"}, "not": {}}.items()
    ),
    _case("apply", _create("apply", title="mine", settings={"c": "d"}), name="others' fields"),
    _case("apply-set", _create("apply-set", tags=["a", "b"]), name="others' items"),
    _case("apply-map-list", _create("apply-map-list", ports=PORTS), name="others' items"),
    _case("patch-move", _create("patch-move", code="abc"), _create("patch-move", "two")),
    _case("mutation-conditions", _create("mutation-conditions", size=5), name="not met"),
    _case("once", _create("once"), merge(ONE, {"spec": {"mode": "fast"}}), get(ONE), name="update"),
    _case("once", _create("once", query="?dryRun=All"), get(ONE), name="dry run"),
    _case("once", apply(ONE, gadget(meta=labelled("once"), size=3)), apply(ONE, gadget(meta=labelled("once"), size=3)), name="apply"),
    _case("once", _create("once"), put(ONE, gadget(meta={"resourceVersion": "${made:metadata.resourceVersion}"}, size=9)), name="no label"),
    _case("once", _create("once"), delete(ONE), name="deletion"),
    _case("apply-metadata", _create("apply-metadata"), merge(ONE, {"metadata": {"finalizers": None}}), name="finalizers"),
    _case(
        "mutation-subresource",
        _create("mutation-subresource"),
        merge(f"{ONE}/status", {"status": {"phase": "Up"}}),
        get(ONE),
    ),
    _case("apply-status", _create("apply-status"), merge(f"{ONE}/status", {"status": {"phase": "Up"}}), name="subresource"),
    _case("mutation-request", _create("mutation-request"), merge(ONE, {"spec": {"size": 4}}), name="update"),
)

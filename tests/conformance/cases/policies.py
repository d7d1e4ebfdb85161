"""Test ValidatingAdmissionPolicies: both servers enforce those of the control plane."""

from __future__ import annotations

from typing import Any

from tests.conformance.case import GADGETS, Case, Step, apply, delete, gadget, get, merge, post, put
from tests.conformance.policies import labelled

ONE = f"{GADGETS}/one"


def _create(policy: str, name: str = "one", *, query: str = "", **spec: Any) -> Step:
    return post(f"{GADGETS}{query}", gadget(name, meta=labelled(policy), **(spec or {"size": 12})), "made")


def _case(policy: str, *steps: Step, name: str = "") -> Case:
    return Case(f"{policy}{f' {name}' if name else ''}", steps or (_create(policy), get(ONE)), messages=True)


LIBRARIES: dict[str, Any] = {
    "args": ["a", "b"],
    "limits": {"cpu": "1500m"},
    "settings": {"mode": "fast"},
    "parts": [{"name": "x"}],
}

CASES = (
    *(
        _case(policy)
        for policy in (
            "plain",
            "message",
            "computed",
            "bad-message",
            "lines",
            "missing",
            "missing-ignored",
            "dyn",
            "two",
            "warn",
            "deny-and-audit",
            "two-bindings",
            "conditions",
            "bad-condition",
            "bad-conditions",
            "false-beside-error",
            "no-subresource",
            "namespace",
            "params",
            "params-selected",
            "params-missing",
            "params-missing-ignored",
            "params-not-needed",
            "params-unused",
            "params-own-namespace",
            "params-kind",
            "authorizer",
            "authorizer-own",
            "authorizer-path",
            "namespaces",
            "notes",
            "bad-notes",
            "bad-notes-ignored",
            "budget",
            "budget-ignored",
        )
    ),
    _case("plain", _create("plain", size=9), merge(ONE, {"spec": {"size": 10}}), get(ONE), name="update"),
    _case("plain", _create("plain", query="?dryRun=All"), name="dry run"),
    _case("plain", apply(ONE, gadget(meta=labelled("plain"), size=12)), name="apply"),
    _case("plain", _create("plain", size=9), merge(ONE, {"metadata": {"labels": None}, "spec": {"size": 10}}), name="label is removed"),
    _case("plain", post(GADGETS, gadget("", meta={"generateName": "gen-", **labelled("plain")}, size=12)), name="generated name"),
    _case("plain", _create("plain", size=0), name="invalid object"),
    _case("warn", _create("warn", size=9), merge(ONE, {"spec": {"size": 12}}), name="update"),
    *(_case("reasons", _create("reasons", size=size), name=str(size)) for size in (1, 2, 3, 4)),
    *(_case("two", _create("two", size=size), name=str(size)) for size in (60, 30, 15, 5)),
    *(_case("variables", _create("variables", size=size), name=str(size)) for size in (1, 5, 50)),
    _case("conditions", _create("conditions", size=3), name="not met"),
    *(_case("params", _create("params", size=size), name=str(size)) for size in (7, 11)),
    *(_case("params-selected", _create("params-selected", size=size), name=str(size)) for size in (4, 7)),
    _case("update", _create("update", size=5), merge(ONE, {"spec": {"size": 4}}), merge(ONE, {"spec": {"size": 6}}), delete(ONE)),
    _case("delete", _create("delete", size=5), merge(ONE, {"metadata": {"annotations": {"a": "b"}}}), delete(ONE), get(ONE)),
    Case(
        "delete collection",
        (_create("delete", size=5), merge(ONE, {"metadata": {"annotations": {"a": "b"}}}), delete(GADGETS)),
        allowed={
            "3.body.details.name": "ours names the object that is kept, and kube-apiserver does not know its name",
            "3.body.message": "the message contains that name",
        },
        messages=True,
    ),
    _case("request"),
    _case("request", _create("request", query="?dryRun=All"), name="dry run"),
    _case("subresource", _create("subresource"), merge(f"{ONE}/status", {"status": {"phase": "Up"}}), merge(ONE, {"spec": {"size": 13}})),
    _case("names", _create("names"), _create("names", "two")),
    _case("excluded", _create("excluded"), post(GADGETS, gadget(size=1)), merge(ONE, {"metadata": labelled("excluded")})),
    _case(
        "binding-matches",
        _create("binding-matches"),
        put(ONE, {**gadget(size=13, meta={"resourceVersion": "${made:metadata.resourceVersion}", **labelled("binding-matches")})}),
    ),
    _case("libraries", _create("libraries", **LIBRARIES), name="right"),
    _case("libraries", _create("libraries", **{**LIBRARIES, "args": ["b", "a"]}), name="not sorted"),
    _case("libraries", _create("libraries", **{**LIBRARIES, "limits": {"cpu": "2500m"}}), name="too much"),
    _case("libraries", _create("libraries", **{**LIBRARIES, "limits": {"memory": "1Gi"}}), name="no key"),
    _case("libraries", _create("libraries", **{**LIBRARIES, "settings": {"mode": "slow"}}), name="optional"),
    _case("libraries", _create("libraries", **{**LIBRARIES, "parts": [{"name": "X"}]}), name="regular expression"),
    _case("libraries", _create("libraries", **{**LIBRARIES, "settings": {"mode": "fast", "a": "a"}}), name="two variables"),
    _case("libraries", _create("libraries", size=1), name="nothing"),
)

"""Test server-side apply: creation, ownership, conflicts, force, removal, and the requirements of
the request."""

from __future__ import annotations

from tests.conformance.case import APPLY, GADGETS, Case, Step, apply, delete, gadget, get, merge, post, put
from tests.conformance.reasons import CLIENT

ONE = f"{GADGETS}/one"
PORTS = [{"port": 80, "protocol": "TCP", "name": "http"}]
DNS = [{"port": 53, "protocol": "UDP", "name": "dns"}]
HELD = {"finalizers": ["example.com/hold"]}

CASES = (
    Case("creates", (apply(ONE, gadget(size=3)), get(ONE))),
    Case("creates with metadata", (apply(ONE, gadget(meta={"labels": {"a": "b"}, **HELD})),)),
    Case(
        "as YAML",
        (
            Step(
                "PATCH",
                f"{ONE}?fieldManager=anna",
                "apiVersion: conformance.example.com/v1\nkind: Gadget\nmetadata: {name: one}\nspec: {size: 4}\n",
                {"Content-Type": APPLY},
            ),
        ),
    ),
    Case("again without change", (apply(ONE, gadget(size=3)), apply(ONE, gadget(size=3)))),
    Case("with change", (apply(ONE, gadget(size=3)), apply(ONE, gadget(size=4)))),
    Case("removes what it had", (apply(ONE, gadget(size=3, title="abc")), apply(ONE, gadget(size=3)))),
    Case("removes back to the default", (apply(ONE, gadget(size=3)), apply(ONE, gadget()))),
    Case("keeps what another has", (apply(ONE, gadget(title="abc")), apply(ONE, gadget(code="x"), manager="ben"), apply(ONE, gadget()))),
    Case(
        "shared and then left",
        (
            apply(ONE, gadget(title="abc")),
            apply(ONE, gadget(title="abc"), manager="ben"),
            apply(ONE, gadget()),
            apply(ONE, gadget(), manager="ben"),
        ),
    ),
    Case("conflict", (apply(ONE, gadget(size=3)), apply(ONE, gadget(size=4), manager="ben")), messages=True),
    Case("conflict forced", (apply(ONE, gadget(size=3)), apply(ONE, gadget(size=4), manager="ben", force=True))),
    Case("conflict with an updater", (post(GADGETS, gadget(size=3)), apply(ONE, gadget(size=4))), messages=True),
    Case(
        "several conflicts",
        (apply(ONE, gadget(size=3, title="abc")), apply(ONE, gadget(size=4, title="abcd"), manager="ben")),
        messages=True,
    ),
    Case(
        "conflicts with several",
        (
            apply(ONE, gadget(size=3)),
            apply(ONE, gadget(title="abc"), manager="carl"),
            apply(ONE, gadget(size=4, title="abcd"), manager="ben"),
        ),
        messages=True,
    ),
    Case(
        "updater takes over",
        (apply(ONE, gadget(size=3)), merge(f"{ONE}?fieldManager=ben", {"spec": {"size": 4}}), apply(ONE, gadget(size=3))),
    ),
    Case("map lists by key", (apply(ONE, gadget(ports=PORTS)), apply(ONE, gadget(ports=DNS), manager="ben"), apply(ONE, gadget(ports=[])))),
    Case("map list item changed", (apply(ONE, gadget(ports=PORTS)), apply(ONE, gadget(ports=[{**PORTS[0], "name": "web"}])))),
    Case("key filled by default", (apply(ONE, gadget(ports=[{"port": 80}])),)),
    Case("sets", (apply(ONE, gadget(tags=["a", "b"])), apply(ONE, gadget(tags=["c"]), manager="ben"), apply(ONE, gadget(tags=["b"])))),
    Case("atomic lists", (apply(ONE, gadget(args=["a"])), apply(ONE, gadget(args=["b"]), manager="ben"))),
    Case("atomic maps", (apply(ONE, gadget(template={"a": "1"})), apply(ONE, gadget(template={"b": "2"}), manager="ben", force=True))),
    Case("granular maps", (apply(ONE, gadget(settings={"a": "1"})), apply(ONE, gadget(settings={"b": "2"}), manager="ben"))),
    Case(
        "labels of two",
        (
            apply(ONE, gadget(meta={"labels": {"a": "1"}})),
            apply(ONE, gadget(meta={"labels": {"b": "2"}}), manager="ben"),
            apply(ONE, gadget()),
        ),
    ),
    Case("doubled keys in the list", (apply(ONE, gadget(ports=[{"port": 80}, {"port": 80}])),), allowed={"1.status": CLIENT}),
    Case("without manager", (Step("PATCH", ONE, gadget(), {"Content-Type": APPLY}),), messages=True),
    Case("with managedFields", (apply(ONE, gadget(meta={"managedFields": [{"manager": "x"}]})),), messages=True),
    Case("with empty managedFields", (apply(ONE, gadget(meta={"managedFields": []})),)),
    Case("with the uid", (apply(ONE, gadget(), "made"), apply(ONE, gadget(size=3, meta={"uid": "${made:metadata.uid}"})))),
    Case("with another uid", (apply(ONE, gadget()), apply(ONE, gadget(size=3, meta={"uid": "11111111-1111-1111-1111-111111111111"})))),
    Case("with a uid to a missing object", (apply(ONE, gadget(meta={"uid": "11111111-1111-1111-1111-111111111111"})),)),
    Case(
        "with the version",
        (apply(ONE, gadget(), "made"), apply(ONE, gadget(size=3, meta={"resourceVersion": "${made:metadata.resourceVersion}"}))),
    ),
    Case(
        "with an old version",
        (
            apply(ONE, gadget(), "made"),
            merge(ONE, {"spec": {"size": 4}}),
            apply(ONE, gadget(title="abc", meta={"resourceVersion": "${made:metadata.resourceVersion}"})),
        ),
    ),
    Case("with a version to a missing object", (apply(ONE, gadget(meta={"resourceVersion": "5"})),)),
    Case("another name", (apply(ONE, gadget("two")),)),
    Case("no name", (apply(ONE, gadget("")),)),
    Case("another namespace", (apply(ONE, gadget(meta={"namespace": "other"})),)),
    Case("another kind", (apply(ONE, {**gadget(), "kind": "Widget"}),)),
    Case("no kind", (apply(ONE, {"metadata": {"name": "one"}}),)),
    Case("empty", (apply(ONE, {}),)),
    Case("not an object", (apply(ONE, "- 1"),)),
    Case("not YAML", (apply(ONE, "{"),)),
    Case("invalid value", (apply(ONE, gadget(size=1000)),)),
    Case("invalid type", (apply(ONE, gadget(size="x")),), allowed={"1.status": CLIENT}),
    Case("invalid name", (apply(f"{GADGETS}/Bad", gadget("Bad")),)),
    Case(
        "null values",
        (apply(ONE, gadget(title="abc")), apply(ONE, gadget(title=None))),
        allowed={"2.status": "null is the same as nothing to our models"},
    ),
    Case("system fields", (apply(ONE, gadget(meta={"creationTimestamp": None, "generation": 5})),)),
    Case("dry run creates", (apply(ONE, gadget(), more="&dryRun=All"), get(ONE))),
    Case("dry run changes", (apply(ONE, gadget(size=3)), apply(ONE, gadget(size=4), more="&dryRun=All"), get(ONE))),
    Case("force false", (apply(ONE, gadget(size=3)), apply(ONE, gadget(size=4), manager="ben", more="&force=false"))),
    Case("force malformed", (apply(ONE, gadget(size=3), more="&force=maybe"),)),
    Case(
        "finalizers of two",
        (apply(ONE, gadget(meta=HELD)), apply(ONE, gadget(meta={"finalizers": ["example.com/x"]}), manager="ben"), apply(ONE, gadget())),
    ),
    Case("last finalizer while deleting", (apply(ONE, gadget(meta=HELD)), delete(ONE), apply(ONE, gadget()), get(ONE))),
    Case(
        "owner references",
        (
            apply(ONE, gadget(meta={"ownerReferences": [{"apiVersion": "v1", "kind": "ConfigMap", "name": "o", "uid": "1"}]})),
            apply(ONE, gadget()),
        ),
    ),
    Case(
        "after an update by the same name",
        (put(ONE, gadget()), post(f"{GADGETS}?fieldManager=anna", gadget(size=3)), apply(ONE, gadget(size=4))),
    ),
    Case("in a missing namespace", (apply("/apis/conformance.example.com/v1/namespaces/missing/gadgets/one", gadget()),)),
    Case(
        "as a table",
        (
            Step(
                "PATCH",
                f"{ONE}?fieldManager=anna",
                gadget(),
                {"Content-Type": APPLY, "Accept": "application/json;as=Table;g=meta.k8s.io;v=v1"},
            ),
        ),
    ),
)

"""Test PUT: versions, identities, generation, no-op writes, fields of the system."""

from __future__ import annotations

from typing import Any

from tests.conformance.case import GADGETS, RACKS, Case, Step, gadget, get, post, put
from tests.conformance.reasons import CLIENT, TWICE

ONE = f"{GADGETS}/one"
VERSION = "${made:metadata.resourceVersion}"
HELD = {"finalizers": ["example.com/hold"]}


def _put(body: dict[str, Any], name: str = "", query: str = "", **meta: Any) -> Step:
    """Return a PUT of the created object with changes."""
    body = {**body, "metadata": {"name": "one", "resourceVersion": VERSION, **meta}}
    return put(ONE + query, body, name)


def _changed(name: str, *steps: Step, made: dict[str, Any] | None = None, **more: Any) -> Case:
    return Case(name, (post(GADGETS, made or gadget(size=2), "made"), *steps), **more)


CASES = (
    _changed("spec changed", _put(gadget(size=3)), get(ONE)),
    _changed("nothing changed", _put(gadget(size=2)), get(ONE)),
    _changed(
        "read and written back",
        get(ONE, "read"),
        put(
            ONE,
            '{"apiVersion":"conformance.example.com/v1","kind":"Gadget","metadata":{"name":"one","namespace":"{ns}","uid":"${made:metadata.uid}","resourceVersion":"${made:metadata.resourceVersion}","creationTimestamp":"${made:metadata.creationTimestamp}","generation":1},"spec":{"size":2,"mode":"slow"}}',
        ),
    ),
    _changed("spec removed", _put(gadget())),
    _changed("labels only", _put(gadget(size=2), labels={"a": "b"})),
    _changed("labels removed", _put(gadget(size=2)), made=gadget(size=2, meta={"labels": {"a": "b"}})),
    _changed("without version", put(ONE, gadget(size=3)), messages=True),
    _changed("empty version", put(ONE, gadget(size=3, meta={"resourceVersion": ""}))),
    _changed("old version", _put(gadget(size=3)), _put(gadget(size=4)), messages=True),
    _changed("version that is no number", put(ONE, gadget(meta={"resourceVersion": "x"})), allowed={"2.status": CLIENT}),
    _changed("version zero", put(ONE, gadget(size=3, meta={"resourceVersion": "0"}))),
    _changed("another uid", _put(gadget(size=3), uid="11111111-1111-1111-1111-111111111111")),
    _changed("the right uid", _put(gadget(size=3), uid="${made:metadata.uid}")),
    _changed("another name", put(ONE, gadget("two", meta={"resourceVersion": VERSION})), messages=True),
    _changed("no name", put(ONE, gadget("", meta={"resourceVersion": VERSION}))),
    _changed("another namespace", _put(gadget(), namespace="other"), messages=True),
    _changed("the namespace", _put(gadget(size=3), namespace="{ns}")),
    _changed("another kind", put(ONE, {**gadget(meta={"resourceVersion": VERSION}), "kind": "Widget"})),
    _changed("another version of the API", put(ONE, {**gadget(), "apiVersion": "conformance.example.com/v2"})),
    _changed("creationTimestamp changed", _put(gadget(size=2), creationTimestamp="2001-01-01T00:00:00Z")),
    _changed("creationTimestamp null", _put(gadget(size=2), creationTimestamp=None)),
    _changed("generation changed", _put(gadget(size=2), generation=99)),
    _changed(
        "deletionTimestamp added", _put(gadget(size=2), deletionTimestamp="2030-01-01T00:00:00Z"), allowed={"2.body.details.causes*": TWICE}
    ),
    _changed(
        "deletionTimestamp removed",
        Step("DELETE", ONE),
        _put(gadget(size=2), finalizers=["example.com/hold"], resourceVersion=""),
        made=gadget(size=2, meta=HELD),
    ),
    _changed("generateName changed", _put(gadget(size=2), generateName="gen-")),
    _changed("selfLink", _put(gadget(size=2), selfLink="/x")),
    _changed("status is kept", _put({**gadget(size=3), "status": {"phase": "x"}}), get(ONE)),
    _changed("only status differs", _put({**gadget(size=2), "status": {"phase": "x"}})),
    _changed("bare finalizer added", _put(gadget(size=2), finalizers=["hold"])),
    _changed("finalizers added", _put(gadget(size=2), finalizers=["example.com/hold"])),
    _changed("finalizers removed", _put(gadget(size=2)), made=gadget(size=2, meta=HELD)),
    _changed(
        "last finalizer removed while deleting",
        Step("DELETE", ONE, name="d"),
        put(ONE, gadget(size=2, meta={"resourceVersion": "${d:metadata.resourceVersion}"})),
        get(ONE),
        made=gadget(size=2, meta=HELD),
    ),
    _changed(
        "finalizer added while deleting",
        Step("DELETE", ONE, name="d"),
        put(
            ONE,
            gadget(
                size=2, meta={"finalizers": ["example.com/hold", "example.com/new"], "resourceVersion": "${d:metadata.resourceVersion}"}
            ),
        ),
        made=gadget(size=2, meta=HELD),
        allowed={"3.body.details.causes*": TWICE},
    ),
    _changed(
        "spec changed while deleting",
        Step("DELETE", ONE, name="d"),
        put(ONE, gadget(size=3, meta={**HELD, "resourceVersion": "${d:metadata.resourceVersion}"})),
        made=gadget(size=2, meta=HELD),
    ),
    _changed(
        "owner references changed",
        _put(
            gadget(size=2),
            ownerReferences=[
                {
                    "apiVersion": "v1",
                    "kind": "ConfigMap",
                    "name": "o",
                    "uid": "33333333-3333-3333-3333-333333333333",
                    "blockOwnerDeletion": True,
                }
            ],
        ),
    ),
    _changed("dry run", _put(gadget(size=3), query="?dryRun=All"), get(ONE)),
    _changed("dry run without change", _put(gadget(size=2), query="?dryRun=All")),
    _changed("another manager", _put(gadget(size=3), query="?fieldManager=ben"), get(ONE)),
    _changed("another manager without change", _put(gadget(size=2), query="?fieldManager=ben")),
    _changed("managedFields reset", _put(gadget(size=2), managedFields=[{}])),
    _changed("managedFields emptied", _put(gadget(size=3), managedFields=[])),
    _changed(
        "as YAML",
        put(
            ONE,
            "apiVersion: conformance.example.com/v1\nkind: Gadget\n"
            "metadata: {name: one, resourceVersion: '${made:metadata.resourceVersion}'}\nspec: {size: 9}\n",
            headers={"Content-Type": "application/yaml", "Accept": "application/yaml"},
        ),
    ),
    _changed(
        "as a table",
        put(ONE, gadget(size=3, meta={"resourceVersion": VERSION}), headers={"Accept": "application/json;as=Table;g=meta.k8s.io;v=v1"}),
    ),
    _changed("invalid", _put(gadget(size=0))),
    _changed("invalid name and value", put(ONE, gadget("two", size=0))),
    Case(
        "kind without status",
        (
            post(RACKS, {"apiVersion": "conformance.example.com/v1", "kind": "Rack", "metadata": {"name": "{ns}-r"}, "height": 1}, "made"),
            put(
                f"{RACKS}/{{ns}}-r",
                {
                    "apiVersion": "conformance.example.com/v1",
                    "kind": "Rack",
                    "metadata": {"name": "{ns}-r", "resourceVersion": VERSION},
                    "height": 2,
                },
            ),
        ),
    ),
    Case(
        "kind without status or change",
        (
            post(RACKS, {"apiVersion": "conformance.example.com/v1", "kind": "Rack", "metadata": {"name": "{ns}-r"}, "height": 1}, "made"),
            put(
                f"{RACKS}/{{ns}}-r",
                {
                    "apiVersion": "conformance.example.com/v1",
                    "kind": "Rack",
                    "metadata": {"name": "{ns}-r", "resourceVersion": VERSION, "labels": {"a": "b"}},
                    "height": 1,
                },
            ),
        ),
    ),
)

"""Test PATCH: merge patch and JSON patch, formats that custom resources do not accept,
conflicts."""

from __future__ import annotations

from typing import Any

from tests.conformance.case import GADGETS, MERGE, Case, Step, gadget, get, json_patch, merge, post
from tests.conformance.reasons import TWICE

ONE = f"{GADGETS}/one"
MADE = post(
    GADGETS,
    gadget(size=2, args=["a", "b"], settings={"a": "1", "b": "2"}, part={"name": "p", "weight": 1}, meta={"labels": {"a": "b"}}),
    "made",
)


def _merged(name: str, body: Any, **more: Any) -> Case:
    return Case(f"merge {name}", (MADE, merge(ONE, body), get(ONE)), **more)


def _patched(name: str, *operations: Any, **more: Any) -> Case:
    return Case(f"JSON {name}", (MADE, json_patch(ONE, list(operations)), get(ONE)), **more)


def _op(op: str, path: str, **more: Any) -> dict[str, Any]:
    return {"op": op, "path": path, **({"from": more["source"]} if "source" in more else more)}


def _typed(media: str, body: Any = None, **more: Any) -> Case:
    return Case(
        f"content type {media.partition('/')[2] or 'none'}",
        (MADE, Step("PATCH", ONE, body if body is not None else {"spec": {"size": 3}}, {"Content-Type": media})),
        **more,
    )


RFC = "operations are those of RFC 6902: what is replaced has to be there, add has a value, and a path begins with a slash (RFC 6901)"

CASES = (
    _merged("sets", {"spec": {"size": 3}}),
    _merged("removes", {"spec": {"settings": {"a": None}}}),
    _merged("removes a whole", {"spec": {"settings": None, "part": None}}),
    _merged("replaces lists", {"spec": {"args": ["c"]}}),
    _merged("null brings the default", {"spec": {"size": None}}),
    _merged("removes what is not there", {"spec": {"title": None}}),
    _merged("nothing", {}),
    _merged("the same again", {"spec": {"size": 2}}),
    _merged("labels", {"metadata": {"labels": {"a": None, "c": "d"}}}),
    _merged("the last label", {"metadata": {"labels": {"a": None}}}),
    _merged("spec to null", {"spec": None}),
    _merged("spec to text", {"spec": "x"}),
    _merged("metadata to null", {"metadata": None}),
    _merged("the name", {"metadata": {"name": "two"}}),
    _merged("the namespace", {"metadata": {"namespace": "other"}}),
    _merged("the uid", {"metadata": {"uid": "11111111-1111-1111-1111-111111111111"}}, allowed={"2.body.details.causes*": TWICE}),
    _merged("the generation", {"metadata": {"generation": 9}}),
    _merged("the creationTimestamp", {"metadata": {"creationTimestamp": None}}),
    _merged("managedFields away", {"metadata": {"managedFields": []}}),
    _merged("with the version", {"metadata": {"resourceVersion": "${made:metadata.resourceVersion}"}, "spec": {"size": 3}}),
    _merged("with another version", {"metadata": {"resourceVersion": "1"}, "spec": {"size": 3}}, messages=True),
    _merged("with null version", {"metadata": {"resourceVersion": None}, "spec": {"size": 3}}),
    _merged("the kind", {"kind": "Widget"}),
    _merged(
        "the apiVersion",
        {"apiVersion": "conformance.example.com/v2"},
        allowed={"2.warning": "no warnings of fields with a refusal that has another reason"},
    ),
    _merged("the kind away", {"kind": None}),
    _merged("finalizers", {"metadata": {"finalizers": ["example.com/x"]}}),
    _merged("a list", []),
    _merged("text", '"x"'),
    _merged("null", "null"),
    _merged("what is no JSON", "{"),
    _merged("free fields", {"spec": {"free": {"a": {"b": 1, "c": None}}}}),
    Case("merge dry run", (MADE, merge(f"{ONE}?dryRun=All", {"spec": {"size": 3}}), get(ONE))),
    Case("merge by another manager", (MADE, merge(f"{ONE}?fieldManager=ben", {"spec": {"size": 3}}))),
    Case("merge with force", (MADE, merge(f"{ONE}?force=true", {"spec": {"size": 3}}))),
    Case("merge twice", (MADE, merge(ONE, {"spec": {"size": 3}}), merge(ONE, {"spec": {"size": 4}}), get(ONE))),
    _patched("add", _op("add", "/spec/title", value="abc")),
    _patched("add to a list", _op("add", "/spec/args/0", value="z"), _op("add", "/spec/args/-", value="e")),
    _patched("replace", _op("replace", "/spec/size", value=5)),
    _patched("replace what is not there", _op("replace", "/spec/title", value="abc"), allowed={"*": RFC}),
    _patched("remove", _op("remove", "/spec/part")),
    _patched("remove what is not there", _op("remove", "/spec/title")),
    _patched("move", _op("move", "/spec/settings/c", source="/spec/settings/a")),
    _patched("copy", _op("copy", "/spec/settings/c", source="/spec/settings/a")),
    _patched("test that holds", _op("test", "/spec/size", value=2), _op("replace", "/spec/size", value=3)),
    _patched("test that fails", _op("test", "/spec/size", value=9), _op("replace", "/spec/size", value=3)),
    _patched("test of what is not there", _op("test", "/spec/title", value="x")),
    _patched("test for null", _op("test", "/spec/title", value=None)),
    _patched("below what is not there", _op("add", "/spec/template/a", value="x")),
    _patched("index out of range", _op("add", "/spec/args/9", value="x")),
    _patched("escaped key", _op("add", "/metadata/annotations", value={}), _op("add", "/metadata/annotations/example.com~1a", value="x")),
    _patched("unknown operation", _op("invent", "/spec/size", value=1)),
    _patched("without path", {"op": "add", "value": 1}),
    _patched("without value", {"op": "add", "path": "/spec/title"}, allowed={"2.status": RFC}),
    _patched("path without slash", _op("add", "spec/title", value="abc"), allowed={"[23].*": RFC}),
    _patched("of nothing"),
    _patched("the version", _op("replace", "/metadata/resourceVersion", value="1")),
    _patched("the name", _op("replace", "/metadata/name", value="two")),
    _patched("the whole", _op("replace", "", value={})),
    Case("JSON as an object", (MADE, json_patch(ONE, {"op": "add"}))),
    Case("JSON of too many operations", (MADE, json_patch(ONE, [_op("test", "/spec/size", value=2)] * 10001))),
    _typed("application/strategic-merge-patch+json", messages=True),
    _typed("application/json"),
    _typed("application/yaml"),
    _typed("text/plain"),
    _typed(MERGE + "; charset=utf-8"),
    _typed("application/apply-patch+cbor", b"\xa0"),
)

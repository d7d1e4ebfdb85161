"""Test what a schema refuses: types, limits, enumerations, required fields, and unknown and
duplicate fields by fieldValidation."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from tests.conformance.case import GADGETS, MERGE, Case, Step, apply, gadget, json_patch, merge, post, put
from tests.conformance.reasons import CLIENT

if TYPE_CHECKING:
    from collections.abc import Mapping

_ONE = "one cause suffices, of the field's own; kube-apiserver has one for each alternative of the schema"

DOUBLED = '{"apiVersion":"conformance.example.com/v1","kind":"Gadget","metadata":{"name":"one"},"spec":{"size":1,"size":2}}'
YAML = {"Content-Type": "application/yaml"}


def _refused(name: str, *, allowed: Mapping[str, str] | None = None, **spec: Any) -> Case:
    return Case(name, (post(GADGETS, gadget(**spec)),), allowed or {})


def _meta(name: str, **meta: Any) -> Case:
    return Case(name, (post(GADGETS, gadget(meta=meta)),))


UNKNOWN = gadget(unheard=1, part={"name": "a", "unheard": 2})
OWNER = {"apiVersion": "v1", "kind": "ConfigMap", "name": "o", "uid": "1"}

CASES = (
    _refused("integer as text", size="1"),
    _refused("integer with fraction", allowed={"1.body.details.causes*": _ONE}, size=1.5),
    _refused("boolean as text", paused="true"),
    _refused("number as text", ratio="0.5"),
    _refused("text as number", title=12),
    _refused("object as list", part=[]),
    _refused("list as object", args={}),
    _refused("item of a wrong type", args=["a", 1]),
    _refused("map value of a wrong type", settings={"a": 1}),
    _refused("required field missing", part={}),
    _refused("required field missing in items", parts=[{"name": "a"}, {"weight": 1}]),
    _refused("below minimum", size=0),
    _refused("above maximum", size=101),
    _refused("too short", title="x"),
    _refused("too long", title="x" * 9),
    _refused("pattern", code="A1"),
    _refused("too many items", args=["a", "b", "c", "d"]),
    _refused("enumeration", mode="medium"),
    _refused("enumeration of a wrong type", mode=3),
    _refused("date-time", when="yesterday", allowed={"1.body.details.causes*": "one cause suffices: the pattern"}),
    _refused("doubled in a set", tags=["a", "a"]),
    _refused("doubled in a map", ports=[{"port": 80}, {"port": 80, "protocol": "TCP"}]),
    _refused("int-or-string as boolean", allowed={"1.body.details.causes*": _ONE}, limits={"cpu": True}),
    _refused("int-or-string pattern", limits={"cpu": "many"}),
    _refused("several at once", size=0, mode="medium", title="x", part={}),
    _refused("type and limit at once", size="x", title="x"),
    Case("spec as text", (post(GADGETS, {**gadget(), "spec": "x"}),)),
    Case("metadata as text", (post(GADGETS, {**gadget(), "metadata": "x"}),)),
    _meta("label key bad", labels={"a b": "c"}),
    _meta("label value bad", labels={"a": "b c"}),
    _meta("label value too long", labels={"a": "b" * 64}),
    _meta("label of a wrong type", labels={"a": 1}),
    _meta("labels as list", labels=["a"]),
    _meta("annotation key bad", annotations={"a b": "c"}),
    _meta("annotation key with capitals", annotations={"Example.COM/Key": "c"}),
    _meta("annotations too large", annotations={"a": "x" * (256 * 1024)}),
    _meta("annotation of a wrong type", annotations={"a": True}),
    _meta("finalizer bad", finalizers=["a b"]),
    _meta("finalizer without a slash", finalizers=["hold"]),
    _meta("finalizers orphan and foreground", finalizers=["orphan", "foregroundDeletion"]),
    _meta("owner without uid", ownerReferences=[{k: v for k, v in OWNER.items() if k != "uid"}]),
    _meta("owner without name", ownerReferences=[{**OWNER, "name": ""}]),
    _meta("two controllers", ownerReferences=[{**OWNER, "controller": True}, {**OWNER, "name": "p", "uid": "2", "controller": True}]),
    _meta("owner is an event", ownerReferences=[{**OWNER, "kind": "Event"}]),
    _meta("owner version bad", ownerReferences=[{**OWNER, "apiVersion": "a/b/c"}]),
    _meta("owner doubled", ownerReferences=[OWNER, OWNER]),
    _meta("unknown metadata field", unheard="x"),
    _meta("creationTimestamp malformed", creationTimestamp="yesterday"),
    _meta("generation malformed", generation="x"),
    Case("unknown fields by default", (post(GADGETS, UNKNOWN),)),
    Case("unknown fields warned of", (post(f"{GADGETS}?fieldValidation=Warn", UNKNOWN),)),
    Case("unknown fields ignored", (post(f"{GADGETS}?fieldValidation=Ignore", UNKNOWN),)),
    Case("unknown fields refused", (post(f"{GADGETS}?fieldValidation=Strict", UNKNOWN),), messages=True),
    Case("unknown field at the root", (post(f"{GADGETS}?fieldValidation=Strict", {**gadget(), "unheard": 1}),), messages=True),
    Case("unknown metadata refused", (post(f"{GADGETS}?fieldValidation=Strict", gadget(meta={"unheard": "x"})),), messages=True),
    Case("unknown in items refused", (post(f"{GADGETS}?fieldValidation=Strict", gadget(parts=[{"name": "a", "b": 1}])),), messages=True),
    Case("free fields are known", (post(f"{GADGETS}?fieldValidation=Strict", gadget(free={"a": {"b": 1}})),)),
    Case("doubled field warned of", (post(GADGETS, DOUBLED),)),
    Case("doubled field refused", (post(f"{GADGETS}?fieldValidation=Strict", DOUBLED),), messages=True),
    Case("doubled field ignored", (post(f"{GADGETS}?fieldValidation=Ignore", DOUBLED),)),
    Case(
        "doubled field in YAML",
        (
            post(
                f"{GADGETS}?fieldValidation=Strict",
                "apiVersion: conformance.example.com/v1\nkind: Gadget\nmetadata:\n  name: one\nspec:\n  size: 1\n  size: 2\n",
                headers=YAML,
            ),
        ),
    ),
    Case("unknown sort of validation", (post(f"{GADGETS}?fieldValidation=Loud", gadget()),), messages=True),
    Case(
        "unknown by PUT",
        (
            post(GADGETS, gadget(), "made"),
            put(
                f"{GADGETS}/one?fieldValidation=Strict",
                {**UNKNOWN, "metadata": {"name": "one", "resourceVersion": "${made:metadata.resourceVersion}"}},
            ),
        ),
    ),
    Case("unknown by merge patch", (post(GADGETS, gadget()), merge(f"{GADGETS}/one", {"spec": {"unheard": 1}}))),
    Case(
        "unknown by strict merge patch",
        (post(GADGETS, gadget()), merge(f"{GADGETS}/one?fieldValidation=Strict", {"spec": {"unheard": 1}})),
    ),
    Case(
        "doubled by strict merge patch",
        (
            post(GADGETS, gadget()),
            Step("PATCH", f"{GADGETS}/one?fieldValidation=Strict", '{"spec":{"size":1,"size":2}}', {"Content-Type": MERGE}),
        ),
    ),
    Case(
        "unknown by strict JSON patch",
        (
            post(GADGETS, gadget()),
            json_patch(f"{GADGETS}/one?fieldValidation=Strict", [{"op": "add", "path": "/spec/unheard", "value": 1}]),
        ),
    ),
    Case("unknown by apply", (apply(f"{GADGETS}/one", UNKNOWN),), allowed={"1.status": CLIENT}),
    Case("unknown by strict apply", (apply(f"{GADGETS}/one", UNKNOWN, more="&fieldValidation=Strict"),), allowed={"1.status": CLIENT}),
    Case("patch to a wrong type", (post(GADGETS, gadget()), merge(f"{GADGETS}/one", {"spec": {"size": "x"}}))),
    Case("patch to an invalid value", (post(GADGETS, gadget()), merge(f"{GADGETS}/one", {"spec": {"size": 1000}}))),
)

"""Test DELETE: finalizers, propagation, preconditions, options in body and query, collections."""

from __future__ import annotations

from typing import Any

from tests.conformance.case import GADGETS, Case, Step, delete, gadget, get, merge, post

ONE = f"{GADGETS}/one"
MADE = post(GADGETS, gadget(), "made")
HELD = post(GADGETS, gadget(meta={"finalizers": ["example.com/hold"]}), "made")
TABLE = {"Accept": "application/json;as=Table;g=meta.k8s.io;v=v1"}
PARTIAL = {"Accept": "application/json;as=PartialObjectMetadataList;g=meta.k8s.io;v=v1"}


def _options(**more: Any) -> dict[str, Any]:
    return {"kind": "DeleteOptions", "apiVersion": "v1", **more}


def _several(*names: str) -> tuple[Step, ...]:
    return tuple(post(GADGETS, gadget(name, meta={"labels": {"n": name}}), quiet=True) for name in names)


CASES = (
    Case("plain", (MADE, delete(ONE), get(ONE))),
    Case("twice", (MADE, delete(ONE), delete(ONE))),
    Case("held", (HELD, delete(ONE), get(ONE))),
    Case("held twice", (HELD, delete(ONE), delete(ONE))),
    Case("held and released", (HELD, delete(ONE), merge(ONE, {"metadata": {"finalizers": None}}), get(ONE))),
    Case(
        "held by two and released by one",
        (
            post(GADGETS, gadget(meta={"finalizers": ["example.com/a", "example.com/b"]})),
            delete(ONE),
            merge(ONE, {"metadata": {"finalizers": ["example.com/b"]}}),
        ),
    ),
    Case("held and named again", (HELD, delete(ONE), post(GADGETS, gadget()))),
    Case("foreground", (MADE, delete(ONE, _options(propagationPolicy="Foreground")), get(ONE))),
    Case(
        "foreground and released",
        (MADE, delete(ONE, _options(propagationPolicy="Foreground")), merge(ONE, {"metadata": {"finalizers": None}}), get(ONE)),
    ),
    Case("background", (MADE, delete(ONE, _options(propagationPolicy="Background")))),
    Case("background held", (HELD, delete(ONE, _options(propagationPolicy="Background")))),
    Case("orphan", (MADE, delete(ONE, _options(propagationPolicy="Orphan")))),
    Case("orphan held", (HELD, delete(ONE, _options(propagationPolicy="Orphan")))),
    Case(
        "foreground then background",
        (MADE, delete(ONE, _options(propagationPolicy="Foreground")), delete(ONE, _options(propagationPolicy="Background"))),
    ),
    Case(
        "foreground then orphan",
        (MADE, delete(ONE, _options(propagationPolicy="Foreground")), delete(ONE, _options(propagationPolicy="Orphan"))),
    ),
    Case("foreground then plain", (MADE, delete(ONE, _options(propagationPolicy="Foreground")), delete(ONE))),
    Case("with a finalizer to orphan", (post(GADGETS, gadget(meta={"finalizers": ["orphan"]})), delete(ONE))),
    Case(
        "with a finalizer for the foreground",
        (post(GADGETS, gadget(meta={"finalizers": ["foregroundDeletion"]})), delete(ONE, _options(propagationPolicy="Background"))),
    ),
    Case("unknown policy", (MADE, delete(ONE, _options(propagationPolicy="Sideways")))),
    Case("orphanDependents", (MADE, delete(ONE, _options(orphanDependents=True)))),
    Case("orphanDependents false", (HELD, delete(ONE, _options(orphanDependents=False)))),
    Case("both policies", (MADE, delete(ONE, _options(orphanDependents=True, propagationPolicy="Orphan")))),
    Case("policy in the query", (MADE, delete(f"{ONE}?propagationPolicy=Foreground"))),
    Case("orphanDependents in the query", (MADE, delete(f"{ONE}?orphanDependents=true"))),
    Case("grace in the query", (MADE, delete(f"{ONE}?gracePeriodSeconds=30"))),
    Case("grace held", (HELD, delete(f"{ONE}?gracePeriodSeconds=30"))),
    Case("grace that is no number", (MADE, delete(f"{ONE}?gracePeriodSeconds=x"))),
    Case("grace negative", (HELD, delete(ONE, _options(gracePeriodSeconds=-5)))),
    Case("the uid", (MADE, delete(ONE, _options(preconditions={"uid": "${made:metadata.uid}"})))),
    Case("another uid", (MADE, delete(ONE, _options(preconditions={"uid": "x"})))),
    Case("the version", (MADE, delete(ONE, _options(preconditions={"resourceVersion": "${made:metadata.resourceVersion}"})))),
    Case("another version", (MADE, delete(ONE, _options(preconditions={"resourceVersion": "1"})))),
    Case("dry run", (MADE, delete(ONE, _options(dryRun=["All"])), get(ONE))),
    Case("dry run in the query", (MADE, delete(f"{ONE}?dryRun=All"), get(ONE))),
    Case("dry run held", (HELD, delete(f"{ONE}?dryRun=All"), get(ONE))),
    Case("dry run of another sort", (MADE, delete(ONE, _options(dryRun=["Some"])))),
    Case("dry run as text", (MADE, delete(ONE, _options(dryRun="All")))),
    Case("body empty object", (MADE, delete(ONE, {}))),
    Case("body of another kind", (MADE, delete(ONE, gadget()))),
    Case("body in our group", (MADE, delete(ONE, {"kind": "DeleteOptions", "apiVersion": "conformance.example.com/v1"}))),
    Case("body that is no JSON", (MADE, delete(ONE, "{"))),
    Case("body that is a list", (MADE, delete(ONE, []))),
    Case("body of a wrong type", (MADE, delete(ONE, _options(preconditions=3)))),
    Case(
        "body as YAML",
        (
            MADE,
            delete(
                ONE, "kind: DeleteOptions\napiVersion: v1\npropagationPolicy: Foreground\n", headers={"Content-Type": "application/yaml"}
            ),
        ),
    ),
    Case("body as text", (MADE, delete(ONE, "x", headers={"Content-Type": "text/plain"}))),
    Case("body and query", (MADE, delete(f"{ONE}?propagationPolicy=Orphan", _options(propagationPolicy="Foreground")))),
    Case("unknown option", (MADE, delete(ONE, _options(unheard=1)))),
    Case("generation rises", (HELD, merge(ONE, {"spec": {"size": 3}}), delete(ONE))),
    Case("as a table", (MADE, delete(ONE, headers=TABLE))),
    Case("held as a table", (HELD, delete(ONE, headers=TABLE))),
    Case("collection", (*_several("a", "b"), delete(GADGETS), get(GADGETS))),
    Case("collection of nothing", (delete(GADGETS),)),
    Case("collection by label", (*_several("a", "b", "c"), delete(f"{GADGETS}?labelSelector=n!=b"), get(GADGETS))),
    Case("collection by field", (*_several("a", "b"), delete(f"{GADGETS}?fieldSelector=metadata.name=a"), get(GADGETS))),
    Case("collection with a limit", (*_several("a", "b", "c"), delete(f"{GADGETS}?limit=2"), get(GADGETS))),
    Case("collection held", (*_several("a"), HELD, delete(GADGETS), get(GADGETS))),
    Case("collection dry run", (*_several("a"), delete(f"{GADGETS}?dryRun=All"), get(GADGETS))),
    Case("collection with options", (*_several("a"), delete(GADGETS, _options(propagationPolicy="Foreground")), get(GADGETS))),
    Case("collection with a bad selector", (delete(f"{GADGETS}?labelSelector=a=b=c"),)),
    Case("collection with an unknown field", (delete(f"{GADGETS}?fieldSelector=spec.unheard=1"),)),
    Case("collection as a table", (*_several("a"), delete(GADGETS, headers=TABLE))),
    Case("collection as metadata", (*_several("a"), delete(GADGETS, headers=PARTIAL))),
    Case("collection with uid", (*_several("a"), delete(GADGETS, _options(preconditions={"uid": "x"})))),
)

"""Test the status subresource: it writes nothing else, and nothing else writes it."""

from __future__ import annotations

from tests.conformance.case import GADGETS, Case, Step, apply, delete, gadget, get, json_patch, merge, post, put, status_of

ONE = f"{GADGETS}/one"
STATUS = f"{ONE}/status"
MADE = post(GADGETS, gadget(size=2), "made")
VERSION = {"resourceVersion": "${made:metadata.resourceVersion}"}
READY = {"type": "Ready", "status": "True", "reason": "Done", "message": "", "lastTransitionTime": "2020-01-01T00:00:00Z"}


def _put(name: str = "", *, size: int = 2, meta: dict[str, object] | None = None, **status: object) -> Step:
    return put(STATUS, {**gadget(size=size, meta={**VERSION, **(meta or {})}), "status": status}, name)


CASES = (
    Case("read", (MADE, get(STATUS))),
    Case("put", (MADE, _put(phase="Up", count=1), get(ONE))),
    Case("put ignores spec", (MADE, _put(size=9, phase="Up"))),
    Case("put ignores labels", (MADE, _put(meta={"labels": {"a": "b"}, "annotations": {"a": "b"}}, phase="Up"))),
    Case("put ignores finalizers", (MADE, _put(meta={"finalizers": ["example.com/x"]}, phase="Up"))),
    Case("put without change", (MADE, _put("first", phase="Up"), merge(STATUS, {"status": {"phase": "Up"}}))),
    Case(
        "put without status",
        (MADE, _put("first", phase="Up"), put(STATUS, gadget(size=2, meta={"resourceVersion": "${first:metadata.resourceVersion}"}))),
    ),
    Case("put empty status", (MADE, _put())),
    Case("put without version", (MADE, put(STATUS, status_of("one", phase="Up")))),
    Case("put old version", (MADE, _put(phase="Up"), _put(phase="Down"))),
    Case("put invalid", (MADE, _put(phase=3, conditions=[{"type": "Ready"}]))),
    Case("put doubled condition", (MADE, _put(conditions=[READY, READY]))),
    Case("put with invalid spec", (MADE, _put(size=0, phase="Up"))),
    Case("put another name", (MADE, put(STATUS, status_of("two", phase="Up")))),
    Case("put dry run", (MADE, put(f"{STATUS}?dryRun=All", {**gadget(meta=VERSION), "status": {"phase": "Up"}}), get(ONE))),
    Case("merge patch", (MADE, merge(STATUS, {"status": {"phase": "Up"}}), get(ONE))),
    Case("merge patch of spec", (MADE, merge(STATUS, {"spec": {"size": 9}}))),
    Case("merge patch of labels", (MADE, merge(STATUS, {"metadata": {"labels": {"a": "b"}}}))),
    Case("merge patch to nothing", (MADE, merge(STATUS, {"status": {"phase": "Up"}}), merge(STATUS, {"status": None}))),
    Case("merge patch of status on the object", (MADE, merge(ONE, {"status": {"phase": "Up"}}))),
    Case("merge patch of both on the object", (MADE, merge(ONE, {"spec": {"size": 3}, "status": {"phase": "Up"}}))),
    Case("JSON patch", (MADE, json_patch(STATUS, [{"op": "add", "path": "/status", "value": {"phase": "Up"}}]))),
    Case("JSON patch of what is missing", (MADE, json_patch(STATUS, [{"op": "replace", "path": "/status/phase", "value": "Up"}]))),
    Case("apply", (MADE, apply(STATUS, status_of("one", conditions=[READY])), get(ONE))),
    Case(
        "apply by two managers",
        (
            MADE,
            apply(STATUS, status_of("one", conditions=[READY])),
            apply(STATUS, status_of("one", conditions=[{**READY, "type": "Synced"}]), manager="ben"),
        ),
    ),
    Case(
        "apply with conflict",
        (MADE, apply(STATUS, status_of("one", phase="Up")), apply(STATUS, status_of("one", phase="Down"), manager="ben")),
    ),
    Case("apply to a missing object", (apply(STATUS, status_of("one", phase="Up")),)),
    Case("apply of status on the object", (apply(ONE, {**gadget(size=3), "status": {"phase": "Up"}}),)),
    Case("survives the object's update", (MADE, _put("first", phase="Up"), merge(ONE, {"spec": {"size": 3}}), get(ONE))),
    Case(
        "while deleting",
        (
            post(GADGETS, gadget(meta={"finalizers": ["example.com/x"]}), "made"),
            delete(ONE, name="d"),
            merge(STATUS, {"status": {"phase": "Leaving"}}),
        ),
    ),
    Case("as a table", (MADE, get(STATUS, headers={"Accept": "application/json;as=Table;g=meta.k8s.io;v=v1"}))),
)

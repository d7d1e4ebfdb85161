"""Test rare requests that every client may send: nulls instead of texts, empty and wrong
parameters, invalid Unicode."""

from __future__ import annotations

from dataclasses import replace

from tests.conformance.case import APPLY, GADGETS, JSON_PATCH, MERGE, Case, Step, apply, delete, gadget, get, json_patch, merge, post, put
from tests.conformance.reasons import CLIENT, TWICE

ONE = f"{GADGETS}/one"
SURROGATE = '{"apiVersion":"conformance.example.com/v1","kind":"Gadget","metadata":{"name":"one","annotations":{"a":"x%sy"}}}'
RAW = {"Content-Type": "application/json"}
UNKNOWN = {**gadget(size=3), "extra": 1}
DOUBLED = '{"apiVersion":"conformance.example.com/v1","kind":"Gadget","metadata":{"name":"one"},"spec":{"size":%s,"size":%s}}'
ENTRY = {
    "manager": "x",
    "operation": "Update",
    "apiVersion": "conformance.example.com/v1",
    "fieldsType": "FieldsV1",
    "fieldsV1": {"f:spec": {}},
}


def _made(*steps: Step) -> tuple[Step, ...]:
    return (post(GADGETS, gadget(size=3, meta={"labels": {"a": "b", "c": "d"}, "annotations": {"e": "f"}}), "made"), *steps)


def _kept(step: Step) -> tuple[Step, ...]:
    return _made(step, get(ONE))


def _json(method: str, path: str, text: str, media: str = "application/json", name: str = "") -> Step:
    return Step(method, path, text, {"Content-Type": media}, name)


VERSION = "${made:metadata.resourceVersion}"
IN_LIST = SURROGATE.replace('"metadata"', '"spec":{"args":["\\ud800"]},"metadata"') % ""
WITH_VERSION = SURROGATE.replace('"name":"one"', f'"name":"one","resourceVersion":"{VERSION}"') % "\\ud800"

NULLS = (
    Case("null label posted", (post(GADGETS, gadget(meta={"labels": {"a": None, "b": "c"}})), get(ONE))),
    Case("null annotation posted", (post(GADGETS, gadget(meta={"annotations": {"a": None}})), get(ONE))),
    Case(
        "null labels posted",
        (post(GADGETS, gadget(meta={"labels": None, "annotations": None, "finalizers": None, "ownerReferences": None})), get(ONE)),
    ),
    Case("null finalizer posted", (post(GADGETS, gadget(meta={"finalizers": [None]})), get(ONE))),
    Case("null owner posted", (post(GADGETS, gadget(meta={"ownerReferences": [None]})), get(ONE))),
    Case("null label put", _kept(put(ONE, gadget(meta={"labels": {"a": None}, "resourceVersion": VERSION})))),
    Case("null annotation put", _kept(put(ONE, gadget(meta={"annotations": {"a": None}, "resourceVersion": VERSION})))),
    Case("null label by JSON patch", _kept(json_patch(ONE, [{"op": "add", "path": "/metadata/labels/x", "value": None}]))),
    Case("null annotation by JSON patch", _kept(json_patch(ONE, [{"op": "add", "path": "/metadata/annotations/x", "value": None}]))),
    Case("null label applied", (apply(ONE, gadget(meta={"labels": {"a": None}})), get(ONE))),
    Case("null annotation applied", (apply(ONE, gadget(meta={"annotations": {"a": None}})), get(ONE))),
    Case("null name posted", (post(GADGETS, gadget("", meta={"name": None})),)),
    Case("null setting posted", (post(GADGETS, gadget(settings={"a": None})), get(ONE))),
    Case("null argument posted", (post(GADGETS, gadget(args=[None])), get(ONE))),
    Case("null metadata posted", (post(GADGETS, {**gadget(), "metadata": None}),)),
    Case("null spec posted", (post(GADGETS, {**gadget(), "spec": None}), get(ONE))),
    Case("null deleted with", _kept(delete(ONE, "null", headers=RAW))),
    Case("null collection deleted with", _made(delete(GADGETS, "null", headers=RAW), get(GADGETS))),
    Case("null as YAML deleted with", _kept(delete(ONE, "null", headers={"Content-Type": "application/yaml"}))),
    Case("list deleted with", _kept(delete(ONE, "[]", headers=RAW))),
    Case("text deleted with", _kept(delete(ONE, '"x"', headers=RAW))),
    Case("number deleted with", _kept(delete(ONE, "1", headers=RAW))),
    Case("white space deleted with", _kept(delete(ONE, " ", headers=RAW))),
    Case("empty object deleted with", _kept(delete(ONE, "{}", headers=RAW))),
    Case(
        "nulls deleted with",
        _kept(
            delete(
                ONE,
                '{"preconditions":null,"propagationPolicy":null,"gracePeriodSeconds":null,"dryRun":null}',
                headers=RAW,
            )
        ),
    ),
    Case("null merged", _kept(_json("PATCH", ONE, "null", MERGE))),
    Case("list merged", _kept(_json("PATCH", ONE, "[]", MERGE))),
    Case("text merged", _kept(_json("PATCH", ONE, '"x"', MERGE))),
    Case("number merged", _kept(_json("PATCH", ONE, "1", MERGE))),
    Case("nothing merged", _kept(_json("PATCH", ONE, "", MERGE))),
    Case("null as JSON patch", _kept(_json("PATCH", ONE, "null", JSON_PATCH))),
    Case("object as JSON patch", _kept(_json("PATCH", ONE, "{}", JSON_PATCH))),
    Case("null operation", _kept(_json("PATCH", ONE, "[null]", JSON_PATCH))),
    Case("null posted", (_json("POST", GADGETS, "null"),)),
    Case("null put", _made(_json("PUT", ONE, "null"))),
    Case("null applied", (_json("PATCH", f"{ONE}?fieldManager=anna", "null", APPLY),)),
    Case("null status merged", _made(merge(f"{ONE}/status", {"status": None}), get(ONE))),
    Case("metadata merged away", _kept(merge(ONE, {"metadata": None}))),
    Case("spec merged away", _kept(merge(ONE, {"spec": None}))),
)
TEXTS = (
    *(
        Case(f"surrogate {name}", (_json("POST", GADGETS, SURROGATE % text), get(ONE)))
        for name, text in (
            ("high", "\\ud800"),
            ("low", "\\udc00"),
            ("turned round", "\\udc00\\ud800"),
            ("pair", "\\ud83d\\ude00"),
            ("twice", "\\ud800\\ud800"),
            ("before an escape", "\\ud800\\n"),
            ("escaped", "\\\\ud800"),
            ("before a pair", "\\ud800\\ud83d\\ude00"),
        )
    ),
    Case("surrogate in a key", (_json("POST", GADGETS, SURROGATE.replace('"a":', '"a\\ud800":') % ""),)),
    Case("surrogate as YAML", (_json("POST", GADGETS, SURROGATE % "\\ud800", "application/yaml"), get(ONE))),
    Case("surrogate merged", _kept(_json("PATCH", ONE, '{"metadata":{"annotations":{"a":"\\ud800"}}}', MERGE))),
    Case(
        "surrogate by JSON patch",
        _kept(_json("PATCH", ONE, '[{"op":"add","path":"/metadata/annotations/a","value":"\\ud800"}]', JSON_PATCH)),
    ),
    Case("surrogate applied", (_json("PATCH", f"{ONE}?fieldManager=anna", SURROGATE % "\\ud800", APPLY), get(ONE))),
    Case(
        "surrogate in a JSON list applied",
        (
            _json("PATCH", f"{ONE}?fieldManager=anna", IN_LIST, APPLY),
            get(ONE),
        ),
    ),
    Case(
        "surrogate put",
        _kept(_json("PUT", ONE, WITH_VERSION)),
    ),
    Case("byte that is no UTF-8", (Step("POST", GADGETS, (SURROGATE % "?").encode().replace(b"?", b"\xff"), RAW), get(ONE))),
    Case("surrogate in UTF-8", (Step("POST", GADGETS, (SURROGATE % "?").encode().replace(b"?", b"\xed\xa0\x80"), RAW), get(ONE))),
    Case("cut UTF-8", (Step("POST", GADGETS, (SURROGATE % "?").encode().replace(b"?", b"\xe2\x82"), RAW), get(ONE))),
    Case("byte that is no UTF-8 merged", _kept(Step("PATCH", ONE, b'{"metadata":{"annotations":{"a":"\xff"}}}', {"Content-Type": MERGE}))),
    Case("NUL", (_json("POST", GADGETS, SURROGATE % "\\u0000"), get(ONE))),
    Case("control character unescaped", (_json("POST", GADGETS, SURROGATE % "\t"),)),
)
EMPTY = (
    *(
        Case(f"empty {name} listed", _made(get(f"{GADGETS}?{name}=")))
        for name in (
            "limit",
            "timeoutSeconds",
            "continue",
            "resourceVersion",
            "resourceVersionMatch",
            "labelSelector",
            "fieldSelector",
            "allowWatchBookmarks",
            "sendInitialEvents",
            "pretty",
        )
    ),
    *(Case(f"bare {name} listed", _made(get(f"{GADGETS}?{name}"))) for name in ("limit", "sendInitialEvents")),
    *(
        Case(f"empty {name} posted", (post(f"{GADGETS}?{name}=", gadget()), get(ONE)))
        for name in ("dryRun", "fieldManager", "fieldValidation", "pretty")
    ),
    *(
        Case(f"empty {name} put", _made(put(f"{ONE}?{name}=", gadget(size=4, meta={"resourceVersion": VERSION})), get(ONE)))
        for name in ("dryRun", "fieldManager", "fieldValidation")
    ),
    *(
        Case(f"empty {name} merged", _made(merge(f"{ONE}?{name}=", {"spec": {"size": 4}}), get(ONE)))
        for name in ("dryRun", "fieldManager", "fieldValidation", "force")
    ),
    *(
        Case(
            f"empty {name} applied", (Step("PATCH", f"{ONE}?fieldManager=anna&{name}=", gadget(size=4), {"Content-Type": APPLY}), get(ONE))
        )
        for name in ("dryRun", "force", "fieldValidation")
    ),
    *(
        Case(f"empty {name} deleted", _made(delete(f"{ONE}?{name}="), get(ONE)))
        for name in (
            "dryRun",
            "gracePeriodSeconds",
            "propagationPolicy",
            "orphanDependents",
            "ignoreStoreReadErrorWithClusterBreakingPotential",
        )
    ),
    *(
        Case(f"empty {name} collection deleted", _made(delete(f"{GADGETS}?{name}="), get(GADGETS)))
        for name in ("dryRun", "gracePeriodSeconds", "propagationPolicy", "orphanDependents", "limit")
    ),
    *(Case(f"{name} twice", _made(get(f"{GADGETS}?{name}=1&{name}=2"))) for name in ("limit",)),
    *(
        Case(f"dry run {number}", (post(f"{GADGETS}?{query}", gadget()),))
        for number, query in enumerate(
            ("dryRun=All&dryRun=All", "dryRun=All&dryRun=", "dryRun=&dryRun=All", "dryRun=none", "dryRun=All&dryRun=None")
        )
    ),
)
NUMBERS = (
    *(
        Case(f"grace period {value}", _made(delete(f"{ONE}?gracePeriodSeconds={value}"), get(ONE)))
        for value in ("soon", "1.5", "-1", "+3", "1e3", "99999999999999999999", "0x10", "1s", "0", "30")
    ),
    *(
        Case(f"grace period in the body {number}", _made(delete(ONE, f'{{"gracePeriodSeconds":{value}}}', headers=RAW), get(ONE)))
        for number, value in enumerate(('"soon"', "1.5", "-1", '"5"', "true", "99999999999999999999", "[]", "{}", "1e2", "2.0"))
    ),
    *(
        Case(f"limit {value}", _made(get(f"{GADGETS}?limit={value}")))
        for value in ("x", "1.5", "-1", "+1", "99999999999999999999", "1e1", "0x1", "0")
    ),
    *(
        Case(f"timeout {value}", _made(get(f"{GADGETS}?timeoutSeconds={value}")))
        for value in ("x", "1.5", "-1", "+1", "99999999999999999999")
    ),
    *(
        Case(f"version {number}", _made(get(f"{GADGETS}?resourceVersion={value}")))
        for number, value in enumerate(("x", "-1", "1.0", "+1", "00", "0x1"))
    ),
    *(
        Case(f"options of a wrong type {number}", _made(delete(ONE, body, headers=RAW), get(ONE)))
        for number, body in enumerate(
            (
                '{"propagationPolicy":1}',
                '{"propagationPolicy":""}',
                '{"propagationPolicy":"Later"}',
                '{"orphanDependents":"true"}',
                '{"orphanDependents":1}',
                '{"preconditions":[]}',
                '{"preconditions":{"uid":1}}',
                '{"preconditions":{"uid":""}}',
                '{"preconditions":{"resourceVersion":1}}',
                '{"dryRun":"All"}',
                '{"dryRun":[]}',
                '{"dryRun":[1]}',
                '{"dryRun":["None"]}',
                '{"dryRun":["All","All"]}',
                '{"dryRun":[null]}',
                '{"dryRun":[""]}',
                '{"kind":1}',
                '{"kind":"Pod"}',
                '{"apiVersion":"v2","kind":"DeleteOptions"}',
                '{"apiVersion":"v1","kind":"DeleteOptions"}',
                '{"extra":1}',
                '{"propagationPolicy":"Orphan","orphanDependents":true}',
            )
        )
    ),
)
PAGES = (
    *(
        Case(
            f"continue {number}",
            _made(
                post(GADGETS, gadget("two")),
                get(f"{GADGETS}?limit=1", "first"),
                get(f"{GADGETS}?limit=1&continue=${{first:metadata.continue}}{more}"),
            ),
        )
        for number, more in enumerate(
            (
                "&resourceVersion=",
                "&resourceVersion=0",
                "&resourceVersion=${first:metadata.resourceVersion}",
                "&resourceVersion=1",
                "&resourceVersion=x",
                "&resourceVersionMatch=Exact",
                "&resourceVersion=5&resourceVersionMatch=NotOlderThan",
            )
        )
    ),
    *(
        Case(f"continue malformed {number}", _made(get(f"{GADGETS}?limit=1&continue={token}")))
        for number, token in enumerate(("x", "e30", "bnVsbA", "%20", "x&resourceVersion=5"))
    ),
    Case("continue watched", _made(get(f"{GADGETS}?watch=1&continue=x&timeoutSeconds=1"))),
    Case(
        "continue deleted with a version",
        _made(
            post(GADGETS, gadget("two")),
            get(f"{GADGETS}?limit=1", "first"),
            delete(f"{GADGETS}?continue=${{first:metadata.continue}}&resourceVersion=5"),
        ),
    ),
)
WARNED = (
    Case("unknown field and another error posted", (post(GADGETS, {**UNKNOWN, "spec": {"size": 1000, "odd": 1}}),)),
    Case("unknown field and a bad label posted", (post(GADGETS, {**UNKNOWN, "metadata": {"name": "one", "labels": {"a": "-"}}}),)),
    Case("unknown field and no name posted", (post(GADGETS, {**UNKNOWN, "metadata": {}}),)),
    Case("unknown field and a name that is taken", _made(post(GADGETS, UNKNOWN))),
    Case("unknown field and another kind posted", (post(GADGETS, {**UNKNOWN, "kind": "Widget"}),)),
    Case("unknown field and another namespace posted", (post(GADGETS, {**UNKNOWN, "metadata": {"name": "one", "namespace": "other"}}),)),
    Case("unknown field and labels of a wrong type posted", (post(GADGETS, {**UNKNOWN, "metadata": {"name": "one", "labels": 1}}),)),
    Case("doubled field and another error posted", (_json("POST", GADGETS, DOUBLED % (1, 1000)),)),
    Case("doubled field and a name that is taken", _made(_json("POST", GADGETS, DOUBLED % (1, 2)))),
    Case("unknown field put in conflict", _made(put(ONE, {**UNKNOWN, "metadata": {"name": "one", "resourceVersion": "1"}}))),
    Case("unknown field put without version", _made(put(ONE, UNKNOWN))),
    Case("unknown field put of a missing object", (put(ONE, {**UNKNOWN, "metadata": {"name": "one", "resourceVersion": "1"}}),)),
    Case("unknown field and another name put", _made(put(ONE, {**UNKNOWN, "metadata": {"name": "two", "resourceVersion": VERSION}}))),
    Case(
        "unknown field and another error put",
        _made(put(ONE, {**UNKNOWN, "spec": {"size": 1000}, "metadata": {"name": "one", "resourceVersion": VERSION}})),
    ),
    Case(
        "doubled field put in conflict",
        _made(_json("PUT", ONE, (DOUBLED % (1, 2)).replace('"name":"one"', '"name":"one","resourceVersion":"1"'))),
    ),
    Case("unknown field and another error merged", _made(merge(ONE, {"spec": {"size": 1000, "odd": 1}}))),
    Case("unknown field merged in conflict", _made(merge(ONE, {"spec": {"odd": 1}, "metadata": {"resourceVersion": "1"}}))),
    Case("unknown field merged to a missing object", (merge(ONE, {"spec": {"odd": 1}}),)),
    Case("unknown field and another name merged", _made(merge(ONE, {"spec": {"odd": 1}, "metadata": {"name": "two"}}))),
    Case("doubled field and another error merged", _made(_json("PATCH", ONE, '{"spec":{"size":1,"size":1000}}', MERGE))),
    Case(
        "unknown field and another error by JSON patch",
        _made(json_patch(ONE, [{"op": "add", "path": "/spec/odd", "value": 1}, {"op": "add", "path": "/spec/size", "value": 1000}])),
    ),
    Case("unknown field and another error applied", (apply(ONE, {**gadget(size=1000), "extra": 1}),)),
    Case("unknown field applied in conflict", (apply(ONE, gadget(size=3)), apply(ONE, {**gadget(size=4), "extra": 1}, manager="ben"))),
    Case("finalizer to warn of and another error posted", (post(GADGETS, gadget(size=1000, meta={"finalizers": ["plain"]})),)),
    Case("finalizer to warn of and a name that is taken", _made(post(GADGETS, gadget(meta={"finalizers": ["plain"]})))),
    Case("finalizer to warn of put in conflict", _made(put(ONE, gadget(meta={"finalizers": ["plain"], "resourceVersion": "1"})))),
    Case(
        "finalizer to warn of and another error merged", _made(merge(ONE, {"spec": {"size": 1000}, "metadata": {"finalizers": ["plain"]}}))
    ),
)
MANAGED: tuple[object, ...] = (
    "x",
    1,
    {},
    [1],
    ["x"],
    [None],
    None,
    [[]],
    [{**ENTRY, "manager": 1}],
    [{**ENTRY, "operation": "Get"}],
    [{**ENTRY, "operation": 1}],
    [{**ENTRY, "time": "now"}],
    [{**ENTRY, "time": 1}],
    [{**ENTRY, "fieldsV1": "x"}],
    [{**ENTRY, "fieldsV1": []}],
    [{**ENTRY, "fieldsV1": {"x": {}}}],
    [{**ENTRY, "fieldsV1": {"f:a": 1}}],
    [{**ENTRY, "fieldsV1": None}],
    [{**ENTRY, "fieldsType": "V2"}],
    [{**ENTRY, "fieldsType": None}],
    [{**ENTRY, "subresource": 1}],
    [{**ENTRY, "apiVersion": "x"}],
    [{**ENTRY, "apiVersion": None}],
    [{**ENTRY, "more": 1}],
    [ENTRY, {}],
    [{}, {}],
)
FIELDS = (
    *(
        Case(f"managedFields {number} posted", (post(GADGETS, gadget(size=3, meta={"managedFields": value})),))
        for number, value in enumerate(MANAGED)
    ),
    *(
        Case(f"managedFields {number} put", _made(put(ONE, gadget(size=4, meta={"managedFields": value, "resourceVersion": VERSION}))))
        for number, value in enumerate(MANAGED)
    ),
    *(
        Case(f"managedFields {number} merged", _made(merge(ONE, {"metadata": {"managedFields": value}})))
        for number, value in enumerate(MANAGED)
    ),
    *(
        Case(f"managedFields {number} applied", (apply(ONE, gadget(size=3, meta={"managedFields": value})),))
        for number, value in enumerate(MANAGED)
    ),
    *(
        Case(f"managedFields {number} in the status", _made(merge(f"{ONE}/status", {"metadata": {"managedFields": value}})))
        for number, value in enumerate(MANAGED[:8])
    ),
)
WRONG = (
    *(
        Case(f"{field} of a wrong type {number} {verb}", steps)
        for field in ("labels", "annotations")
        for number, value in enumerate(({"a": 1}, {"a": True}, {"a": 1.5}, {"a": []}, {"a": {}}, "x", 1, [], True))
        for verb, steps in (
            ("posted", (post(GADGETS, gadget(meta={field: value})),)),
            ("put", _made(put(ONE, gadget(meta={field: value, "resourceVersion": VERSION})))),
            ("merged", _made(merge(ONE, {"metadata": {field: value}}))),
            ("by JSON patch", _made(json_patch(ONE, [{"op": "add", "path": f"/metadata/{field}", "value": value}]))),
            ("applied", (apply(ONE, gadget(meta={field: value})),)),
            ("merged to the status", _made(merge(f"{ONE}/status", {"metadata": {field: value}}))),
        )
    ),
    *(
        Case(f"{field} of a wrong type {number} {verb}", steps)
        for field, values in (
            ("finalizers", ("x", [1], {})),
            ("ownerReferences", ("x", [1], {}, [{"uid": 1}])),
            ("name", (1,)),
            ("generateName", (1,)),
            ("namespace", (1,)),
            ("uid", (1,)),
            ("resourceVersion", (1,)),
            ("generation", ("x",)),
            ("creationTimestamp", ("x", 1)),
            ("deletionGracePeriodSeconds", ("x",)),
            ("selfLink", (1,)),
        )
        for number, value in enumerate(values)
        for verb, steps in (
            ("posted", (post(GADGETS, gadget(meta={field: value})),)),
            ("merged", _made(merge(ONE, {"metadata": {field: value}}))),
            ("put", _made(put(ONE, gadget(meta={"resourceVersion": VERSION, field: value})))),
        )
    ),
)
APPLIED = {"1.status": CLIENT}
_BRINGS = {"1.status": "an apply that brings managedFields is refused; kube-apiserver overlooks those that it cannot read"}
_NUMBER = "JSON has one kind of number: 100.0 is 100, in every field"
ALLOWED: dict[str, dict[str, str]] = {
    **{f"{field} of a wrong type {number} applied": APPLIED for field in ("labels", "annotations") for number in range(9)},
    **{f"managedFields {number} applied": APPLIED for number in (0, 1, 2, 3, 4, 7, 8, 10, 20)},
    **{f"managedFields {number} applied": _BRINGS for number in (5, 11, 12)},
    "managedFields 17 merged": {"2.body.metadata.managedFields": "a manager that owns nothing stays until the next write"},
    "managedFields 21 posted": {"1.body.metadata.managedFields": "the creator owns what it sent, whatever entries it sent"},
    "managedFields 23 applied": {"1.warning": "what is not known in managedFields is told of as well"},
    "unknown field and another error applied": APPLIED,
    "unknown field applied in conflict": {"2.status": CLIENT},
    "null finalizer posted": {"1.body.details.causes*": TWICE},
    **{f"grace period in the body {number}": {"2.status": _NUMBER, "3.status": _NUMBER} for number in (8, 9)},
}
CASES = tuple(
    replace(case, allowed=ALLOWED.get(case.name, {})) for case in (*NULLS, *TEXTS, *EMPTY, *NUMBERS, *PAGES, *WARNED, *FIELDS, *WRONG)
)

"""Test GET and LIST: selectors, pages, resourceVersion and its match, the forms of a collection."""

from __future__ import annotations

import base64
from typing import Any

from tests.conformance.case import GADGETS, RACKS, ROOT, Case, Step, gadget, get, merge, post
from tests.conformance.reasons import CLIENT

RV = "${made:metadata.resourceVersion}"
THREE = (
    post(GADGETS, gadget("a", size=1, mode="fast", meta={"labels": {"app": "x", "tier": "front"}}), "first"),
    post(GADGETS, gadget("b", size=2, meta={"labels": {"app": "y"}}), "second"),
    post(GADGETS, gadget("c", size=2), "made"),
)


def _listed(name: str, query: str, *more: Step, **kinds: Any) -> Case:
    return Case(name, (*THREE, get(f"{GADGETS}?{query}", "list"), *more), **kinds)


def _labels(name: str, selector: str, **more: Any) -> Case:
    return _listed(f"labels {name}", f"labelSelector={selector}", **more)


def _fields(name: str, selector: str, **more: Any) -> Case:
    return _listed(f"fields {name}", f"fieldSelector={selector}", **more)


NEXT = "${list:metadata.continue}"
ENDS = "nothing more is selected, and that is known; kube-apiserver promises a page that is empty"
TOKEN = "a token belongs to its list: it must not open another one"
OLD = base64.urlsafe_b64encode(b'{"v":"meta.k8s.io/v1","rv":1,"start":"a/a\\u0000"}').decode().rstrip("=")
"""A token of a compacted revision. Both servers encode tokens in the same way."""

CASES = (
    _listed("all", ""),
    Case("empty", (get(GADGETS),)),
    Case("empty cluster kind", (get(f"{RACKS}?labelSelector=none=none"),)),
    Case("in all namespaces", (*THREE, get(f"{ROOT}/gadgets?fieldSelector=metadata.namespace={{ns}}"))),
    _labels("equal", "app=x"),
    _labels("equal twice", "app==x,tier=front"),
    _labels("not equal", "app!=x"),
    _labels("in", "app in (x,y)"),
    _labels("notin", "app notin (x)"),
    _labels("exists", "app"),
    _labels("does not exist", "!app"),
    _labels("greater", "app>1"),
    _labels("empty value", "app="),
    _labels("with spaces", " app = x , tier in ( front , back ) "),
    _labels("nothing matches", "app=zzz"),
    _labels("unbalanced", "app in (x"),
    _labels("operator missing", "app x"),
    _labels("key bad", "a b/c=x"),
    _labels("value bad", "app=x y"),
    _labels("value too long", f"app={'x' * 64}"),
    _labels("greater than text", "app>x"),
    _labels("trailing comma", "app=x,"),
    _labels("empty set", "app in ()"),
    _fields("name", "metadata.name=b"),
    _fields("not name", "metadata.name!=b"),
    _fields("namespace", "metadata.namespace={ns}"),
    _fields("another namespace", "metadata.namespace=other"),
    _fields("of the kind", "spec.mode=fast"),
    _fields("number", "spec.size=2"),
    _fields("two", "spec.size=2,metadata.name=c"),
    _fields("unknown", "spec.title=x", messages=False),
    _fields("malformed", "spec.mode"),
    _fields("value escaped", "metadata.name=a\\,b"),
    _fields("value badly escaped", "metadata.name=a\\b"),
    _fields("in", "spec.mode in (fast)"),
    _listed("both selectors", "labelSelector=app=x&fieldSelector=spec.mode=fast"),
    _listed("limit", "limit=2"),
    _listed("limit and continue", "limit=2", get(f"{GADGETS}?limit=2&continue={NEXT}")),
    _listed("limit of all", "limit=3"),
    _listed("limit zero", "limit=0"),
    _listed("limit negative", "limit=-1"),
    _listed("limit that is no number", "limit=x"),
    _listed(
        "limit with labels",
        "limit=1&labelSelector=app",
        get(f"{GADGETS}?limit=1&labelSelector=app&continue={NEXT}"),
        allowed={"5.body.metadata.continue": ENDS},
    ),
    _listed("limit with fields", "limit=1&fieldSelector=spec.size=2", get(f"{GADGETS}?limit=1&fieldSelector=spec.size=2&continue={NEXT}")),
    _listed(
        "continue sees the old state",
        "limit=1",
        merge(f"{GADGETS}/b", {"spec": {"size": 9}}),
        post(GADGETS, gadget("d")),
        get(f"{GADGETS}?continue={NEXT}"),
    ),
    _listed("continue without limit", "limit=1", get(f"{GADGETS}?continue={NEXT}")),
    _listed(
        "continue in another namespace",
        "limit=1",
        get(f"{ROOT}/namespaces/default/gadgets?limit=1&continue={NEXT}"),
        allowed={"5.status": TOKEN},
    ),
    Case("continue too old", (*THREE, get(f"{ROOT}/gadgets?limit=1&continue={OLD}")), messages=True),
    Case("continue too old without limit", (*THREE, get(f"{ROOT}/gadgets?continue={OLD}"))),
    _listed("continue malformed", "continue=x"),
    _listed("continue malformed too", "continue=eyJ2IjoibWV0YS5rOHMuaW8vdjEifQ"),
    _listed("continue with a version", "limit=1", get(f"{GADGETS}?continue={NEXT}&resourceVersion={RV}")),
    _listed("continue with version zero", "limit=1", get(f"{GADGETS}?continue={NEXT}&resourceVersion=0")),
    _listed("continue with a match", "limit=1", get(f"{GADGETS}?continue={NEXT}&resourceVersionMatch=Exact&resourceVersion={RV}")),
    _listed("version zero", "resourceVersion=0&labelSelector=none"),
    _listed("version", f"resourceVersion={RV}"),
    _listed("version not older", f"resourceVersion={RV}&resourceVersionMatch=NotOlderThan"),
    _listed("version exact", "resourceVersion=${second:metadata.resourceVersion}&resourceVersionMatch=Exact"),
    _listed("version exact with limit", "resourceVersion=${made:metadata.resourceVersion}&resourceVersionMatch=Exact&limit=1"),
    _listed("version with limit", "resourceVersion=${second:metadata.resourceVersion}&limit=1"),
    _listed("version exact zero", "resourceVersion=0&resourceVersionMatch=Exact"),
    _listed("version zero not older", "resourceVersion=0&resourceVersionMatch=NotOlderThan&labelSelector=none"),
    _listed("match without version", "resourceVersionMatch=Exact"),
    _listed("match unknown", f"resourceVersion={RV}&resourceVersionMatch=Newest"),
    _listed("version too large", "resourceVersion=999999999"),
    _listed("version too large exact", "resourceVersion=999999999&resourceVersionMatch=Exact"),
    _listed("version that is no number", "resourceVersion=x"),
    _listed("version negative", "resourceVersion=-1"),
    _listed("version old exact", "resourceVersion=1&resourceVersionMatch=Exact"),
    _listed("timeoutSeconds", "timeoutSeconds=5"),
    _listed("timeoutSeconds that is no number", "timeoutSeconds=x"),
    _listed("sendInitialEvents without watch", "sendInitialEvents=true"),
    _listed("allowWatchBookmarks without watch", "allowWatchBookmarks=true"),
    _listed("unknown parameter", "unheard=1"),
    _listed("pretty", "pretty=true"),
    Case("get", (*THREE, get(f"{GADGETS}/a"))),
    Case("get at a version", (*THREE, get(f"{GADGETS}/a?resourceVersion={RV}"))),
    Case("get at version zero", (*THREE, get(f"{GADGETS}/a?resourceVersion={RV}"))),
    Case("get at a version that is no number", (*THREE, get(f"{GADGETS}/a?resourceVersion=x")), allowed={"4.status": CLIENT}),
    Case("get at a version too large", (*THREE, get(f"{GADGETS}/a?resourceVersion=999999999"))),
    Case("get pretty", (*THREE, get(f"{GADGETS}/a?pretty=1"))),
    Case("get with curl", (*THREE, get(f"{GADGETS}/a", headers={"User-Agent": "curl/8"}))),
)

"""Test WATCH: its start, the effect of selectors on changes, initial events, forms, and
refusals."""

from __future__ import annotations

from typing import Any

from tests.conformance.case import (
    GADGETS,
    RACKS,
    ROOT,
    Case,
    Step,
    apply,
    collect,
    delete,
    gadget,
    get,
    json_patch,
    merge,
    post,
    status_of,
    watch,
)
from tests.conformance.reasons import CLIENT, JSON_ONLY

ONE = f"{GADGETS}/one"
RV = "&resourceVersion=${made:metadata.resourceVersion}"
MADE = post(GADGETS, gadget("made", size=2, meta={"labels": {"app": "x"}}), "made")
TABLE = {"Accept": "application/json;as=Table;g=meta.k8s.io;v=v1"}
PARTIAL = {"Accept": "application/json;as=PartialObjectMetadata;g=meta.k8s.io;v=v1"}
LIFE = (post(GADGETS, gadget()), merge(ONE, {"spec": {"size": 3}}), delete(ONE))
INITIAL = "&sendInitialEvents=true&allowWatchBookmarks=true&resourceVersionMatch=NotOlderThan"


def _watched(name: str, query: str, *steps: Step, headers: dict[str, str] | None = None, path: str = GADGETS, **more: Any) -> Case:
    return Case(name, (MADE, watch(path, query, headers=headers), *steps, collect()), **more)


def _refused(name: str, query: str, **more: Any) -> Case:
    return Case(name, (MADE, watch(GADGETS, query)), **more)


FUTURE = "a resourceVersion that has not happened is from before a restored backup: the client must list again, not wait for ever"

CASES = (
    _watched("a life", RV, *LIFE),
    _watched("from the present state", "", *LIFE),
    _watched("from version zero", "&resourceVersion=0", *LIFE),
    _watched("what has happened since", RV, get(ONE)),
    Case("what happened before it began", (MADE, *LIFE, watch(GADGETS, RV), collect())),
    _watched(
        "no-op writes are not seen", RV, merge(f"{GADGETS}/made", {"spec": {"size": 2}}), merge(f"{GADGETS}/made", {"spec": {"size": 3}})
    ),
    _watched("status changes", RV, merge(f"{GADGETS}/made/status", {"status": {"phase": "Up"}})),
    _watched(
        "dry runs are not seen", RV, merge(f"{GADGETS}/made?dryRun=All", {"spec": {"size": 9}}), post(f"{GADGETS}?dryRun=All", gadget())
    ),
    _watched("apply", RV, apply(ONE, gadget(size=3)), apply(ONE, gadget(size=4))),
    _watched(
        "finalizers",
        RV,
        post(GADGETS, gadget(meta={"finalizers": ["example.com/x"]})),
        delete(ONE),
        merge(ONE, {"metadata": {"finalizers": None}}),
    ),
    _watched(
        "labels come and go",
        RV + "&labelSelector=app=y",
        merge(f"{GADGETS}/made", {"metadata": {"labels": {"app": "y"}}}),
        merge(f"{GADGETS}/made", {"spec": {"size": 3}}),
        merge(f"{GADGETS}/made", {"metadata": {"labels": {"app": "z"}}}),
        merge(f"{GADGETS}/made", {"spec": {"size": 4}}),
    ),
    _watched(
        "labels from the present state",
        "&labelSelector=app=x",
        post(GADGETS, gadget()),
        merge(f"{GADGETS}/made", {"metadata": {"labels": None}}),
    ),
    _watched(
        "fields come and go",
        RV + "&fieldSelector=spec.mode=fast",
        merge(f"{GADGETS}/made", {"spec": {"mode": "fast"}}),
        merge(f"{GADGETS}/made", {"spec": {"mode": "slow"}}),
    ),
    _watched("one name", RV + "&fieldSelector=metadata.name=one", *LIFE, merge(f"{GADGETS}/made", {"spec": {"size": 4}})),
    _watched("by the object's path", RV, *LIFE, path=f"{GADGETS}/made"),
    _watched("deletion of what a selector does not see", RV + "&labelSelector=app=y", *LIFE),
    _watched("another namespace is not seen", RV, get(f"{ROOT}/namespaces/default/gadgets")),
    _watched("in all namespaces", RV + "&fieldSelector=metadata.namespace={ns}", *LIFE, path=f"{ROOT}/gadgets"),
    _watched("deletecollection", RV, post(GADGETS, gadget()), delete(f"{GADGETS}?labelSelector=app=x")),
    _watched("JSON patch", RV, json_patch(f"{GADGETS}/made", [{"op": "add", "path": "/spec/title", "value": "abc"}])),
    _watched(
        "put of status",
        RV,
        Step(
            "PUT",
            f"{GADGETS}/made/status",
            {**status_of("made", phase="Up"), "metadata": {"name": "made", "resourceVersion": "${made:metadata.resourceVersion}"}},
        ),
    ),
    _watched("bookmarks allowed", RV + "&allowWatchBookmarks=true", *LIFE),
    _watched("initial events", INITIAL + "&resourceVersion=", *LIFE),
    _watched("initial events not older", INITIAL + RV, *LIFE),
    _watched("initial events from zero", INITIAL + "&resourceVersion=0", post(GADGETS, gadget())),
    _watched("initial events with labels", INITIAL + "&labelSelector=app=y", post(GADGETS, gadget(meta={"labels": {"app": "y"}}))),
    _watched("initial events of nothing", INITIAL + "&fieldSelector=metadata.name=none"),
    _watched("initial events without bookmarks", "&sendInitialEvents=true&resourceVersionMatch=NotOlderThan", post(GADGETS, gadget())),
    _watched("initial events unwanted", "&sendInitialEvents=false&resourceVersionMatch=NotOlderThan", post(GADGETS, gadget())),
    _watched("initial events unwanted from a version", "&sendInitialEvents=false&resourceVersionMatch=NotOlderThan" + RV, *LIFE),
    _watched("table", RV, *LIFE, headers=TABLE),
    _watched("table from the present state", "", post(GADGETS, gadget()), headers=TABLE),
    _watched("table with objects", RV + "&includeObject=Object", post(GADGETS, gadget()), headers=TABLE),
    _watched("table without objects", RV + "&includeObject=None", post(GADGETS, gadget()), headers=TABLE),
    _watched("table with initial events", INITIAL, post(GADGETS, gadget()), headers=TABLE),
    _watched("metadata", RV, *LIFE, headers=PARTIAL),
    _watched("metadata with initial events", INITIAL, post(GADGETS, gadget()), headers=PARTIAL),
    _watched("with a limit", RV + "&limit=1", *LIFE),
    _watched("pretty", RV + "&pretty=true", post(GADGETS, gadget())),
    Case(
        "cluster kind",
        (
            watch(RACKS, "&fieldSelector=metadata.name={ns}-r"),
            post(RACKS, {"apiVersion": "conformance.example.com/v1", "kind": "Rack", "metadata": {"name": "{ns}-r"}}),
            delete(f"{RACKS}/{{ns}}-r"),
            collect(),
        ),
    ),
    Case("of a missing namespace", (watch(f"{ROOT}/namespaces/missing/gadgets"), collect())),
    _watched("of a version too old", "&resourceVersion=1"),
    _watched(
        "of a version too large",
        "&resourceVersion=999999999",
        allowed={"*": FUTURE},
    ),
    _refused("version that is no number", "&resourceVersion=x", allowed={"2-w.*": CLIENT}),
    _refused("match without initial events", "&resourceVersionMatch=NotOlderThan&resourceVersion=1"),
    _refused("initial events without match", "&sendInitialEvents=true"),
    _refused("initial events with exact match", "&sendInitialEvents=true&resourceVersionMatch=Exact&resourceVersion=1"),
    _refused("sendInitialEvents malformed", "&sendInitialEvents=maybe&resourceVersionMatch=NotOlderThan"),
    _refused("bad label selector", "&labelSelector=a=b=c"),
    _refused("unknown field", "&fieldSelector=spec.title=x"),
    _refused("with a continue token", "&continue=x"),
    Case("timeout malformed", (get(f"{GADGETS}?watch=true&timeoutSeconds=x"),)),
    Case("watch malformed", (MADE, get(f"{GADGETS}?watch=maybe&timeoutSeconds=1"))),
    Case("watch false", (MADE, get(f"{GADGETS}?watch=false"))),
    Case("as YAML", (get(f"{GADGETS}?watch=true&timeoutSeconds=1", headers={"Accept": "application/yaml"}),)),
    Case(
        "as protobuf",
        (get(f"{GADGETS}?watch=true&timeoutSeconds=1", headers={"Accept": "application/vnd.kubernetes.protobuf"}),),
        allowed={"1.content-type*": JSON_ONLY},
    ),
    Case(
        "as a list of metadata",
        (
            MADE,
            get(
                f"{GADGETS}?watch=true&timeoutSeconds=1",
                headers={"Accept": "application/json;as=PartialObjectMetadataList;g=meta.k8s.io;v=v1"},
            ),
        ),
        allowed={"2.status": "kube-apiserver finds out that an event is no list when it has begun to answer, and ends the response"},
    ),
)

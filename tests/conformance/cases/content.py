"""Test representations: Accept lists, YAML, pretty, tables, metadata, compression, sizes of
bodies."""

from __future__ import annotations

from typing import Any

from tests.conformance.case import GADGETS, MERGE, RACKS, ROOT, Case, Step, accept, collect, gadget, get, post, watch
from tests.conformance.reasons import CLIENT, JSON_ONLY, SMALLER

ONE = f"{GADGETS}/one"
MADE = post(
    GADGETS,
    gadget(
        size=2,
        mode="fast",
        paused=True,
        ratio=1.5,
        when="2020-01-01T00:00:00Z",
        meta={"labels": {"a": "b"}, "finalizers": ["example.com/x"]},
    ),
    "made",
)
META = "g=meta.k8s.io;v=v1"
TABLE = f"application/json;as=Table;{META}"
PARTIAL = f"application/json;as=PartialObjectMetadata;{META}"
PARTIALS = f"application/json;as=PartialObjectMetadataList;{META}"
HEAD = "apiVersion: conformance.example.com/v1\nkind: Gadget\nmetadata: {name: y}\n"
PROTOBUF = "application/vnd.kubernetes.protobuf"


HEAD_ONLY = "what nobody reads is not compressed"
GZIP = {"Accept-Encoding": "gzip"}
"""The header with which answers of more than 128 KiB are compressed."""
LARGE = post(GADGETS, gadget(free={"a": "0123456789abcdef" * 9000}), "made", quiet=True)


def _large(name: str, *steps: Step, **more: Any) -> Case:
    return Case(name, (LARGE, *steps), **more)


def _encoded(accepted: str) -> Case:
    return _large(f"compressed for {accepted or 'nothing said'}", get(ONE, headers={"Accept-Encoding": accepted}))


def _got(name: str, media: str, path: str = ONE, **more: Any) -> Case:
    return Case(name, (MADE, get(path, headers=accept(media))), **more)


CASES = (
    _got("JSON", "application/json"),
    _got("YAML", "application/yaml"),
    _got("YAML list", "application/yaml", GADGETS),
    _got("anything", "*/*"),
    _got("any application", "application/*"),
    _got("nothing said", ""),
    _got("unknown", "text/html"),
    _got("unknown and anything", "text/html,*/*;q=0.1"),
    _got("browser", "text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8"),
    _got("protobuf", PROTOBUF, allowed={"2.content-type*": JSON_ONLY}),
    _got("protobuf list", PROTOBUF, GADGETS, allowed={"2.content-type*": JSON_ONLY}),
    _got("protobuf and JSON", f"{PROTOBUF},application/json"),
    _got("CBOR", "application/cbor"),
    _got("qualities", "application/yaml;q=0.5,application/json;q=0.9"),
    _got(
        "quality zero",
        "application/json;q=0",
        allowed={"2.status": "what the client gives the quality 0 is not acceptable (RFC 9110, 12.4.2)"},
    ),
    _got("malformed", "application"),
    _got("charset", "application/json;charset=utf-8"),
    _got("pretty by Accept", "application/json;pretty=1"),
    _got("pretty by query", "application/json", f"{ONE}?pretty=true"),
    _got("pretty false", "application/json", f"{ONE}?pretty=false"),
    _got("pretty YAML", "application/yaml", f"{ONE}?pretty=true"),
    _got("stream parameter", "application/json;stream=watch"),
    _got("table", TABLE),
    _got("table list", TABLE, GADGETS),
    _got("table of nothing", TABLE, f"{GADGETS}?labelSelector=none"),
    _got("table with objects", TABLE, f"{GADGETS}?includeObject=Object"),
    _got("table without objects", TABLE, f"{GADGETS}?includeObject=None"),
    _got("table with unknown include", TABLE, f"{GADGETS}?includeObject=Some"),
    _got("table v1beta1", "application/json;as=Table;g=meta.k8s.io;v=v1beta1", GADGETS),
    _got("table of an unknown version", "application/json;as=Table;g=meta.k8s.io;v=v9", GADGETS),
    _got("table of an unknown group", "application/json;as=Table;g=unheard;v=v1", GADGETS),
    _got("table or JSON", f"{TABLE},application/json", GADGETS),
    _got(
        "kubectl's list",
        "application/json;as=Table;v=v1;g=meta.k8s.io,application/json;as=Table;v=v1beta1;g=meta.k8s.io,application/json",
        GADGETS,
    ),
    _got("table as YAML", f"application/yaml;as=Table;{META}", GADGETS),
    _got("table pretty", TABLE, f"{GADGETS}?pretty=true"),
    _got("table in pages", TABLE, f"{GADGETS}?limit=1"),
    Case(
        "table of racks",
        (
            post(RACKS, {"apiVersion": "conformance.example.com/v1", "kind": "Rack", "metadata": {"name": "{ns}-r"}}),
            get(f"{RACKS}/{{ns}}-r", headers=accept(TABLE)),
        ),
    ),
    _got("metadata", PARTIAL),
    _got("metadata list", PARTIALS, GADGETS),
    _got("metadata of a list", PARTIAL, GADGETS),
    _got("metadata list of an object", PARTIALS, allowed={"2.status": CLIENT}),
    _got("metadata v1beta1", "application/json;as=PartialObjectMetadata;g=meta.k8s.io;v=v1beta1"),
    _got("metadata as YAML", f"application/yaml;as=PartialObjectMetadata;{META}"),
    _got("metadata or JSON", f"{PARTIALS},application/json", GADGETS),
    _got(
        "informer of metadata",
        f"{PROTOBUF};as=PartialObjectMetadataList;{META},{PARTIALS},application/json",
        GADGETS,
        allowed={"2.content-type*": JSON_ONLY},
    ),
    _got("unknown form", f"application/json;as=Poem;{META}"),
    _got("unknown form or JSON", f"application/json;as=Poem;{META},application/json"),
    Case("create as table", (post(GADGETS, gadget(), headers=accept(TABLE)),)),
    Case("create as metadata", (post(GADGETS, gadget(), headers=accept(PARTIAL)),)),
    Case("create as YAML", (post(GADGETS, gadget(), headers=accept("application/yaml")),)),
    Case("create not acceptable", (post(GADGETS, gadget(), headers=accept("text/html")), get(ONE))),
    Case("not acceptable and not found", (get(f"{GADGETS}/none", headers=accept("text/html")),)),
    Case("patch as metadata", (MADE, Step("PATCH", ONE, {"spec": {"size": 3}}, {"Content-Type": MERGE, **accept(PARTIAL)}))),
    Case("delete as metadata", (post(GADGETS, gadget()), Step("DELETE", ONE, headers=accept(PARTIAL)))),
    Case("body over the limit", (post(GADGETS, gadget(free={"a": "x" * (3 * 1024 * 1024 + 1)})),)),
    Case("object near our limit", (post(f"{GADGETS}?dryRun=All", gadget(free={"a": "x" * 1000 * 1000}), quiet=True),)),
    Case("object over our limit", (post(f"{GADGETS}?dryRun=All", gadget(free={"a": "x" * 1024 * 1024}), quiet=True),), allowed=SMALLER),
    Case(
        "body near the limit",
        (post(f"{GADGETS}?dryRun=All", gadget(free={"a": "x" * (3 * 1024 * 1024 - 4096)}), quiet=True),),
        allowed=SMALLER,
    ),
    Case(
        "patch over the limit", (MADE, Step("PATCH", ONE, {"spec": {"free": {"a": "x" * (3 * 1024 * 1024 + 1)}}}, {"Content-Type": MERGE}))
    ),
    Case(
        "deep body",
        (
            post(
                GADGETS,
                '{"apiVersion":"conformance.example.com/v1","kind":"Gadget","metadata":{"name":"n"},"spec":{"free":{"a":'
                + "[" * 20000
                + "]" * 20000
                + "}}}",
            ),
        ),
    ),
    *map(_encoded, ("identity", "gzip", "gzip, deflate", "deflate,gzip", "gzip;q=1", "gzip;q=0", "GZIP", "*", "x-gzip", "br")),
    Case("compressed when it is small", (MADE, get(ONE, headers=GZIP))),
    _large("compressed list", get(GADGETS, headers=GZIP)),
    _large("compressed table", get(f"{GADGETS}?includeObject=Object", headers={**accept(TABLE), **GZIP})),
    _large("compressed table of names", get(GADGETS, headers={**accept(TABLE), **GZIP})),
    _large("compressed YAML", get(ONE, headers={**accept("application/yaml"), **GZIP})),
    _large("compressed and pretty", get(f"{ONE}?pretty=true", headers=GZIP)),
    _large("compressed metadata", get(ONE, headers={**accept(PARTIAL), **GZIP})),
    Case("created and compressed", (post(GADGETS, LARGE.body, headers=GZIP),)),
    _large("patched and compressed", Step("PATCH", ONE, {"spec": {"size": 3}}, {"Content-Type": MERGE, **GZIP})),
    _large("deleted and compressed", Step("DELETE", ONE, headers=GZIP)),
    _large("collection deleted and compressed", Step("DELETE", GADGETS, headers=GZIP)),
    _large(
        "compressed by HEAD",
        Step("HEAD", ONE, headers=GZIP),
        allowed={"2.content-encoding": HEAD_ONLY, "2.vary": HEAD_ONLY},
    ),
    _large(
        "watched, which is not compressed",
        watch(GADGETS, headers=GZIP),
        collect(),
    ),
    Case(
        "numbers and text in YAML",
        (
            post(
                GADGETS,
                HEAD + "spec:\n  free: {a: 010, b: 1e3, c: yes, d: 2020-01-01, e: '1', f: ~, g: 0x1F, h: 1_000, i: 12:30, j: .inf}\n",
                headers={"Content-Type": "application/yaml"},
            ),
        ),
    ),
    Case(
        "plain numbers and text in YAML",
        (
            post(
                GADGETS,
                HEAD + "spec:\n  free: {a: 10, b: 1.5, c: yes, d: 2020-01-01, e: '1', f: ~, g: true, h: off, i: 12:30, 5: x, k: y, l: n}\n",
                headers={"Content-Type": "application/yaml"},
            ),
        ),
    ),
    Case("YAML with two documents", (post(GADGETS, "a: 1\n---\nb: 2\n", headers={"Content-Type": "application/yaml"}),)),
    Case(
        "YAML with an anchor",
        (
            post(
                GADGETS,
                "apiVersion: conformance.example.com/v1\nkind: Gadget\nmetadata: {name: y, labels: &l {a: b}, annotations: *l}\n",
                headers={"Content-Type": "application/yaml"},
            ),
        ),
    ),
    Case(
        "YAML with a merge key",
        (
            post(
                GADGETS,
                "apiVersion: conformance.example.com/v1\nkind: Gadget\nmetadata: {name: y, labels: {<<: {a: b}}}\n",
                headers={"Content-Type": "application/yaml"},
            ),
        ),
    ),
    Case(
        "YAML with a tag",
        (post(GADGETS, "apiVersion: !!python/name:os.system conformance.example.com/v1\n", headers={"Content-Type": "application/yaml"}),),
    ),
    Case("JSON as YAML", (post(GADGETS, gadget(), headers={"Content-Type": "application/yaml"}),)),
    Case("YAML as JSON", (post(GADGETS, "kind: Gadget\n"),)),
    Case(
        "list of another group",
        (get("/apis/conformance.example.com/v1/gadgets?limit=1&labelSelector=none", headers=accept(PARTIALS)),),
        allowed={"1.body.items": "an empty list, not null, of no objects' metadata"},
    ),
    Case("unknown path not acceptable", (get(f"{ROOT}/namespaces/{{ns}}/gadgets/none", headers=accept("image/png")),)),
)

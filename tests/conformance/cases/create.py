"""Test POST: names, namespaces, defaults, dry runs, managers, unsuitable bodies."""

from __future__ import annotations

from typing import Any

from tests.conformance.case import CLASSES, GADGETS, RACKS, ROOT, WORKLOADS, Case, gadget, get, post
from tests.conformance.reasons import CLIENT, DECLARED, PLAIN

YAML = {"Content-Type": "application/yaml"}
FULL: dict[str, Any] = {
    "size": 7,
    "mode": "fast",
    "title": "gadget",
    "paused": False,
    "ratio": 0.5,
    "when": "2020-01-01T00:00:00Z",
    "args": ["a", "b"],
    "tags": ["x", "y"],
    "ports": [{"port": 80}, {"port": 53, "protocol": "UDP", "name": "dns"}],
    "settings": {"a": "b", "": "empty key"},
    "limits": {"cpu": 4, "memory": "64Gi"},
    "template": {"a": "b"},
    "parts": [{"name": "p", "weight": 3}],
    "free": {"any": [1, "two", None, {"three": 3.5}]},
}
META = {
    "labels": {"app": "x", "example.com/tier": "front"},
    "annotations": {"note": "täglich ☃"},
    "finalizers": ["example.com/hold"],
    "ownerReferences": [{"apiVersion": "v1", "kind": "ConfigMap", "name": "o", "uid": "11111111-1111-1111-1111-111111111111"}],
}
SYSTEM = {
    "uid": "22222222-2222-2222-2222-222222222222",
    "creationTimestamp": "2001-01-01T00:00:00Z",
    "generation": 77,
    "selfLink": "/x",
    "deletionTimestamp": "2001-01-01T00:00:00Z",
    "deletionGracePeriodSeconds": 5,
}
CLASS = {"apiVersion": "conformance.example.com/v1", "kind": "WorkloadClass", "metadata": {"name": "{ns}-metal"}}
WORKLOAD = {"apiVersion": "conformance.example.com/v1", "kind": "Workload", "metadata": {"name": "web"}}
IMAGE = {"url": "https://images.example/os.qcow2", "checksum": "https://images.example/os.sum"}


def _rack(name: str, **more: Any) -> dict[str, Any]:
    return {"apiVersion": "conformance.example.com/v1", "kind": "Rack", "metadata": {"name": name}, **more}


CASES = (
    Case("minimal", (post(GADGETS, gadget()), get(f"{GADGETS}/one"))),
    Case("everything", (post(GADGETS, gadget(meta=META, **FULL)), get(f"{GADGETS}/one"))),
    Case("status is dropped", (post(GADGETS, {**gadget(), "status": {"phase": "x"}}), get(f"{GADGETS}/one"))),
    Case("empty status is dropped", (post(GADGETS, {**gadget(), "status": {}}),)),
    Case("system fields are overwritten", (post(GADGETS, gadget(meta=SYSTEM)),)),
    Case("resourceVersion may not be set", (post(GADGETS, gadget(meta={"resourceVersion": "5"})),), allowed={"1.status": CLIENT}),
    Case("resourceVersion zero", (post(GADGETS, gadget(meta={"resourceVersion": "0"})),)),
    Case("managedFields are not taken over", (post(GADGETS, gadget(meta={"managedFields": [{"manager": "x"}]})),)),
    Case("exists already", (post(GADGETS, gadget()), post(GADGETS, gadget())), messages=True),
    Case("generateName", (post(GADGETS, gadget("", meta={"generateName": "gen-a-"})),)),
    Case("generateName with a name", (post(GADGETS, gadget("one", meta={"generateName": "gen-a-"})),)),
    Case("generateName that is long", (post(GADGETS, gadget("", meta={"generateName": "gen-" + "a" * 70 + "-"})),)),
    Case(
        "generateName that is bad",
        (post(GADGETS, gadget("", meta={"generateName": "gen-Bad_"})),),
        allowed={"1.body.details.name": "the name that was drawn"},
    ),
    Case("no name", (post(GADGETS, gadget("")),), messages=True),
    Case("empty name", (post(GADGETS, gadget("", meta={"name": ""})),)),
    Case("no metadata", (post(GADGETS, {"apiVersion": "conformance.example.com/v1", "kind": "Gadget"}),)),
    Case("metadata null", (post(GADGETS, {**gadget(), "metadata": None}),)),
    Case("name with capitals", (post(GADGETS, gadget("Bad")),)),
    Case("name with a dot", (post(GADGETS, gadget("a.b-c.d")),)),
    Case("name too long", (post(GADGETS, gadget("a" * 254)),)),
    Case("name of 253", (post(GADGETS, gadget("a" * 253)),)),
    Case("name ends in a dash", (post(GADGETS, gadget("a-")),)),
    Case("name dot", (post(GADGETS, gadget(".")),)),
    Case("namespace in body", (post(GADGETS, gadget(meta={"namespace": "{ns}"})),)),
    Case("another namespace in body", (post(GADGETS, gadget(meta={"namespace": "other"})),), messages=True),
    Case("namespace missing", (post(f"{ROOT}/namespaces/missing/gadgets", gadget()),), messages=True),
    Case("namespace terminating", (post(f"{ROOT}/namespaces/leaving/gadgets", gadget()),)),
    Case("wrong kind", (post(GADGETS, {**gadget(), "kind": "Widget"}),)),
    Case("wrong version", (post(GADGETS, {**gadget(), "apiVersion": "conformance.example.com/v2"}),), messages=True),
    Case("wrong group", (post(GADGETS, {**gadget(), "apiVersion": "v1"}),)),
    Case("no kind", (post(GADGETS, {"apiVersion": "conformance.example.com/v1", "metadata": {"name": "one"}}),)),
    Case("no apiVersion", (post(GADGETS, {"kind": "Gadget", "metadata": {"name": "one"}}),)),
    Case("empty object", (post(GADGETS, {}),)),
    Case("not an object", (post(GADGETS, [1]),)),
    Case("text", (post(GADGETS, '"text"'),)),
    Case("null", (post(GADGETS, "null"),)),
    Case("empty body", (post(GADGETS, ""),)),
    Case("not JSON", (post(GADGETS, "{"),)),
    Case("two documents", (post(GADGETS, '{"a":1}{"b":2}'),)),
    Case(
        "not UTF-8",
        (post(GADGETS, b'{"apiVersion":"conformance.example.com/v1","kind":"Gadget","metadata":{"name":"\xff"}}'),),
    ),
    Case(
        "NaN", (post(GADGETS, '{"apiVersion":"conformance.example.com/v1","kind":"Gadget","metadata":{"name":"n"},"spec":{"ratio":NaN}}'),)
    ),
    Case("spec null", (post(GADGETS, {**gadget(), "spec": None}),)),
    Case("null fields", (post(GADGETS, gadget(title=None, part=None, tags=None, settings=None)),)),
    Case("null in free object", (post(GADGETS, gadget(free={"a": None, "b": [None]})),)),
    Case("null with default", (post(GADGETS, gadget(size=None)),)),
    Case("empty lists and maps", (post(GADGETS, gadget(args=[], settings={}, tags=[], ports=[], free={}, template={}, parts=[])),)),
    Case("empty metadata maps", (post(GADGETS, gadget(meta={"labels": {}, "annotations": {}, "finalizers": [], "ownerReferences": []})),)),
    Case(
        "integer as float",
        (post(GADGETS, '{"apiVersion":"conformance.example.com/v1","kind":"Gadget","metadata":{"name":"n"},"spec":{"size":2.0}}'),),
    ),
    Case("float as integer", (post(GADGETS, gadget(ratio=1)),)),
    Case("large integer", (post(GADGETS, gadget(free={"n": 2**62})),)),
    Case("integer over 64 bits", (post(GADGETS, gadget(free={"n": 2**70})),)),
    Case("dry run", (post(f"{GADGETS}?dryRun=All", gadget()), get(f"{GADGETS}/one"))),
    Case("dry run exists", (post(GADGETS, gadget()), post(f"{GADGETS}?dryRun=All", gadget()))),
    Case("dry run generateName", (post(f"{GADGETS}?dryRun=All", gadget("", meta={"generateName": "gen-d-"})),)),
    Case("dry run of another sort", (post(f"{GADGETS}?dryRun=Some", gadget()),), messages=True),
    Case("manager named", (post(f"{GADGETS}?fieldManager=anna", gadget(size=3)),)),
    Case("manager by user agent", (post(GADGETS, gadget(size=3), headers={"User-Agent": "curl-like/1.2 (x) y"}),)),
    Case("manager too long", (post(f"{GADGETS}?fieldManager={'m' * 129}", gadget()),), messages=True),
    Case("manager of 128", (post(f"{GADGETS}?fieldManager={'m' * 128}", gadget()),)),
    Case("manager not printable", (post(f"{GADGETS}?fieldManager=a%07b", gadget()),)),
    Case(
        "YAML",
        (post(GADGETS, "apiVersion: conformance.example.com/v1\nkind: Gadget\nmetadata: {name: one}\nspec: {size: 3}\n", headers=YAML),),
    ),
    Case("YAML as text/yaml", (post(GADGETS, "a: 1", headers={"Content-Type": "text/yaml"}),)),
    Case("content type with charset", (post(GADGETS, gadget(), headers={"Content-Type": "application/json; charset=utf-8"}),)),
    Case("content type unknown", (post(GADGETS, "x", headers={"Content-Type": "text/plain"}),)),
    Case("content type malformed", (post(GADGETS, gadget(), headers={"Content-Type": "application"}),)),
    Case("content type CBOR", (post(GADGETS, b"\xa0", headers={"Content-Type": "application/cbor"}),)),
    Case("at a name", (post(f"{GADGETS}/one", gadget()),), messages=True, allowed=DECLARED),
    Case("in all namespaces", (post(f"{ROOT}/gadgets", gadget()),), allowed={**PLAIN, **DECLARED}),
    Case("cluster scoped", (post(RACKS, _rack("{ns}-r", height=4)), get(f"{RACKS}/{{ns}}-r"))),
    Case("cluster scoped with namespace", (post(RACKS, {**_rack("{ns}-r"), "metadata": {"name": "{ns}-r", "namespace": "x"}}),)),
    Case("cluster scoped below a namespace", (post(f"{ROOT}/namespaces/{{ns}}/racks", _rack("{ns}-r")),), allowed=PLAIN),
    Case("workload", (post(WORKLOADS, {**WORKLOAD, "spec": {"image": IMAGE, "requirements": {"ram": "64Gi", "cpuCount": 4}}}),)),
    Case("workload bad", (post(WORKLOADS, {**WORKLOAD, "spec": {"image": {}, "online": "yes", "reclaimPolicy": "Keep"}}),)),
    Case("workload class", (post(CLASSES, {**CLASS, "spec": {"provisioner": "metal3.io/baremetalhost", "parameters": {"a": {"b": 1}}}}),)),
    Case("workload class without spec", (post(CLASSES, CLASS),)),
)

"""Test the subresource scale: it is read from the object, and writes spec.replicas alone."""

from __future__ import annotations

from typing import Any

from tests.conformance.case import ROOT, Case, delete, get, json_patch, merge, post, put

SETS = f"{ROOT}/namespaces/{{ns}}/workloadsets"
ONE = f"{SETS}/one"
SCALE = f"{ONE}/scale"
MADE = post(
    SETS,
    {
        "apiVersion": "conformance.example.com/v1",
        "kind": "WorkloadSet",
        "metadata": {"name": "one"},
        "spec": {
            "replicas": 2,
            "selector": {"matchLabels": {"a": "b"}},
            "template": {
                "metadata": {"labels": {"a": "b"}},
                "spec": {"online": True, "reclaimPolicy": "Delete", "updatePolicy": "OnDelete"},
            },
        },
    },
    "made",
)
_SELECTOR = "the selector is that of spec; a custom resource has it in status, where it has to be repeated as text"
SELECTOR, READ = {"2.body.status.selector": _SELECTOR}, {"3-read.body.status.selector": _SELECTOR}
TIME = {"3.body.metadata.managedFields*.time": "each entry has its time; kube-apiserver leaves it out for scale"}
_LAYERS = "kube-apiserver validates the Scale, and then the object"
TWICE = {"2.body.details.causes*": _LAYERS}
VERSION = {"resourceVersion": "${made:metadata.resourceVersion}"}
REPLACED = [{"op": "replace", "path": "/spec/replicas", "value": 4}]


def scale(replicas: Any, **metadata: str) -> dict[str, Any]:
    """Return a Scale to send."""
    meta = {"name": "one", "namespace": "{ns}", **metadata}
    return {"apiVersion": "autoscaling/v1", "kind": "Scale", "metadata": meta, "spec": {"replicas": replicas}}


CASES = (
    Case("read", (MADE, get(SCALE)), allowed=SELECTOR),
    Case("read after a status", (MADE, merge(f"{ONE}/status", {"status": {"replicas": 2}}), get(SCALE, "read")), allowed=READ),
    Case("put", (MADE, put(SCALE, scale(3, **VERSION)), get(ONE)), allowed={**SELECTOR, **TIME}),
    Case("put without version", (MADE, put(SCALE, scale(3)), get(ONE)), allowed={**SELECTOR, **TIME}),
    Case("put old version", (MADE, merge(ONE, {"spec": {"paused": True}}), put(SCALE, scale(3, **VERSION)))),
    Case("put another name", (MADE, put(SCALE, scale(3, name="two")))),
    Case("put negative", (MADE, put(SCALE, scale(-1))), allowed=TWICE),
    Case("put the object", (MADE, put(SCALE, {**scale(3), "apiVersion": "conformance.example.com/v1", "kind": "WorkloadSet"}))),
    Case("merge patch", (MADE, merge(SCALE, {"spec": {"replicas": 5}}), get(ONE)), allowed={**SELECTOR, **TIME}),
    Case("JSON patch", (MADE, json_patch(SCALE, REPLACED), get(ONE)), allowed={**SELECTOR, **TIME}),
    Case("dry run", (MADE, put(f"{SCALE}?dryRun=All", scale(3)), get(ONE)), allowed=SELECTOR),
    Case("of a missing object", (get(SCALE), put(SCALE, scale(1)), merge(SCALE, {"spec": {"replicas": 1}}))),
    Case("create", (MADE, post(SCALE, scale(1)))),
    Case("delete", (MADE, delete(SCALE))),
)

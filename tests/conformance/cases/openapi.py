"""Test OpenAPI documents of our group: paths, parameters, schemas, and how they are requested and
cached."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from tests.conformance.case import Case, Step, accept, get
from tests.conformance.reasons import ANY_METHOD, JSON_ONLY

if TYPE_CHECKING:
    from collections.abc import Iterator

GROUP, INDEX = "conformance.example.com", "/openapi/v3"
V2, V3 = "/openapi/v2", f"/openapi/v3/apis/{GROUP}/v1"
PROTOBUF_V2 = "application/com.github.proto-openapi.spec.v2.v1.0+protobuf"
PROTOBUF_V3 = "application/com.github.proto-openapi.spec.v3.v1.0+protobuf"
META, STRAY = "io.k8s.apimachinery.pkg.apis.meta.v1", "kube-apiserver's own; nothing here has it"
EMPTY = "a default that is the same as nothing"
SCHEMAS = "1.body.schemas"
TEXTS = "what is everybody's is explained in words of our own"
BUILT_IN = "as a kind that is built in has it; of a custom resource it is true as well, but not said"
DIFFERENT = {
    "1.body.paths.*.description": TEXTS,
    f"{SCHEMAS}.io.k8s.api.autoscaling.v1.Scale*": "the parts of a Scale are written in its definition, with this project's texts",
    "1.body.paths.*.shardSelector": STRAY,
    "1.body.paths.*.ignoreStoreReadErrorWithClusterBreakingPotential": STRAY,
    "1.body.paths.*.delete.parameters.*": BUILT_IN,
    "1.body.paths.*.delete.requestBody*": BUILT_IN,
    "1.body.paths.*.patch.responses.201": BUILT_IN,
    f"{SCHEMAS}.{META}*.description": TEXTS,
    f"{SCHEMAS}.com.*.properties.metadata.description": TEXTS,
    f"{SCHEMAS}.com.*List.properties.items.description": TEXTS,
    f"{SCHEMAS}.com.*.properties.spec.default": "made by the model; the other server's definition has to say it",
    f"{SCHEMAS}.{META}.DeleteOptions.x-kubernetes-group-version-kind*": "of all groups that the server has",
    f"{SCHEMAS}.{META}.*.ignoreStoreReadErrorWithClusterBreakingPotential": STRAY,
    f"{SCHEMAS}.{META}.*.shardInfo": STRAY,
    f"{SCHEMAS}.{META}.ShardInfo": STRAY,
    f"{SCHEMAS}.{META}.*.default": EMPTY,
    f"{SCHEMAS}.{META}.*.items.allOf": EMPTY,
    f"{SCHEMAS}.{META}.*.items.$ref": EMPTY,
}
ONLY_V3 = ("autoscaling", "ignoreStore", "requestBody", ".default", META)
DIFFERENT_V2 = {pattern: reason for pattern, reason in DIFFERENT.items() if not any(part in pattern for part in ONLY_V3)}
KEPT = {
    "1-index.content-type*": "JSON that says so",
    "1-index.indented": "JSON that says so",
    "1-index.etag": "an ETag saves clients the document",
    "1-index.vary": "as of the documents",
}
KEPT_FORM = {pattern.replace("1-index", "1"): reason for pattern, reason in KEPT.items()}
_UNSAID = "kube-apiserver answers without a body"
UNSAID = {"1.body": _UNSAID, "1.content-type": _UNSAID, "1.vary": "an error is not kept"}


def _document_v3(body: Any) -> Any:
    return {"openapi": body["openapi"], "paths": dict(_paths(body)), "schemas": body["components"]["schemas"]}


def _document_v2(body: Any) -> Any:
    found = {name: schema for name, schema in body["definitions"].items() if name.startswith("com.example.conformance")}
    return {"swagger": body["swagger"], "paths": dict(_paths(body)), "schemas": found}


def _paths(body: Any) -> Iterator[tuple[str, Any]]:
    """Yield the group's paths and, for each method, all parameters by name, wherever they are
    defined."""
    common = body.get("parameters", {})
    for path, methods in body["paths"].items():
        if path.startswith(f"/apis/{GROUP}/v1/"):
            shared = methods.pop("parameters", [])
            for operation in methods.values():
                listed = [common[p["$ref"].rpartition("/")[2]] if "$ref" in p else p for p in (*shared, *operation.get("parameters", ()))]
                operation["parameters"] = {p["name"]: p for p in listed}
            yield path, methods


def _index(body: Any) -> Any:
    """Return the index entry of the group. The index does not always have a JSON content type."""
    body = json.loads(body) if isinstance(body, str) else body
    entry = body["paths"][f"apis/{GROUP}/v1"]
    path, _, value = entry["serverRelativeURL"].partition("=")
    return {**entry, "serverRelativeURL": [path, len(value), value.isupper()]}


def _none(_: Any) -> str:
    """Return a placeholder for documents whose content is compared elsewhere."""
    return "<document>"


def _forms(name: str, path: str, media: str, **more: Any) -> Case:
    return Case(f"{name} as {media}", (get(path, headers=accept(media), part=_none),), **more)


_NAMED = "a quantity is referred to by the name of its type, as in built-in kinds, for kubectl explain to show"
QUANTITY = {f"1.body.schemas.*{where}": _NAMED for where in (".anyOf", ".allOf", "io.k8s.apimachinery.pkg.api.resource.Quantity")}

CASES = (
    Case("v3", (get(V3, part=_document_v3),), allowed={**DIFFERENT, **QUANTITY}),
    Case("v2", (get(V2, part=_document_v2),), allowed={**DIFFERENT_V2, "1.vary*": "ours is small, and goes out as it is"}),
    Case("index", (get(INDEX, "index", part=_index),), allowed=KEPT),
    _forms("index", INDEX, "text/html", allowed=KEPT_FORM),
    _forms("index", INDEX, PROTOBUF_V3, allowed=KEPT_FORM),
    _forms("v3", V3, "*/*"),
    _forms("v3", V3, "application/*"),
    _forms("v3", V3, "application/json;charset=utf-8"),
    _forms("v3", V3, f"{PROTOBUF_V2},application/json"),
    _forms("v3", V3, "text/html", allowed=UNSAID),
    _forms("v3", V3, "application/yaml", allowed=UNSAID),
    _forms("v3", V3, PROTOBUF_V2, allowed=UNSAID),
    _forms("v3", V3, PROTOBUF_V3, allowed={"1.*": JSON_ONLY}),
    Case(
        "v3 by its hash",
        (
            get(INDEX, "index", part=_none),
            get(f"${{index:paths|apis/{GROUP}/v1|serverRelativeURL}}", "kept", part=_none),
        ),
        ignored=("1-*",),
    ),
    Case(
        "v3 by another hash",
        (get(f"{V3}?hash=0123ABC", part=_none),),
        allowed={"1.content-type": "there is no body"},
        ignored=("1.location*",),
    ),
    Case("v3 by no hash", (get(f"{V3}?hash=", part=_none),)),
    Case("v3 by POST", (Step("POST", V3, part=_none),), allowed={"1.*": ANY_METHOD}),
    Case("v3 by HEAD", (Step("HEAD", V3),)),
)

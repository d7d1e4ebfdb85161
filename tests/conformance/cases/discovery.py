"""Test discovery and OpenAPI documents of our group. The rest of a server's documents differs by
nature."""

from __future__ import annotations

from typing import Any

from tests.conformance.case import Case, Step, accept, get
from tests.conformance.reasons import ANY_METHOD, ETAG, HASHED, JSON_ONLY, PLAIN

GROUP = "/apis/conformance.example.com"
AGGREGATED = "application/json;g=apidiscovery.k8s.io;v=v2;as=APIGroupDiscoveryList"
OLDER = AGGREGATED.replace("v=v2", "v=v2beta1")
OLD_SERVERS = "kube-apiserver before 1.30 asks aggregated servers for v2beta1"
WEAK = "If-None-Match may name several tags, weak ones and any (RFC 9110, 13.1.2)"


def _group(body: Any) -> Any:
    """Return the part of aggregated discovery for our group. Its kinds have no particular order."""
    items = [item for item in body["items"] if item["metadata"].get("name") == "conformance.example.com"]
    for version in (version for item in items for version in item["versions"]):
        version["resources"].sort(key=lambda resource: str(resource["resource"]))
    return {**body, "items": items}


def _groups(body: Any) -> Any:
    """Return the part of the list of groups for our group."""
    return {**body, "groups": [group for group in body["groups"] if group["name"] == "conformance.example.com"]}


def _known(name: str, tag: str, **more: Any) -> Case:
    """Return a case that repeats a request with an If-None-Match of the tag's length.

    The tag itself differs between the servers."""
    headers = {**accept(AGGREGATED), "If-None-Match": tag}
    return Case(f"aggregated known by {name}", (get("/apis", headers=headers, part=_group),), **more)


CASES = (
    Case("group", (get(GROUP),), allowed=ETAG),
    Case("version", (get(f"{GROUP}/v1"),), allowed=HASHED),
    Case("group with a slash", (get(f"{GROUP}/"),), allowed=ETAG),
    Case("version with a slash", (get(f"{GROUP}/v1/"),), allowed=HASHED),
    Case("group as YAML", (get(GROUP, headers=accept("application/yaml")),), allowed=ETAG),
    Case("version as YAML", (get(f"{GROUP}/v1", headers=accept("application/yaml")),), allowed=HASHED),
    Case(
        "version as protobuf or JSON",
        (get(f"{GROUP}/v1", headers=accept("application/vnd.kubernetes.protobuf,application/json")),),
        allowed={"1.content-type*": JSON_ONLY},
    ),
    Case("version pretty", (get(f"{GROUP}/v1?pretty=true"),), allowed=HASHED),
    Case("version not acceptable", (get(f"{GROUP}/v1", headers=accept("text/html")),)),
    Case("version as a table", (get(f"{GROUP}/v1", headers=accept("application/json;as=Table;g=meta.k8s.io;v=v1")),)),
    Case("unknown version", (get(f"{GROUP}/v2"),), allowed=PLAIN),
    Case("unknown group", (get("/apis/unheard.example.com"),), allowed=PLAIN),
    Case("aggregated is not for groups", (get(GROUP, headers=accept(AGGREGATED + ",application/json")),), allowed=ETAG),
    Case("groups", (get("/apis", part=_groups),), allowed=ETAG),
    Case("aggregated", (get("/apis", headers=accept(AGGREGATED), part=_group),)),
    Case("aggregated for kubectl", (get("/apis", headers=accept(f"{AGGREGATED},{OLDER},application/json"), part=_group),)),
    Case("aggregated as YAML", (get("/apis", headers=accept(AGGREGATED.replace("json", "yaml", 1)), part=_group),)),
    Case("aggregated of this server only", (get("/apis", headers=accept(f"{AGGREGATED};profile=nopeer"), part=_group),)),
    Case(
        "aggregated as protobuf",
        (get("/apis", headers=accept(AGGREGATED.replace("json", "vnd.kubernetes.protobuf", 1))),),
        allowed={"1.*": JSON_ONLY},
    ),
    Case("aggregated in its older version", (get("/apis", headers=accept(OLDER)),), allowed={"1.*": OLD_SERVERS}),
    Case("aggregated in an unknown version", (get("/apis", headers=accept(AGGREGATED.replace("v=v2", "v=v9"))),)),
    Case(
        "aggregated in an unknown version or plain",
        (get("/apis", headers=accept(AGGREGATED.replace("v=v2", "v=v9") + ",application/json"), part=_groups),),
        allowed=ETAG,
    ),
    Case("aggregated or HTML", (get("/apis", headers=accept(f"text/html,{AGGREGATED}"), part=_group),)),
    Case("aggregated by HEAD", (Step("HEAD", "/apis", headers=accept(AGGREGATED)),)),
    Case("aggregated by POST", (Step("POST", "/apis", headers=accept(AGGREGATED), part=_group),), allowed={"1.*": ANY_METHOD}),
    _known("another tag", '"0123"'),
    _known("no tag", "0123"),
    _known("any tag", "*", allowed={"1.*": WEAK}),
    Case("healthz", (get("/healthz"),)),
    Case("livez", (get("/livez"),)),
    Case("readyz", (get("/readyz"),)),
    Case("one check", (get("/readyz/ping"),)),
    Case("unknown check", (get("/readyz/unheard"),), allowed=PLAIN),
    Case("healthz by another method", (get("/healthz/"),), allowed={"1.status": "a trailing slash is taken for none everywhere"}),
    Case(
        "unknown OpenAPI version",
        (get("/openapi/v3/apis/conformance.example.com/v9"),),
        allowed={"1.body": "kube-apiserver answers without a body", "1.content-type": "kube-apiserver answers without a body"},
    ),
)

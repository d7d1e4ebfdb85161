"""Discovery and OpenAPI documents, of our group; what else a server has differs by nature."""

from __future__ import annotations

from tests.conformance.case import Case, accept, get
from tests.conformance.reasons import ETAG, HASHED, JSON_ONLY, PLAIN

__all__ = ["CASES"]

GROUP = "/apis/conformance.example.com"
AGGREGATED = "application/json;g=apidiscovery.k8s.io;v=v2;as=APIGroupDiscoveryList"

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

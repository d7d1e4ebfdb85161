"""Discovery and OpenAPI documents, of our group; what else a server has differs by nature."""

from __future__ import annotations

from tests.conformance.case import Case, accept, get

__all__ = ["CASES"]

GROUP = "/apis/conformance.example.com"
AGGREGATED = "application/json;g=apidiscovery.k8s.io;v=v2;as=APIGroupDiscoveryList"

CASES = (
    Case("group", (get(GROUP),)),
    Case("version", (get(f"{GROUP}/v1"),)),
    Case("group with a slash", (get(f"{GROUP}/"),)),
    Case("version with a slash", (get(f"{GROUP}/v1/"),)),
    Case("group as YAML", (get(GROUP, headers=accept("application/yaml")),)),
    Case("version as YAML", (get(f"{GROUP}/v1", headers=accept("application/yaml")),)),
    Case("version as protobuf or JSON", (get(f"{GROUP}/v1", headers=accept("application/vnd.kubernetes.protobuf,application/json")),)),
    Case("version pretty", (get(f"{GROUP}/v1?pretty=true"),)),
    Case("version not acceptable", (get(f"{GROUP}/v1", headers=accept("text/html")),)),
    Case("version as a table", (get(f"{GROUP}/v1", headers=accept("application/json;as=Table;g=meta.k8s.io;v=v1")),)),
    Case("unknown version", (get(f"{GROUP}/v2"),)),
    Case("unknown group", (get("/apis/unheard.example.com"),)),
    Case("aggregated is not for groups", (get(GROUP, headers=accept(AGGREGATED + ",application/json")),)),
    Case("healthz", (get("/healthz"),)),
    Case("livez", (get("/livez"),)),
    Case("readyz", (get("/readyz"),)),
    Case("one check", (get("/readyz/ping"),)),
    Case("unknown check", (get("/readyz/unheard"),)),
    Case("healthz by another method", (get("/healthz/"),)),
    Case("unknown OpenAPI version", (get("/openapi/v3/apis/conformance.example.com/v9"),)),
)

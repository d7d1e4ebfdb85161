"""Read discovery and OpenAPI over HTTP, as kubectl and the aggregator request them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import orjson
import pytest
import yaml

from tests.unit.apiserver.handlers.conftest import PREFIX

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.unit.apiserver.handlers.conftest import Service

AGGREGATED = "application/json;g=apidiscovery.k8s.io;v=v2;as=APIGroupDiscoveryList"
KUBECTL = f"{AGGREGATED},application/json;g=apidiscovery.k8s.io;v=v2beta1;as=APIGroupDiscoveryList,application/json"
GVK = "x-kubernetes-group-version-kind"


async def test_groups_and_versions(service: Service) -> None:
    _, groups = await service.ask("GET", "/apis")
    assert groups["kind"] == "APIGroupList"
    (group,) = groups["groups"]
    assert group["preferredVersion"] == {"groupVersion": "example.com/v1", "version": "v1"}
    _, single = await service.ask("GET", "/apis/example.com")
    assert single == {"kind": "APIGroup", "apiVersion": "v1", **group}
    assert (await service.ask("GET", "/apis/other.com"))[0] == 404
    _, core = await service.ask("GET", "/api")
    assert (core["kind"], core["versions"]) == ("APIVersions", [])


async def test_resources(service: Service) -> None:
    _, found = await service.ask("GET", f"{PREFIX}/")
    assert (found["kind"], found["groupVersion"]) == ("APIResourceList", "example.com/v1")
    resources = {resource["name"]: resource for resource in found["resources"]}
    assert resources["widgets"] == {
        "name": "widgets",
        "singularName": "widget",
        "namespaced": True,
        "kind": "Widget",
        "verbs": ["delete", "deletecollection", "get", "list", "patch", "create", "update", "watch"],
        "shortNames": ["wd"],
        "categories": ["all"],
    }
    assert resources["widgets/status"]["verbs"] == ["get", "patch", "update"]
    assert resources["racks"]["verbs"] == ["get", "list", "create", "watch"]


async def test_everything_at_once(service: Service) -> None:
    answer = await service.send("GET", "/apis", headers={"Accept": KUBECTL})
    assert answer.headers["Content-Type"] == AGGREGATED
    found = orjson.loads(answer.body)
    assert (found["kind"], found["apiVersion"]) == ("APIGroupDiscoveryList", "apidiscovery.k8s.io/v2")
    (group,) = found["items"]
    (version,) = group["versions"]
    assert (group["metadata"]["name"], version["version"], version["freshness"]) == ("example.com", "v1", "Current")
    widgets = version["resources"][0]
    assert widgets["responseKind"] == {"group": "example.com", "version": "v1", "kind": "Widget"}
    assert widgets["scope"] == "Namespaced"
    assert [sub["subresource"] for sub in widgets["subresources"]] == ["status", "binding"]
    assert answer.headers["Cache-Control"] == "public"
    readable = await service.send("GET", "/apis", headers={"Accept": AGGREGATED.replace("json", "yaml", 1)})
    assert (readable.headers["Content-Type"], yaml.safe_load(readable.body)) == (AGGREGATED.replace("json", "yaml", 1), found)
    core = await service.send("GET", "/api", headers={"Accept": KUBECTL})
    assert orjson.loads(core.body)["items"] == []


async def test_a_document_that_the_client_has_is_not_sent_again(service: Service) -> None:
    first = await service.send("GET", "/apis", headers={"Accept": KUBECTL})
    etag = first.headers["ETag"]
    again = await service.send("GET", "/apis", headers={"Accept": KUBECTL, "If-None-Match": etag})
    assert (again.status, again.body, again.headers["ETag"]) == (304, b"", etag)
    plain = await service.send("GET", "/apis", headers={"If-None-Match": etag})
    assert plain.status == 200
    assert plain.headers["Vary"] == "Accept"


async def test_forms_of_discovery(service: Service) -> None:
    answer = await service.send("GET", "/apis", headers={"Accept": "application/yaml"})
    assert yaml.safe_load(answer.body)["kind"] == "APIGroupList"
    older = await service.send("GET", "/apis", headers={"Accept": AGGREGATED.replace("v=v2", "v=v2beta1")})
    assert orjson.loads(older.body)["apiVersion"] == "apidiscovery.k8s.io/v2beta1"
    assert (await service.send("GET", "/apis", headers={"Accept": "application/vnd.kubernetes.protobuf"})).status == 406
    assert (await service.send("GET", PREFIX, headers={"Accept": AGGREGATED})).status == 406


async def test_version(service: Service) -> None:
    _, found = await service.ask("GET", "/version")
    assert found["gitVersion"].startswith(f"v{found['major']}.{found['minor']}.")
    assert (found["gitCommit"], found["gitTreeState"], found["buildDate"]) == ("", "", "1970-01-01T00:00:00Z")
    _, root = await service.ask("GET", "/")
    assert "/apis/example.com/v1" in root["paths"]


async def document(service: Service, path: str = "/openapi/v3/apis/example.com/v1") -> Any:
    status, found = await service.ask("GET", path)
    assert status == 200
    return found


def references(value: Any) -> Iterator[str]:
    if isinstance(value, dict):
        for key, item in value.items():
            if key == "$ref":
                yield item
            else:
                yield from references(item)
    elif isinstance(value, list):
        for item in value:
            yield from references(item)


@pytest.mark.parametrize(("path", "place"), [("/openapi/v2", "definitions"), ("/openapi/v3/apis/example.com/v1", "schemas")])
async def test_every_reference_leads_somewhere(service: Service, path: str, place: str) -> None:
    found = await document(service, path)
    schemas = found["definitions"] if place == "definitions" else found["components"]["schemas"]
    wanted = set(references(found))
    assert wanted
    assert {reference.rpartition("/")[2] for reference in wanted} <= set(schemas)
    ids = [methods[method]["operationId"] for methods in found["paths"].values() for method in methods if method != "parameters"]
    assert len(ids) == len(set(ids))


async def test_explaining_a_kind(service: Service) -> None:
    schemas = (await document(service))["components"]["schemas"]
    kind = schemas["com.example.v1.Widget"]
    assert kind[GVK] == [{"group": "example.com", "version": "v1", "kind": "Widget"}]
    assert kind["properties"]["spec"]["properties"]["size"]["description"] == "How large it is. Defaults to 1."
    assert kind["properties"]["spec"]["description"] == "The desired state of a widget."
    metadata = kind["properties"]["metadata"]
    assert metadata["allOf"] == [{"$ref": "#/components/schemas/io.k8s.apimachinery.pkg.apis.meta.v1.ObjectMeta"}]
    assert schemas["com.example.v1.WidgetList"]["properties"]["items"]["items"] == {"$ref": "#/components/schemas/com.example.v1.Widget"}


@pytest.mark.parametrize("path", ["/openapi/v2", "/openapi/v3/apis/example.com/v1"])
async def test_kubectl_finds_that_the_server_validates(service: Service, path: str) -> None:
    operation = (await document(service, path))["paths"]["/apis/example.com/v1/namespaces/{namespace}/widgets/{name}"]["patch"]
    assert operation[GVK] == {"group": "example.com", "version": "v1", "kind": "Widget"}
    assert {"fieldValidation", "dryRun", "fieldManager", "force"} <= {parameter["name"] for parameter in operation["parameters"]}


async def test_only_what_is_served_is_described(service: Service) -> None:
    paths = (await document(service))["paths"]
    assert set(paths["/apis/example.com/v1/racks"]) == {"parameters", "get", "post"}
    assert set(paths["/apis/example.com/v1/racks/{name}"]) == {"parameters", "get"}
    assert set(paths["/apis/example.com/v1/namespaces/{namespace}/widgets/{name}/binding"]) == {"parameters", "post"}


async def test_parameters_of_all_methods_of_a_path_are_listed_once(service: Service) -> None:
    path = (await document(service))["paths"]["/apis/example.com/v1/namespaces/{namespace}/widgets/{name}"]
    assert {parameter["name"] for parameter in path["parameters"]} == {"name", "namespace", "pretty"}
    assert [parameter["name"] for parameter in path["get"]["parameters"]] == ["resourceVersion"]
    assert path["get"]["tags"] == ["exampleCom_v1"]
    assert "content" in path["get"]["responses"]["200"]
    assert "content" not in path["get"]["responses"]["401"]


async def test_fields_that_selectors_may_name_are_published(service: Service) -> None:
    schemas = (await document(service))["components"]["schemas"]
    for name in ("Widget", "WidgetList"):
        assert schemas[f"com.example.v1.{name}"]["x-kubernetes-selectable-fields"] == [{"fieldPath": "spec.mode"}]
    assert "x-kubernetes-selectable-fields" not in schemas["com.example.v1.Rack"]


async def test_the_index_of_documents_is_json_for_everybody(service: Service) -> None:
    answer = await service.send("GET", "/openapi/v3", headers={"Accept": "application/vnd.kubernetes.protobuf"})
    assert (answer.status, answer.headers["Content-Type"]) == (200, "application/json")


async def test_a_document_with_its_hash_can_be_kept_for_ever(service: Service) -> None:
    _, index = await service.ask("GET", "/openapi/v3")
    url = index["paths"]["apis/example.com/v1"]["serverRelativeURL"]
    kept = await service.send("GET", url)
    assert (kept.status, kept.headers["Cache-Control"]) == (200, "public, immutable")
    assert kept.headers["Expires"].endswith("GMT")
    stale = await service.send("GET", url.partition("=")[0] + "=0123")
    assert (stale.status, stale.headers["Location"], stale.headers["Vary"]) == (301, url, "Accept")
    assert stale.headers["ETag"] == kept.headers["ETag"]
    plain = await service.send("GET", url.partition("?")[0])
    again = await service.send("GET", url.partition("?")[0], headers={"If-None-Match": plain.headers["ETag"]})
    assert again.status == 304


async def test_old_clients_ask_for_protobuf_first(service: Service) -> None:
    protobuf = "application/com.github.proto-openapi.spec.v2@v1.0+protobuf"
    answer = await service.send("GET", "/openapi/v2", headers={"Accept": f"{protobuf}, application/json"})
    assert (answer.status, answer.headers["Content-Type"]) == (200, "application/json")
    assert orjson.loads(answer.body)["swagger"] == "2.0"
    assert (await service.send("GET", "/openapi/v2", headers={"Accept": protobuf})).status == 406


async def test_v2_has_no_alternatives(service: Service) -> None:
    found = await document(service, "/openapi/v2")
    weight = found["definitions"]["com.example.v1.Widget"]["properties"]["spec"]["properties"]["main"]["properties"]["weight"]
    assert weight["x-kubernetes-int-or-string"] is True
    assert "anyOf" not in weight
    assert not [key for key in keys(found["definitions"]) if key == "default"]


def keys(value: Any) -> Iterator[str]:
    if isinstance(value, dict):
        yield from value
    for item in value.values() if isinstance(value, dict) else value if isinstance(value, list) else ():
        yield from keys(item)

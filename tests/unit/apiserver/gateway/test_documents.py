"""Check that clients discover the view in BMO's group, and nothing of BMO's own kind."""

from __future__ import annotations

import asyncio
import json
from typing import Any

import pytest
from aiohttp import web

from apiserver.gateway.documents import READERS
from tests.unit.apiserver.gateway.harness import TENANT, Running

V2, V2BETA1 = (f"application/json;g=apidiscovery.k8s.io;v={version};as=APIGroupDiscoveryList" for version in ("v2", "v2beta1"))
GVK = "x-kubernetes-group-version-kind"
APPS = {"name": "apps", "versions": [{"groupVersion": "apps/v1", "version": "v1"}], "preferredVersion": {"version": "v1"}}
BMO = {"name": "metal3.io", "versions": [{"groupVersion": "metal3.io/v1alpha1", "version": "v1alpha1"}], "preferredVersion": {}}
GROUPS = {"kind": "APIGroupList", "apiVersion": "v1", "groups": [APPS, BMO]}


def resource(name: str, kind: str) -> dict[str, Any]:
    return {"name": name, "singularName": "", "namespaced": True, "kind": kind, "verbs": ["create", "get"], "shortNames": ["real"]}


REAL = [
    resource("baremetalhosts", "BareMetalHost"),
    resource("baremetalhosts/status", "BareMetalHost"),
    resource("dataimages", "DataImage"),
]
RESOURCES = {"kind": "APIResourceList", "apiVersion": "v1", "groupVersion": "metal3.io/v1alpha1", "resources": REAL}
DISCOVERED = [
    {"resource": "baremetalhosts", "verbs": ["create"], "shortNames": ["real"]},
    {"resource": "dataimages", "verbs": ["get"]},
]
DISCOVERY = {
    "kind": "APIGroupDiscoveryList",
    "apiVersion": "apidiscovery.k8s.io/v2",
    "metadata": {},
    "items": [
        {"metadata": {"name": "apps"}, "versions": []},
        {
            "metadata": {"name": "workload.metal3.io"},
            "versions": [{"version": "v1alpha1", "resources": [*DISCOVERED, {"resource": "hosts"}]}],
        },
        {
            "metadata": {"name": "metal3.io"},
            "versions": [{"version": "v1beta1", "resources": DISCOVERED}, {"version": "v1alpha1", "resources": DISCOVERED}],
        },
    ],
}
PATH = "/apis/metal3.io/v1alpha1/namespaces/{namespace}"


def schema(kind: str, description: str) -> dict[str, Any]:
    return {"description": description, "type": "object", GVK: [{"group": "metal3.io", "version": "v1alpha1", "kind": kind}]}


SCHEMAS = {
    "io.metal3.v1alpha1.BareMetalHost": schema("BareMetalHost", "the real kind"),
    "io.metal3.v1alpha1.BareMetalHostList": schema("BareMetalHostList", "the real kind"),
    "io.metal3.v1alpha1.DataImage": schema("DataImage", "another kind"),
    "io.k8s.apimachinery.pkg.apis.meta.v1.ObjectMeta": {"description": "kube-apiserver's own"},
}
PATHS = {
    "/api/v1/pods": {},
    f"{PATH}/baremetalhosts": {"post": {"description": "the real kind"}},
    f"{PATH}/baremetalhosts/{{name}}": {"get": {"description": "the real kind"}},
    "/apis/metal3.io/v1alpha1/watch/baremetalhosts": {"get": {"description": "the real kind"}},
    f"{PATH}/dataimages": {"get": {"description": "another kind"}},
}
OPENAPI_V2 = {"swagger": "2.0", "info": {"title": "Kubernetes", "version": "v1.36"}, "paths": PATHS, "definitions": SCHEMAS}
OPENAPI_V3 = {
    "openapi": "3.0.0",
    "info": {"title": "K", "version": "v1.36"},
    "paths": PATHS,
    "components": {"schemas": SCHEMAS, "securitySchemes": {}},
}
INDEX = {
    "paths": {
        "api/v1": {"serverRelativeURL": "/openapi/v3/api/v1?hash=A"},
        "apis/metal3.io/v1alpha1": {"serverRelativeURL": "/openapi/v3/apis/metal3.io/v1alpha1?hash=B"},
    }
}
DOCUMENTS = {
    "/apis": GROUPS,
    "/apis/metal3.io": {"kind": "APIGroup", "apiVersion": "v1", **BMO},
    "/apis/metal3.io/v1alpha1": RESOURCES,
    "/apis/metal3.io/v1beta1": {**RESOURCES, "groupVersion": "metal3.io/v1beta1"},
    "/apis/workload.metal3.io/v1alpha1": {**RESOURCES, "groupVersion": "workload.metal3.io/v1alpha1"},
    "/openapi/v2": OPENAPI_V2,
    "/openapi/v3": INDEX,
    "/openapi/v3/apis/metal3.io/v1alpha1": OPENAPI_V3,
}


@pytest.fixture
def beside_bmo(gateway: Running) -> Running:
    """Return a gateway beside a cluster that has BMO's kinds."""
    gateway.cluster.documents.update(DOCUMENTS)
    return gateway


async def get(gateway: Running, path: str, accept: str = "application/json") -> Any:
    status, document = await gateway.request("GET", path, {**TENANT, "Accept": accept})
    assert status == 200, document
    return document if isinstance(document, dict) else json.loads(document)


async def test_the_groups_stay(beside_bmo: Running) -> None:
    assert await get(beside_bmo, "/apis") == GROUPS
    assert await get(beside_bmo, "/apis/metal3.io") == DOCUMENTS["/apis/metal3.io"]


async def test_the_list_of_resources_has_the_view(beside_bmo: Running) -> None:
    found = (await get(beside_bmo, "/apis/metal3.io/v1alpha1"))["resources"]
    assert [one["name"] for one in found] == ["dataimages", "baremetalhosts", "baremetalhosts/status", "hardwaredata"]
    assert "create" not in found[1]["verbs"]
    assert found[1]["shortNames"] == ["bmh", "bmhost"]
    assert [one["name"] for one in (await get(beside_bmo, "/apis/workload.metal3.io/v1alpha1"))["resources"]] == ["dataimages"]
    # In other versions of the group the kind does not exist.
    assert [one["name"] for one in (await get(beside_bmo, "/apis/metal3.io/v1beta1"))["resources"]] == ["dataimages"]


@pytest.mark.parametrize("accept", [V2, f"{V2}, application/json", f"{V2},{V2BETA1},application/json"])
async def test_aggregated_discovery_has_the_view(beside_bmo: Running, accept: str) -> None:
    beside_bmo.cluster.documents["/apis"] = DISCOVERY
    found = await get(beside_bmo, "/apis", accept)
    assert found["kind"] == "APIGroupDiscoveryList"
    # The view is not listed twice.
    assert [one["resource"] for one in found["items"][1]["versions"][0]["resources"]] == ["dataimages", "hosts"]
    beta, alpha = found["items"][2]["versions"]
    assert [one["resource"] for one in beta["resources"]] == ["dataimages"]
    assert [one["resource"] for one in alpha["resources"]] == ["dataimages", "baremetalhosts", "hardwaredata"]
    assert "create" not in alpha["resources"][1]["verbs"]
    assert beside_bmo.cluster.seen[-1].all("Accept") == [f"{V2}, application/json"]


async def test_an_old_kube_apiserver_answers_in_the_old_form(beside_bmo: Running) -> None:
    assert await get(beside_bmo, "/apis", f"{V2}, application/json") == GROUPS


async def test_without_bmo_the_group_exists_by_the_view_alone(gateway: Running) -> None:
    async def none(request: web.BaseRequest) -> web.StreamResponse:
        return web.json_response({"kind": "Status", "code": 404}, status=404)

    paths = ("/apis/metal3.io", "/apis/metal3.io/v1alpha1", "/openapi/v3/apis/metal3.io/v1alpha1", "/apis/metal3.io/v2")
    gateway.cluster.answers.update(dict.fromkeys(paths, none))
    gateway.cluster.documents["/apis"] = {**GROUPS, "groups": [APPS]}
    assert [one["name"] for one in (await get(gateway, "/apis"))["groups"]] == ["apps", "metal3.io"]
    assert (await get(gateway, "/apis/metal3.io"))["preferredVersion"]["version"] == "v1alpha1"
    assert [one["name"] for one in (await get(gateway, "/apis/metal3.io/v1alpha1"))["resources"]] == [
        "baremetalhosts",
        "baremetalhosts/status",
        "hardwaredata",
    ]
    assert "io.metal3.v1alpha1.BareMetalHost" in (await get(gateway, paths[2]))["components"]["schemas"]
    assert (await gateway.request("GET", "/apis/metal3.io/v2"))[0] == 404


def check_openapi(document: dict[str, Any], schemas: dict[str, Any]) -> None:
    """Check a merged document and its schemas."""
    assert "the real kind" not in json.dumps(document)
    host = schemas["io.metal3.v1alpha1.BareMetalHost"]
    assert host[GVK] == [{"group": "metal3.io", "version": "v1alpha1", "kind": "BareMetalHost"}]
    assert "consumerRef" in json.dumps(host)
    assert schemas["io.metal3.v1alpha1.DataImage"]["description"] == "another kind"
    assert schemas["io.k8s.apimachinery.pkg.apis.meta.v1.ObjectMeta"] == {"description": "kube-apiserver's own"}
    assert {"get", "delete"} <= document["paths"][f"{PATH}/baremetalhosts"].keys()
    assert "post" not in document["paths"][f"{PATH}/baremetalhosts"]
    assert document["paths"].keys() >= {"/api/v1/pods", f"{PATH}/dataimages"}


async def test_openapi_describes_the_view(beside_bmo: Running) -> None:
    v2 = await get(beside_bmo, "/openapi/v2?timeout=32s")
    check_openapi(v2, v2["definitions"])
    v3 = await get(beside_bmo, "/openapi/v3/apis/metal3.io/v1alpha1")
    check_openapi(v3, v3["components"]["schemas"])
    assert v3["components"]["securitySchemes"] == {}


async def test_the_index_of_openapi_names_the_merged_document_by_its_hash(beside_bmo: Running) -> None:
    index = await get(beside_bmo, "/openapi/v3")
    assert index["paths"]["api/v1"] == INDEX["paths"]["api/v1"]
    url = index["paths"]["apis/metal3.io/v1alpha1"]["serverRelativeURL"]
    assert not url.endswith("=B")
    async with beside_bmo.session.get(beside_bmo.url + url, headers=TENANT) as response:
        assert (response.status, response.headers["Cache-Control"]) == (200, "public, immutable")
    old = "/openapi/v3/apis/metal3.io/v1alpha1?hash=B"
    async with beside_bmo.session.get(beside_bmo.url + old, headers=TENANT, allow_redirects=False) as response:
        assert (response.status, response.headers["Location"]) == (301, url)
    # A change of BMO's document changes the hash.
    beside_bmo.cluster.documents["/openapi/v3/apis/metal3.io/v1alpha1"] = {**OPENAPI_V3, "info": {}}
    beside_bmo.cluster.documents["/openapi/v3"] = {"paths": {**INDEX["paths"], "x": {}}}
    assert (await get(beside_bmo, "/openapi/v3"))["paths"]["apis/metal3.io/v1alpha1"]["serverRelativeURL"] != url


async def test_a_document_is_merged_once_and_its_etag_is_its_own(beside_bmo: Running) -> None:
    async with beside_bmo.session.get(f"{beside_bmo.url}/openapi/v2", headers=TENANT) as response:
        etag = response.headers["ETag"]
    for headers, expected in (({}, 200), ({"If-None-Match": etag}, 304)):
        async with beside_bmo.session.get(f"{beside_bmo.url}/openapi/v2", headers={**TENANT, **headers}) as response:
            assert (response.status, response.headers["ETag"]) == (expected, etag)
    first, second, third = beside_bmo.cluster.seen
    assert first.all("If-None-Match") == []
    assert second.all("If-None-Match") == third.all("If-None-Match") != [etag]
    assert third.all("Authorization") == ["Bearer tenant-token"]


async def test_kube_apiserver_authorizes_each_request_for_a_document(beside_bmo: Running) -> None:
    async def forbidden(request: web.BaseRequest) -> web.StreamResponse:
        return web.json_response({"kind": "Status", "code": 403, "reason": "Forbidden"}, status=403)

    paths = ("/apis", "/apis/metal3.io", "/apis/metal3.io/v1alpha1", "/openapi/v2", "/openapi/v3", "/openapi/v3/apis/metal3.io/v1alpha1")
    for path in paths:
        await get(beside_bmo, path)
        beside_bmo.cluster.answers[path] = forbidden
        status, answer = await beside_bmo.request("GET", path, {"Authorization": "Bearer other-token"})
        assert (status, answer["reason"]) == (403, "Forbidden"), path
        assert beside_bmo.cluster.seen[-1].all("Authorization") == ["Bearer other-token"]
        del beside_bmo.cluster.answers[path]


async def test_impersonation_reads_documents_as_the_other_user(beside_bmo: Running) -> None:
    await beside_bmo.request("GET", "/openapi/v2", {**TENANT, "Impersonate-User": "somebody", "X-Remote-User": "admin"})
    (seen,) = beside_bmo.cluster.seen
    assert (seen.all("Impersonate-User"), seen.all("X-Remote-User")) == (["somebody"], [])


async def test_a_body_beside_the_request_for_a_document_is_not_announced(beside_bmo: Running) -> None:
    request = b"GET /apis HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer tenant-token\r\nContent-Length: 4\r\nConnection: close\r\n\r\nbody"
    assert (await beside_bmo.raw(request)).startswith(b"HTTP/1.1 200 ")
    (seen,) = beside_bmo.cluster.seen
    assert (seen.body, seen.all("Content-Length")) == (b"", [])


async def test_a_request_that_kube_apiserver_queues_delays_no_other_caller(beside_bmo: Running) -> None:
    waiting, go_on = asyncio.Semaphore(0), asyncio.Event()

    async def queued(request: web.BaseRequest) -> web.StreamResponse:
        waiting.release()
        await go_on.wait()
        return web.json_response({})

    beside_bmo.cluster.answers["/apis/metal3.io"] = queued
    async with asyncio.timeout(60), asyncio.TaskGroup() as tasks:
        for _ in range(READERS):
            tasks.create_task(beside_bmo.request("GET", "/apis/metal3.io"))
        for _ in range(READERS):
            await waiting.acquire()
        status, _ = await beside_bmo.request("GET", "/apis", {"Authorization": "Bearer other-token"})
        go_on.set()
    assert status == 200


async def test_forms(beside_bmo: Running) -> None:
    status, text = await beside_bmo.request("GET", "/apis/metal3.io", {**TENANT, "Accept": "application/yaml"})
    assert (status, text.splitlines()[0]) == (200, b"kind: APIGroup")
    for path in ("/apis/metal3.io", "/openapi/v2"):
        status, _ = await beside_bmo.request("GET", path, {**TENANT, "Accept": "application/vnd.kubernetes.protobuf"})
        assert status == 406
    assert (await beside_bmo.request("HEAD", "/apis"))[0] == 200
    assert (await beside_bmo.request("POST", "/apis/metal3.io/v1alpha1"))[0] == 403


async def test_what_is_no_document_is_not_passed_on_as_one(beside_bmo: Running) -> None:
    async def broken(request: web.BaseRequest) -> web.StreamResponse:
        return web.Response(text="<html>")

    beside_bmo.cluster.answers["/openapi/v2"] = broken
    status, error = await beside_bmo.request("GET", "/openapi/v2")
    assert (status, error["kind"]) == (502, "Status")


async def test_a_refusal_says_all_that_kube_apiserver_says(beside_bmo: Running) -> None:
    async def refuse(request: web.BaseRequest) -> web.StreamResponse:
        headers = {"Retry-After": "7", "Cache-Control": "no-cache, private", "Connection": "close"}
        return web.json_response({"kind": "Status", "code": 429}, status=429, headers=headers)

    for path in ("/apis", "/openapi/v2", "/openapi/v3", "/apis/metal3.io/v1alpha1"):
        beside_bmo.cluster.answers[path] = beside_bmo.cluster.answers["/openapi/v3/apis/metal3.io/v1alpha1"] = refuse
        async with beside_bmo.session.get(beside_bmo.url + path, headers=TENANT) as response:
            assert (response.status, response.headers["Retry-After"]) == (429, "7")
            assert response.headers["Cache-Control"] == "no-cache, private"
            assert await response.json() == {"kind": "Status", "code": 429}

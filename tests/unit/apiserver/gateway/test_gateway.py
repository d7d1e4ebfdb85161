"""Check the gateway as a whole: the view in BMO's group, and everything else passed on."""

from __future__ import annotations

import asyncio
import json
from typing import TYPE_CHECKING, Any

from aiohttp import web

from tests.unit.apiserver.gateway.harness import PODS, TENANT, VIEWS, Running
from tests.unit.apiserver.registry.conftest import CONSUMER, IMAGE, report

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

MERGE = {**TENANT, "Content-Type": "application/merge-patch+json"}


async def test_the_view_is_served_under_bmos_group(gateway: Running) -> None:
    status, hosts = await gateway.request("GET", VIEWS)
    assert (status, hosts["apiVersion"], [one["metadata"]["name"] for one in hosts["items"]]) == (200, "metal3.io/v1alpha1", ["node-0"])
    assert {one["apiVersion"] for one in hosts["items"]} <= {"metal3.io/v1alpha1"}
    status, host = await gateway.request("GET", f"{VIEWS}/node-0")
    assert (status, host["apiVersion"]) == (200, "metal3.io/v1alpha1")
    assert gateway.cluster.seen == []


async def test_a_claim_through_the_gateway_is_the_views(gateway: Running) -> None:
    patch = {"spec": {"consumerRef": CONSUMER, "image": IMAGE, "online": True}}
    status, host = await gateway.request("PATCH", f"{VIEWS}/node-0", MERGE, data=json.dumps(patch))
    assert (status, host["apiVersion"], host["spec"]["consumerRef"]) == (200, "metal3.io/v1alpha1", CONSUMER)
    stored = gateway.registries.view("tenant-a", "node-0")
    assert stored is not None
    assert stored["apiVersion"] == "workload.metal3.io/v1alpha1"
    assert stored["metadata"]["resourceVersion"] == host["metadata"]["resourceVersion"]
    versions = {one["apiVersion"] for one in host["metadata"]["managedFields"]}
    assert versions == {"metal3.io/v1alpha1"}
    host["metadata"]["labels"]["mine"] = "yes"
    status, host = await gateway.request("PUT", f"{VIEWS}/node-0", json=host)
    assert (status, host["metadata"]["labels"]["mine"]) == (200, "yes")
    status, _ = await gateway.request("DELETE", f"{VIEWS}/node-0")
    assert status == 200
    assert gateway.cluster.seen == []


async def test_errors_name_the_group_that_the_client_asked(gateway: Running) -> None:
    status, error = await gateway.request("PATCH", f"{VIEWS}/none", MERGE, data="{}")
    assert (status, error["message"]) == (404, 'baremetalhosts.metal3.io "none" not found')
    assert error["details"] == {"name": "none", "group": "metal3.io", "kind": "baremetalhosts"}
    wrong = {"spec": {"bmc": {"address": "redfish://mine", "credentialsName": ""}}}
    status, error = await gateway.request("PATCH", f"{VIEWS}/node-0", MERGE, data=json.dumps(wrong))
    assert (status, error["details"]["group"]) == (422, "metal3.io"), error
    assert error["message"].startswith('BareMetalHost.metal3.io "node-0" is invalid')


async def test_the_view_is_watched(gateway: Running) -> None:
    async with gateway.session.get(f"{gateway.url}{VIEWS}?watch=true", headers=TENANT) as response:
        first = json.loads(await response.content.readline())
        assert (first["type"], first["object"]["apiVersion"]) == ("ADDED", "metal3.io/v1alpha1")
        await gateway.registries.patch_view("tenant-a", "node-0", consumerRef=CONSUMER)
        second = json.loads(await response.content.readline())
        assert (second["type"], second["object"]["spec"]["consumerRef"]["name"]) == ("MODIFIED", "m-0")


async def test_the_hardware_of_the_view_is_served_beside_it(gateway: Running) -> None:
    (host,) = gateway.registries.hosts.collection.range()
    hardware = {"cpu": {"arch": "x86_64", "count": 8}, "ramMebibytes": 1024}
    await gateway.registries.report(host.name, {"available": True, "report": report("node-0", hardware=hardware)})
    data = VIEWS.replace("baremetalhosts", "hardwaredata")
    status, found = await gateway.request("GET", f"{data}/node-0")
    assert (status, found["apiVersion"], found["spec"]["hardware"]["ramMebibytes"]) == (200, "metal3.io/v1alpha1", 1024)
    assert gateway.rules.asked[-1] == ("tenant", "get", "workload.metal3.io", "tenant-a")
    assert (await gateway.request("GET", data.replace("tenant-a", "tenant-b")))[0] == 403
    assert gateway.cluster.seen == []


async def test_rights_on_the_view_are_those_of_its_own_group(gateway: Running) -> None:
    assert (await gateway.request("GET", VIEWS))[0] == 200
    assert gateway.rules.asked[-1] == ("tenant", "list", "workload.metal3.io", "tenant-a")
    status, error = await gateway.request("GET", VIEWS.replace("tenant-a", "tenant-b"))
    assert (status, error["reason"]) == (403, "Forbidden")
    status, error = await gateway.request("GET", VIEWS, {"Authorization": "Bearer other-token"})
    assert status == 403
    assert 'rules for the API group "workload.metal3.io" decide' in error["message"]
    assert gateway.cluster.seen == []


async def test_other_requests_pass_with_the_callers_own_token(gateway: Running) -> None:
    headers = {**TENANT, "X-Mine": "kept", "Impersonate-User": "somebody", "Accept": "application/vnd.kubernetes.protobuf"}
    status, answer = await gateway.request("POST", f"{PODS}?dryRun=All&x=%2F", headers, data=b"body")
    assert (status, answer) == (200, {"path": f"{PODS}?dryRun=All&x=%2F"})
    (seen,) = gateway.cluster.seen
    assert (seen.method, seen.target, seen.body, seen.certificate) == ("POST", f"{PODS}?dryRun=All&x=%2F", b"body", None)
    assert seen.all("Authorization") == ["Bearer tenant-token"]
    assert (seen.all("X-Mine"), seen.all("Impersonate-User")) == (["kept"], ["somebody"])
    assert seen.all("Accept") == ["application/vnd.kubernetes.protobuf"]
    assert seen.all("X-Forwarded-For") == ["127.0.0.1"]


async def test_a_body_streams_in_both_directions(gateway: Running) -> None:
    halves: asyncio.Queue[bytes] = asyncio.Queue()
    go_on = asyncio.Event()

    async def echo(request: web.BaseRequest) -> web.StreamResponse:
        response = web.StreamResponse()
        await response.prepare(request)
        async for piece in request.content.iter_any():
            halves.put_nowait(piece)
            await response.write(piece)
        return response

    async def body() -> AsyncIterator[bytes]:
        yield b"first"
        await go_on.wait()
        yield b"second"

    gateway.cluster.answers[f"{PODS}/p"] = echo
    async with gateway.session.put(f"{gateway.url}{PODS}/p", headers=TENANT, data=body()) as response:
        assert await response.content.readexactly(5) == b"first"
        assert halves.get_nowait() == b"first"
        go_on.set()
        assert await response.content.read() == b"second"


async def test_what_kube_apiserver_compresses_and_redirects_stays_as_it_is(gateway: Running) -> None:
    async def compressed(request: web.BaseRequest) -> web.StreamResponse:
        assert request.headers["Accept-Encoding"] == "gzip"
        return web.Response(body=b"\x1f\x8bnot really", headers={"Content-Encoding": "gzip", "ETag": '"x"', "Warning": '299 - "one"'})

    async def elsewhere(request: web.BaseRequest) -> web.StreamResponse:
        return web.Response(status=307, headers={"Location": f"{gateway.cluster.url}/elsewhere?x=1"})

    gateway.cluster.answers |= {f"{PODS}/gz": compressed, f"{PODS}/away": elsewhere}
    headers = {**TENANT, "Accept-Encoding": "gzip"}
    async with gateway.session.get(f"{gateway.url}{PODS}/gz", headers=headers) as response:
        assert (response.headers["Content-Encoding"], response.headers["ETag"]) == ("gzip", '"x"')
        assert await response.content.read() == b"\x1f\x8bnot really"
    async with gateway.session.get(f"{gateway.url}{PODS}/away", headers=TENANT, allow_redirects=False) as response:
        assert (response.status, response.headers["Location"]) == (307, "/elsewhere?x=1")
    assert len(gateway.cluster.seen) == 2


async def test_one_connection_serves_many_requests(gateway: Running) -> None:
    one = f"GET {PODS} HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer tenant-token\r\n"
    answer = await gateway.raw(f"{one}\r\n{one}Connection: close\r\n\r\n".encode())
    assert answer.count(b"HTTP/1.1 200 OK") == 2


async def test_without_kube_apiserver_the_answer_says_when_to_try_again(gateway: Running) -> None:
    assert (await gateway.request("GET", PODS))[0] == 200
    status: Any = None
    url, gateway.cluster.url = gateway.cluster.url, "https://127.0.0.1:1"
    upstream = gateway.app._config.gateway.settings.upstream  # type: ignore[union-attr] # this server has a gateway
    await upstream.close()
    upstream._endpoint, upstream._source = None, gateway.cluster.kubeconfig()
    async with gateway.session.get(f"{gateway.url}{PODS}", headers=TENANT) as response:
        status = await response.json()
        assert (response.status, response.headers["Retry-After"]) == (503, "1")
    assert (status["kind"], status["reason"]) == ("Status", "ServiceUnavailable")
    assert url not in status["message"]


async def test_requests_are_counted_by_what_answered(gateway: Running) -> None:
    for path in (VIEWS, PODS, "/apis"):
        await gateway.request("GET", path)
    assert gateway.app.gateway is not None
    counts = {(labels["destination"], labels["code"]): count for labels, count in gateway.app.gateway.counts.values()}
    assert counts[("view", "200")] == 1
    assert counts[("passed", "200")] == 1
    assert counts[("document", "200")] == 1

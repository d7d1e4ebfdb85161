"""Run the whole server in one process: SQLite, watch cache, registries, API, filters, TLS."""

from __future__ import annotations

import asyncio
import gc
import socket
from contextlib import asynccontextmanager
from datetime import timedelta
from typing import TYPE_CHECKING, Any

import aiohttp
import orjson
import pytest
from cryptography import x509
from prometheus_client.parser import text_string_to_metric_families

from apiserver.admission.chain import AdmissionChain
from apiserver.admission.namespacelifecycle import NamespaceLifecycle
from apiserver.apis.status import ApiError, service_unavailable
from apiserver.authentication.certificate import EXPIRATION, CertificateAuthenticator
from apiserver.authentication.verification import CertificateVerifier
from apiserver.filters.authorization import Decision, PrivilegedGroup, UnionAuthorizer
from apiserver.registry.catalog import management_catalog
from apiserver.server.app import App, CannotListen, Config, build
from apiserver.server.background import Background
from apiserver.server.tls import ServerTls
from storage.base import Unavailable
from storage.cache import WatchCache
from storage.sqlite import SQLiteStore
from tests.unit.apiserver.authorities import Authority, client_context
from tests.unit.apiserver.server.harness import CLIENTS, SERVER, SERVING

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from pathlib import Path

    from prometheus_client.samples import Sample

    from apiserver.handlers.request.call import RequestInfo
    from apiserver.registry.generic.context import UserInfo
    from tests.unit.apiserver.authorities import Issued

OWNER = CLIENTS.issue("owner", ["system:masters"])
TENANT = CLIENTS.issue("tenant")
MONITOR = CLIENTS.issue("monitor")
WORKLOADS = "/apis/workload.metal3.io/v1alpha1/namespaces/team/workloads"
WORKLOAD = {
    "apiVersion": "workload.metal3.io/v1alpha1",
    "kind": "Workload",
    "metadata": {"name": "one"},
    "spec": {"className": "metal", "image": {"url": "https://images.example/os.qcow2", "checksum": "https://images.example/os.sum"}},
}

LIVEZ = b"GET /livez HTTP/1.1\r\nHost: localhost\r\n\r\n"


class Namespaces:
    """Return two namespaces, one of them terminating."""

    async def get(self, name: str, *, live: bool = False) -> dict[str, Any] | None:
        phases = {"team": "Active", "leaving": "Terminating"}
        return {"metadata": {"name": name}, "status": {"phase": phases[name]}} if name in phases else None


class TeamOnly:
    """Allow the tenant its namespace and discovery, and the monitor its metrics."""

    async def authorize(self, user: UserInfo, info: RequestInfo) -> Decision:
        if user.name == "monitor":
            return Decision(info.path == "/metrics")
        return Decision(info.namespace == "team" or (not info.is_resource and info.path.startswith("/apis")))


def app_of(folder: Path, **changes: Any) -> App:
    cache = WatchCache(SQLiteStore(folder / "db", synchronous="off"))
    catalog = management_catalog(cache, admission=AdmissionChain([NamespaceLifecycle(Namespaces())]))

    async def tls() -> ServerTls:
        return ServerTls(SERVER.pem, SERVER.key_pem, [CLIENTS.certificate])

    config: dict[str, Any] = {
        "cache": cache,
        "registries": catalog.registries,
        "authenticator": CertificateAuthenticator(CertificateVerifier([CLIENTS.certificate])),
        "authorizer": UnionAuthorizer([PrivilegedGroup(), TeamOnly()]),
        "tls": tls,
    }
    return build(Config(**{**config, **changes}))


@asynccontextmanager
async def client(app: App, certificate: Any = OWNER) -> AsyncIterator[aiohttp.ClientSession]:
    connector = aiohttp.TCPConnector(ssl=client_context(SERVING, certificate))
    async with aiohttp.ClientSession(app.url, connector=connector, timeout=aiohttp.ClientTimeout(total=60)) as session:
        yield session


async def test_a_workload_lives_and_outlives_a_restart(tmp_path: Path) -> None:
    async with app_of(tmp_path) as app, client(app, TENANT) as tenant:
        async with tenant.post(WORKLOADS, json=WORKLOAD) as response:
            assert (response.status, (await response.json())["metadata"]["generation"]) == (201, 1)
        async with tenant.get(f"{WORKLOADS}/one") as response:
            before = await response.json()
        async with tenant.get("/apis/workload.metal3.io/v1alpha1/workloads") as response:
            assert response.status == 403
    async with app_of(tmp_path) as app, client(app, TENANT) as tenant, tenant.get(f"{WORKLOADS}/one") as response:
        assert await response.json() == before


@pytest.mark.parametrize(("namespace", "status", "reason"), [("missing", 404, "NotFound"), ("leaving", 403, "Forbidden")])
async def test_nothing_is_created_where_no_namespace_is(tmp_path: Path, namespace: str, status: int, reason: str) -> None:
    url = WORKLOADS.replace("team", namespace)
    async with app_of(tmp_path) as app, client(app) as owner, owner.post(url, json=WORKLOAD) as response:
        body = await response.json()
    assert (body["code"], body["reason"]) == (status, reason)
    if status == 404:
        assert body["message"] == 'namespaces "missing" not found'
    else:
        assert body["details"]["causes"][0]["reason"] == "NamespaceTerminating"


async def test_refused_requests_leave_nothing_behind(tmp_path: Path) -> None:
    refused = [{**WORKLOAD, "spec": {"online": "no"}}, {**WORKLOAD, "metadata": {"name": "-"}}, {**WORKLOAD, "kind": "Other"}]
    async with app_of(tmp_path) as app, client(app) as session:
        gc.collect()
        gc.disable()
        before = {id(found) for found in gc.get_objects() if isinstance(found, ApiError)}
        try:
            for body in refused * 3:
                async with session.post(WORKLOADS, data=orjson.dumps(body)) as response:
                    assert 400 <= response.status < 500
            async with session.get(f"{WORKLOADS}/none") as response:
                assert response.status == 404
            assert [found for found in gc.get_objects() if isinstance(found, ApiError) and id(found) not in before] == []
        finally:
            gc.enable()


async def test_discovery_version_and_metrics(tmp_path: Path) -> None:
    async with app_of(tmp_path) as app, client(app) as owner, client(app, TENANT) as tenant:
        async with tenant.get("/apis") as response:
            groups = {group["name"] for group in (await response.json())["groups"]}
        assert groups == {"workload.metal3.io", "metal3.io"}
        for path in ("/version", "/metrics", "/openapi/v3"):
            async with tenant.get(path) as response:
                assert (response.status, (await response.json())["reason"]) == (403, "Forbidden")
            async with owner.get(path) as response:
                assert response.status == 200
        async with owner.post("/metrics") as response:
            assert response.status == 405
        async with client(app, MONITOR) as monitor, monitor.get("/metrics") as response:
            text = await response.text()
    assert 'apiserver_resource_objects{group="workload.metal3.io",resource="workloads"} 0.0\n' in text
    assert 'apiserver_current_inflight_requests{request_kind="readOnly"} 1.0\n' in text
    assert 'apiserver_event_loop_step_seconds_bucket{le="+Inf"} ' in text
    assert "apiserver_event_loop_step_seconds_count 0.0" not in text, "steps of requests are measured"
    assert "apiserver_event_loop_delay_seconds_count " in text
    for name in ("process_resident_memory_bytes ", "process_open_fds ", "python_gc_collections_total{", "python_info{"):
        assert f"\n{name}" in text
    assert "_created" not in text
    level = '{flow_schema="workloads",priority_level="workloads"}'
    for name, value in {"dispatched_requests_total": 5, "current_executing_seats": 1, "nominal_limit_seats": 300}.items():
        assert f"apiserver_flowcontrol_{name}{level} {value}.0\n" in text
    assert f"apiserver_flowcontrol_current_inqueue_requests{level} 0.0\n" in text


async def test_the_storage_is_measured_by_operation_and_kind(tmp_path: Path) -> None:
    async with app_of(tmp_path) as app, client(app, TENANT) as tenant:
        for name in ("one", "two", "two"):
            async with tenant.post(WORKLOADS, json={**WORKLOAD, "metadata": {"name": name}}):
                pass
        async with tenant.patch(
            f"{WORKLOADS}/one", json={"spec": {"online": False}}, headers={"Content-Type": "application/merge-patch+json"}
        ) as response:
            assert response.status == 200
        async with tenant.delete(f"{WORKLOADS}/two") as response:
            assert response.status == 200
        value = app.metrics.registry.get_sample_value
        of_kind = {"group": "workload.metal3.io", "resource": "workloads"}
        for operation, number in {"create": 2, "update": 1, "delete": 1}.items():
            assert value("etcd_request_duration_seconds_count", {"operation": operation, **of_kind}) == number
            assert value("etcd_requests_total", {"operation": operation, **of_kind}) == number
            assert not value("etcd_request_errors_total", {"operation": operation, **of_kind})
        assert value("apiserver_storage_objects", {"resource": "workloads.workload.metal3.io"}) == 1
        assert value("apiserver_resource_objects", of_kind) == 1
        assert value("apiserver_watch_cache_events_received_total", of_kind) == 4
        assert value("apiserver_watch_cache_resource_version", of_kind) == app._config.cache.revision
        used, limit = (value(f"metal3_workloads_watch_history_{name}bytes") for name in ("", "limit_"))
        assert used is not None
        assert limit is not None
        assert 0 < used < limit


async def test_failed_requests_to_the_storage_are_counted(tmp_path: Path) -> None:
    async with app_of(tmp_path) as app, client(app, TENANT) as tenant:

        async def fail(operations: object) -> int:
            raise Unavailable("of the test")

        app._config.cache._inner.commit = fail  # type: ignore[method-assign] # in place of the object's own
        async with tenant.post(WORKLOADS, json=WORKLOAD) as response:
            assert response.status == 503
        labels = {"operation": "create", "group": "workload.metal3.io", "resource": "workloads"}
        assert app.metrics.registry.get_sample_value("etcd_request_errors_total", labels) == 1


async def test_the_end_of_the_serving_certificate_is_shown_and_follows_its_renewal(tmp_path: Path) -> None:
    served: list[ServerTls] = []

    async def tls() -> ServerTls:
        served.append(ServerTls(SERVER.pem, SERVER.key_pem, [CLIENTS.certificate]))
        return served[0]

    def expires(issued: Issued) -> float:
        return x509.load_pem_x509_certificate(issued.pem).not_valid_after_utc.timestamp()

    name = "metal3_workloads_serving_certificate_expiration_timestamp_seconds"
    async with app_of(tmp_path, tls=tls) as app:
        assert app.metrics.registry.get_sample_value(name) == expires(SERVER)
        renewed = Authority("another", end=timedelta(days=9)).server()
        served[0].serve(renewed.pem, renewed.key_pem)
        assert app.metrics.registry.get_sample_value(name) == expires(renewed)


async def test_health_checks_are_named_addressed_and_excluded(tmp_path: Path) -> None:
    broken = True

    async def check() -> None:
        if broken:
            raise service_unavailable("canary")

    async with app_of(tmp_path, ready={"upstream": check}) as app, client(app, None) as anybody:
        for path, status in {
            "/healthz": 200,
            "/livez": 200,
            "/readyz": 500,
            "/readyz/ping": 200,
            "/readyz/upstream": 500,
            "/livez/upstream": 404,
            "/readyz/nothing": 404,
            "/readyz?exclude=upstream": 200,
        }.items():
            async with anybody.get(path) as response:
                assert (path, response.status) == (path, status)
                assert "canary" not in await response.text()
        async with anybody.get("/readyz?verbose&exclude=ping&exclude=x") as response:
            assert (await response.text()).splitlines() == [
                "[+]ping excluded: ok",
                "[+]watch-cache ok",
                "[+]storage ok",
                "[+]shutdown ok",
                "[-]upstream failed: reason withheld",
                'warn: some health checks cannot be excluded: no matches for "x"',
                "readyz check failed",
            ]
        broken = False
        async with anybody.get("/readyz") as response:
            assert (response.status, await response.text()) == (200, "ok")


async def test_a_server_that_only_a_restart_helps_says_so(tmp_path: Path) -> None:
    cache = WatchCache(SQLiteStore(tmp_path / "other", synchronous="off"))
    async with app_of(tmp_path, cache=cache) as app, client(app, None) as anybody:
        for failure, status in ((None, 200), ("canary", 500)):
            cache.failure = failure
            for path in ("/livez", "/readyz", "/livez/watch-cache"):
                async with anybody.get(path) as response:
                    assert (path, response.status) == (path, status)
                    assert "canary" not in await response.text()


async def test_watches_waits_and_the_clients_certificates_have_kube_apiservers_metrics(tmp_path: Path) -> None:
    async with app_of(tmp_path, collectors=(EXPIRATION,)) as app, client(app) as owner, client(app, TENANT) as tenant:
        every = WORKLOADS.replace("/namespaces/team", "")
        async with tenant.get(f"{WORKLOADS}?watch=true") as one, owner.get(f"{every}?watch=true") as other:
            assert (one.status, other.status) == (200, 200)
            families = {family.name: family for family in text_string_to_metric_families(await _metrics(owner))}
        kind = {"component": "apiserver", "verb": "WATCH", "group": "workload.metal3.io", "version": "v1alpha1", "resource": "workloads"}
        watches = {sample.labels["scope"]: sample for sample in families["apiserver_longrunning_requests"].samples}
        assert {scope: sample.value for scope, sample in watches.items()} == {"namespace": 1, "cluster": 1}
        assert watches["cluster"].labels == {**kind, "subresource": "", "scope": "cluster"}
        async with tenant.get(WORKLOADS) as response:
            assert response.status == 200
        waits = await _samples(owner, "apiserver_flowcontrol_request_wait_duration_seconds")
        [count] = [
            sample
            for sample in waits
            if sample.name.endswith("_count") and (sample.labels["priority_level"], sample.labels["execute"]) == ("workloads", "true")
        ]
        assert count.value >= 1
        lifetimes = await _samples(owner, "apiserver_client_certificate_expiration_seconds")
        assert {sample.labels["le"] for sample in lifetimes if sample.name.endswith("_bucket")} >= {"1800.0", "86400.0", "+Inf"}
        assert next(sample.value for sample in lifetimes if sample.name.endswith("_count")) >= 3


async def _metrics(session: aiohttp.ClientSession) -> str:
    async with session.get("/metrics") as response:
        return await response.text()


async def _samples(session: aiohttp.ClientSession, name: str) -> list[Sample]:
    return next(family.samples for family in text_string_to_metric_families(await _metrics(session)) if family.name == name)


async def test_stopping_ends_watches_whole_and_finishes_requests(tmp_path: Path) -> None:
    app = app_of(tmp_path, delay_seconds=0.3)
    async with client(await started(app)) as owner:
        async with owner.get(f"{WORKLOADS}?watch=true&allowWatchBookmarks=true") as watch:
            assert (watch.status, len(watch.headers["Audit-ID"]), "Server" in watch.headers) == (200, 36, False)
            async with owner.post(WORKLOADS, json=WORKLOAD) as response:
                assert response.status == 201
            first = orjson.loads(await watch.content.readline())
            stopping = asyncio.create_task(app.stop())
            async with asyncio.timeout(60):
                while True:
                    async with owner.get("/readyz") as response:
                        if response.status == 500:
                            break
            # Nothing raises, because the response ends properly.
            rest = [orjson.loads(line) async for line in watch.content]
        await stopping
    assert first["type"] == "ADDED"
    assert [event["type"] for event in rest] == ["BOOKMARK"]
    await app.stop()


async def test_while_it_lingers_requests_are_served_and_their_connections_close(tmp_path: Path) -> None:
    app = await started(app_of(tmp_path, delay_seconds=3))
    async with client(app) as owner:
        async with owner.get(f"{WORKLOADS}?watch=true") as watch, owner.post(WORKLOADS, json=WORKLOAD) as response:
            assert (watch.status, response.status, response.headers.get("Connection")) == (200, 201, None)
            stopping = asyncio.create_task(app.stop())
            await asyncio.sleep(0)
            for method, path, body, status in (
                ("POST", WORKLOADS, {"kind": "Other"}, 400),
                ("DELETE", f"{WORKLOADS}/one", None, 200),
                ("GET", "/livez", None, 200),
            ):
                async with owner.request(method, path, json=body) as response:
                    assert (response.status, response.headers["Connection"]) == (status, "close")
            events = [orjson.loads(line)["type"] async for line in watch.content]
        await stopping
    assert events == ["ADDED", "DELETED"], "watches go on until the port closes"


async def test_unused_connections_are_left_to_their_clients_to_close(tmp_path: Path) -> None:
    """A request may be on its way on any open connection, so the server must not close one
    first."""
    app = await started(app_of(tmp_path, idle_seconds=600))
    async with client(app) as owner, owner.get(f"{WORKLOADS}?watch=true") as watch:
        assert watch.headers["Connection"] == "close", "no request can meet the end of a watch"
        reserve, unused, used = [await asyncio.open_connection("127.0.0.1", app.port, ssl=client_context(SERVING, None)) for _ in range(3)]
        for reader, writer in (unused, used):
            writer.write(LIVEZ)
            assert (await answer_of(reader)).endswith(b"ok")
        stopping = asyncio.create_task(app.stop())
        assert await watch.content.read() == b""
        # A client may still use what it has, and open new connections: each gets an answer.
        late = await asyncio.open_connection("127.0.0.1", app.port, ssl=client_context(SERVING, None))
        for reader, writer in (used, reserve, late):
            writer.write(LIVEZ)
            answer = await reader.read()
            assert answer.startswith(b"HTTP/1.1 200")
            assert b"Connection: close" in answer
        assert not stopping.done()
        assert not unused[0].at_eof()
        for _, writer in (reserve, unused, used, late):
            writer.close()
    async with asyncio.timeout(60):
        await stopping


async def test_connections_that_their_clients_never_close_do_not_keep_it(tmp_path: Path) -> None:
    app = await started(app_of(tmp_path, idle_seconds=0.2))
    reader, writer = await asyncio.open_connection("127.0.0.1", app.port, ssl=client_context(SERVING, None))
    await app.stop()
    assert await reader.read() == b""
    writer.close()


async def answer_of(reader: asyncio.StreamReader) -> bytes:
    """Return the head and body of one answer on a connection that stays open."""
    head = await reader.readuntil(b"\r\n\r\n")
    (length,) = (line.split(b":")[1] for line in head.split(b"\r\n") if line.lower().startswith(b"content-length"))
    return head + await reader.readexactly(int(length))


async def started(app: App) -> App:
    await app.start()
    return app


async def test_a_taken_port_is_reported_and_nothing_is_left_running(tmp_path: Path) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        with pytest.raises(CannotListen, match="taken by another process"):
            await app_of(tmp_path, port=taken.getsockname()[1]).start()
    # The database can be opened again.
    async with app_of(tmp_path):
        pass


async def test_a_crashed_task_is_started_again() -> None:
    runs, twice = 0, asyncio.Event()

    async def crash() -> None:
        nonlocal runs
        runs += 1
        if runs == 2:
            twice.set()
            await asyncio.Event().wait()
        raise RuntimeError("once")

    background = Background(first_pause=0.01)
    background.start("crash", crash)
    async with asyncio.timeout(60):
        await twice.wait()
    await background.stop()


async def test_a_check_that_hangs_has_failed(tmp_path: Path) -> None:
    async def hang() -> None:
        await asyncio.Event().wait()

    async with (
        app_of(tmp_path, ready={"hangs": hang}, check_seconds=0.05) as app,
        client(app, None) as anybody,
        anybody.get("/readyz") as response,
    ):
        assert (response.status, "[-]hangs failed" in await response.text()) == (500, True)

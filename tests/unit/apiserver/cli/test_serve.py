"""Run `serve` as a whole beside a small management cluster, and check what it says to input that
cannot work."""

from __future__ import annotations

import argparse
import asyncio
import base64
import json
import socket
from contextlib import asynccontextmanager, suppress
from typing import TYPE_CHECKING, Any

import aiohttp
import pytest
from cryptography.hazmat.primitives.serialization import Encoding

from apiserver.cli import serve
from apiserver.cli.main import main
from apiserver.cli.running import UsageError
from apiserver.cli.storageflags import size
from apiserver.server.servingcert import AUTHORITY_KEY
from storage.base import Put
from storage.sqlite import SQLiteStore
from storage.testing.harness import opened
from storage.transfer import MARK
from tests.unit.apiserver.authorities import Authority, Issued, client_context
from tests.unit.apiserver.cli.management import FakeManagement

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from pathlib import Path

PROXIES, CLIENTS, NEWER = Authority("proxies"), Authority("clients"), Authority("newer proxies")
PROXY = PROXIES.issue("front-proxy-client")
WORKLOADS = "/apis/workload.metal3.io/v1alpha1/namespaces/team/workloads"
WORKLOAD = {"apiVersion": "workload.metal3.io/v1alpha1", "kind": "Workload", "metadata": {"name": "one"}, "spec": {"className": "metal"}}

POLICY = """
apiVersion: audit.k8s.io/v1
kind: Policy
rules:
- level: Metadata
  resources: [{group: workload.metal3.io}]
"""

BESIDE = ("--gateway", "--host-view-group", "workload.metal3.io")


def pem(authority: Authority) -> str:
    return authority.certificate.public_bytes(Encoding.PEM).decode()


def config_map(proxies: Authority) -> dict[str, str]:
    return {
        "client-ca-file": pem(CLIENTS),
        "requestheader-client-ca-file": pem(proxies),
        "requestheader-allowed-names": json.dumps(["front-proxy-client"]),
        "requestheader-username-headers": json.dumps(["X-Remote-User"]),
        "requestheader-group-headers": json.dumps(["X-Remote-Group"]),
        "requestheader-extra-headers-prefix": json.dumps(["X-Remote-Extra-"]),
    }


def arguments(*given: str) -> argparse.Namespace:
    parser = argparse.ArgumentParser()
    serve.configure(parser)
    return parser.parse_args(given)


@pytest.fixture
async def management() -> AsyncIterator[FakeManagement]:
    async with FakeManagement(config_map(PROXIES)).serving() as fake:
        yield fake


class Served:
    """Describe a running `serve`."""

    def __init__(self, port: int, authority: str) -> None:
        self.url, self.authority = f"https://localhost:{port}", authority

    async def request(self, method: str, path: str, certificate: Issued | None = None, **options: Any) -> tuple[int, Any]:
        """Return status and body of a request over a connection of its own."""
        context = client_context(CLIENTS, certificate)
        context.load_verify_locations(cadata=self.authority)
        session = aiohttp.ClientSession(connector=aiohttp.TCPConnector(ssl=context), timeout=aiohttp.ClientTimeout(total=60))
        async with session, session.request(method, self.url + path, **options) as response:
            body = await response.read()
            return response.status, json.loads(body) if response.content_type == "application/json" else body.decode()


@asynccontextmanager
async def running(management: FakeManagement, folder: Path, *more: str) -> AsyncIterator[Served]:
    """Run `serve` until the end of the block. Yield it once it is ready, with the authority that it
    put into the APIServices."""
    port_file = folder / "port"
    given = ["--storage", f"sqlite:///{folder}/db", "--kubeconfig", str(management.kubeconfig(folder)), "--secure-port", "0"]
    task = asyncio.create_task(serve._serve(arguments(*given, "--port-file", str(port_file), *more)))
    try:
        async with asyncio.timeout(60):
            bundles = {name: patch["spec"]["caBundle"] for name, patch in [await management.patches.get() for _ in range(2)]}
            assert bundles.keys() == {"v1alpha1.metal3.io", "v1alpha1.workload.metal3.io"}
            # Tasks start before the port is open.
            while not port_file.exists():
                assert not task.done()
                await asyncio.sleep(0.01)
            served = Served(int(port_file.read_text()), base64.b64decode(bundles["v1alpha1.metal3.io"]).decode())
            while (await served.request("GET", "/readyz"))[0] != 200:
                pass
        yield served
    finally:
        task.cancel()
        with suppress(asyncio.CancelledError):
            await task
        port_file.unlink(missing_ok=True)


async def test_serve(management: FakeManagement, tmp_path: Path) -> None:
    management.permitted = {("alice", "create"), ("alice", "get"), ("robot", "get"), ("carol", "get")}
    management.tokens = {"t0ken": "robot"}
    as_alice = {"X-Remote-User": "alice"}
    async with running(management, tmp_path) as served:
        status, body = await served.request("POST", WORKLOADS, PROXY, headers=as_alice, json=WORKLOAD)
        assert (status, body["kind"]) == (201, "Workload")
        status, body = await served.request("DELETE", f"{WORKLOADS}/one", PROXY, headers=as_alice)
        assert (status, body["reason"]) == (403, "Forbidden")
        status, body = await served.request("POST", WORKLOADS.replace("team", "nowhere"), PROXY, headers=as_alice, json=WORKLOAD)
        assert (status, body["message"]) == (404, 'namespaces "nowhere" not found')
        assert (await served.request("GET", f"{WORKLOADS}/one", headers={"Authorization": "Bearer t0ken"}))[0] == 200
        assert (await served.request("GET", f"{WORKLOADS}/one", CLIENTS.issue("carol"), headers=as_alice))[0] == 200
        assert (await served.request("GET", f"{WORKLOADS}/one", headers={"Authorization": "Bearer other"}))[0] == 401
        # The front proxy's authority changes while the server runs.
        newer = NEWER.issue("front-proxy-client")
        with pytest.raises((aiohttp.ClientError, ConnectionError)):
            await served.request("GET", f"{WORKLOADS}/one", newer, headers=as_alice)
        management.change_config_map(config_map(NEWER))
        async with asyncio.timeout(60):
            while True:
                with suppress(aiohttp.ClientError, ConnectionError):
                    if (await served.request("GET", f"{WORKLOADS}/one", newer, headers=as_alice))[0] == 200:
                        break
        with pytest.raises((aiohttp.ClientError, ConnectionError)):
            await served.request("GET", f"{WORKLOADS}/one", PROXY, headers=as_alice)
        authority = served.authority
    async with running(management, tmp_path, "--host-view-group", "metal3.io") as served:
        assert served.authority == authority, "restarts keep the authority"
        assert (await served.request("GET", f"{WORKLOADS}/one", newer, headers=as_alice))[0] == 200


async def test_a_backup_has_no_key_and_a_server_on_it_makes_a_new_authority(management: FakeManagement, tmp_path: Path) -> None:
    database, copy = tmp_path / "db", tmp_path / "copy"
    management.permitted |= {("alice", "create"), ("alice", "get")}
    async with running(management, tmp_path) as served:
        before = served.authority
        assert (await served.request("POST", WORKLOADS, CLIENTS.issue("alice"), json=WORKLOAD))[0] == 201
        assert await asyncio.to_thread(main, ["backup", "--storage", f"sqlite:///{database}", str(copy)]) == 0
    async with opened(SQLiteStore(database)) as store:
        kept = await store.get(AUTHORITY_KEY)
        assert kept is not None
    content = copy.read_bytes()
    assert b"PRIVATE KEY" not in content
    assert kept.value not in content
    assert await asyncio.to_thread(main, ["restore", str(copy), "--storage", f"sqlite:///{database}", "--force"]) == 0
    async with running(management, tmp_path) as served:
        assert served.authority != before
        assert (await served.request("GET", f"{WORKLOADS}/one", CLIENTS.issue("alice")))[0] == 200


async def test_the_clusters_quotas_count(management: FakeManagement, tmp_path: Path) -> None:
    counted = "count/workloads.workload.metal3.io"
    metadata = {"name": "q", "namespace": "team", "uid": "q", "resourceVersion": "1"}
    quota = {"metadata": metadata, "spec": {"hard": {counted: "1"}}, "status": {"hard": {counted: "1"}, "used": {counted: "0"}}}
    management.others["/api/v1/resourcequotas"] = [quota]
    management.permitted = {("alice", "create")}
    as_alice = {"X-Remote-User": "alice"}
    async with running(management, tmp_path) as served:
        assert (await served.request("POST", WORKLOADS, PROXY, headers=as_alice, json=WORKLOAD))[0] == 201
        other = {**WORKLOAD, "metadata": {"name": "two"}}
        status, body = await served.request("POST", WORKLOADS, PROXY, headers=as_alice, json=other)
    why = f"exceeded quota: q, requested: {counted}=1, used: {counted}=1, limited: {counted}=1"
    assert (status, body["message"]) == (403, f'workloads.workload.metal3.io "two" is forbidden: {why}')


async def test_the_clusters_webhooks_are_asked(management: FakeManagement, tmp_path: Path) -> None:
    rule = {"operations": ["*"], "apiGroups": ["*"], "apiVersions": ["*"], "resources": ["*"]}
    webhook = {"name": "w", "rules": [rule], "clientConfig": {"url": "https://127.0.0.1:1/"}, "admissionReviewVersions": ["v1"]}
    path = "/apis/admissionregistration.k8s.io/v1/validatingwebhookconfigurations"
    management.others[path] = [{"metadata": {"name": "c", "uid": "c", "resourceVersion": "1"}, "webhooks": [webhook]}]
    management.permitted = {("alice", "create")}
    async with running(management, tmp_path) as served:
        status, body = await served.request("POST", WORKLOADS, PROXY, headers={"X-Remote-User": "alice"}, json=WORKLOAD)
    assert status == 500
    assert body["message"].startswith('Internal error occurred: failed calling webhook "w": failed to call webhook: it cannot be reached')


async def test_requests_are_audited(management: FakeManagement, tmp_path: Path) -> None:
    management.permitted = {("alice", "create"), ("alice", "get")}
    policy, log = tmp_path / "policy", tmp_path / "audit.log"
    policy.write_text(POLICY)
    as_alice = {"X-Remote-User": "alice", "Audit-ID": "an-id"}
    async with running(management, tmp_path, "--audit-policy-file", str(policy), "--audit-log-path", str(log)) as served:
        assert (await served.request("POST", WORKLOADS, PROXY, headers=as_alice, json=WORKLOAD))[0] == 201
        text = (await served.request("GET", "/metrics", PROXY, headers=as_alice))[1]
        assert "# TYPE apiserver_audit_event_total counter" in text
        assert 'apiserver_audit_error_total{plugin="log"} 0.0' in text
    events = [json.loads(line) for line in log.read_text().splitlines()]
    assert [(event["stage"], event["auditID"], event["user"]["username"]) for event in events] == [
        ("RequestReceived", "an-id", "alice"),
        ("ResponseComplete", "an-id", "alice"),
    ]


async def test_serve_beside_the_baremetal_operator_owns_one_group(management: FakeManagement, tmp_path: Path) -> None:
    given = ["--storage", f"sqlite:///{tmp_path}/db", "--kubeconfig", str(management.kubeconfig(tmp_path)), "--secure-port", "0"]
    task = asyncio.create_task(serve._serve(arguments(*given, "--host-view-group", "workload.metal3.io")))
    async with asyncio.timeout(60):
        assert (await management.patches.get())[0] == "v1alpha1.workload.metal3.io"
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert management.patches.empty()


async def test_serve_with_a_gateway(management: FakeManagement, tmp_path: Path) -> None:
    management.tokens, management.permitted = {"t0ken": "robot"}, {("robot", "list")}
    port_file = tmp_path / "gateway-port"
    given = ["--storage", f"sqlite:///{tmp_path}/db", "--kubeconfig", str(management.kubeconfig(tmp_path)), "--secure-port", "0"]
    flags = ("--gateway-port", "0", "--gateway-port-file", str(port_file), "--gateway-tls-san", "metal3.example")
    task = asyncio.create_task(serve._serve(arguments(*given, *BESIDE, *flags)))
    try:
        async with asyncio.timeout(60):
            bundle = (await management.patches.get())[1]["spec"]["caBundle"]
            while not port_file.exists():
                assert not task.done()
                await asyncio.sleep(0.01)
            served = Served(int(port_file.read_text()), base64.b64decode(bundle).decode())
            while (await served.request("GET", "/readyz"))[0] != 200:
                pass
            as_robot = {"Authorization": "Bearer t0ken"}
            status, body = await served.request("GET", "/apis/metal3.io/v1alpha1/baremetalhosts", headers=as_robot)
            assert (status, body["kind"]) == (200, "BareMetalHostList")
            status, body = await served.request("GET", "/api/v1/namespaces/team", headers=as_robot)
            assert (status, body["metadata"]["name"]) == (200, "team")
            assert (await served.request("GET", "/api/v1/namespaces/team", CLIENTS.issue("carol")))[0] == 401
    finally:
        task.cancel()
        with suppress(asyncio.CancelledError):
            await task


@pytest.mark.parametrize(
    ("given", "said"),
    [
        (["--storage", "sqlite:///{}/none/db"], "there is no folder"),
        (["--storage", "sqlite:///{}"], "that is a folder"),
        (["--storage", "mysql://u:canary@h/d"], "give sqlite:///PATH"),
        (["--storage", "canary"], "give sqlite:///PATH"),
        (["--kubeconfig", "{}/none"], "there is no kubeconfig"),
        (["--kubeconfig", "{}/nonsense"], "--kubeconfig"),
        (["--tls-cert-file", "{}/nonsense"], "belong together"),
        (["--tls-cert-file", "{}/none", "--tls-private-key-file", "{}/none"], "cannot be read"),
        (["--tls-cert-file", "{}/nonsense", "--tls-private-key-file", "{}/nonsense"], "must be PEM"),
        (["--client-ca-file", "{}/none"], "No such file"),
        (["--client-ca-file", "{}/nonsense"], "no PEM certificate"),
        (["--bind-address", "192.0.2.1"], "no address of this machine"),
        (["--port-file", "{}/none/port"], "--port-file"),
        (["--audit-log-path", "-"], "--audit-policy-file and --audit-log-path belong together"),
        (["--audit-policy-file", "{}/none", "--audit-log-path", "-"], "No such file"),
        (["--audit-policy-file", "{}/nonsense", "--audit-log-path", "-"], "not YAML"),
        (["--audit-policy-file", "{}/policy", "--audit-log-path", "{}/none/log"], "--audit-log-path"),
        (["--gateway"], "--host-view-group=workload.metal3.io"),
        (["--gateway-tls-san", "x"], "give --gateway as well"),
        ([*BESIDE, "--gateway-tls-cert-file", "{}/nonsense"], "--gateway-tls-private-key-file belong together"),
        ([*BESIDE, "--gateway-bind-address", "192.0.2.1"], "--gateway-port: 192.0.2.1 is no address"),
        ([*BESIDE, "--gateway-port", "0", "--gateway-port-file", "{}/none/port"], "--gateway-port-file"),
    ],
)
async def test_input_that_cannot_work_is_reported_in_a_sentence(
    management: FakeManagement, tmp_path: Path, given: list[str], said: str
) -> None:
    (tmp_path / "nonsense").write_text("nonsense: [canary")
    (tmp_path / "policy").write_text(POLICY)
    usual = ["--storage", f"sqlite:///{tmp_path}/db", "--kubeconfig", str(management.kubeconfig(tmp_path)), "--secure-port", "0"]
    with pytest.raises(UsageError, match=said) as caught:
        async with asyncio.timeout(60):
            await serve._serve(arguments(*usual, *(text.replace("{}", str(tmp_path)) for text in given)))
    assert "canary" not in str(caught.value)
    assert "Traceback" not in str(caught.value)


async def test_the_target_of_an_unfinished_migration_is_not_served(management: FakeManagement, tmp_path: Path) -> None:
    kubeconfig = str(management.kubeconfig(tmp_path))
    async with opened(SQLiteStore(tmp_path / "db")) as store:
        await store.commit([Put(MARK, b"")])
    reported = arguments("--storage", f"sqlite:///{tmp_path}/db", "--kubeconfig", kubeconfig, "--secure-port", "0")
    with pytest.raises(UsageError, match="run metal3-workloads migrate with the same --from and --to again"):
        await serve._serve(reported)


async def test_a_taken_port_and_a_taken_database_are_reported(management: FakeManagement, tmp_path: Path) -> None:
    usual = ["--storage", f"sqlite:///{tmp_path}/db", "--kubeconfig", str(management.kubeconfig(tmp_path))]
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        with pytest.raises(UsageError, match="taken by another process"):
            await serve._serve(arguments(*usual, "--secure-port", str(taken.getsockname()[1])))
    async with running(management, tmp_path):
        with pytest.raises(UsageError, match="--storage"):
            await serve._serve(arguments(*usual, "--secure-port", "0"))


@pytest.mark.parametrize(("text", "wanted"), [("1048576", 1 << 20), ("512Mi", 512 << 20), ("2Gi", 2 << 30)])
def test_sizes_are_bytes(text: str, wanted: int) -> None:
    assert size(text) == wanted


@pytest.mark.parametrize("text", ["", "0", "1000", "-1Gi", "1.5Gi", "1G", "1Mi ", "9" * 40, "²Gi"])
def test_sizes_that_are_none(text: str) -> None:
    with pytest.raises(argparse.ArgumentTypeError, match="512Mi"):
        size(text)


@pytest.mark.parametrize("port", ["-1", "65536", "x"])
def test_ports_are_numbers_of_ports(port: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        arguments("--storage", "x", "--secure-port", port)
    assert "--secure-port" in capsys.readouterr().err


def test_names_of_a_self_made_certificate() -> None:
    assert serve.names(["a.svc", "localhost"], "10.0.0.1")[:2] == ["a.svc", "localhost"]
    assert serve.names([], "10.0.0.1")[-1] == "10.0.0.1"
    assert "0.0.0.0" not in serve.names([], "0.0.0.0")

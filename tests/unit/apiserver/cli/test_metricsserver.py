"""Check the metrics' port: what it shows, and to whom."""

from __future__ import annotations

import asyncio
import ssl
from contextlib import asynccontextmanager, suppress
from typing import TYPE_CHECKING

import aiohttp
import pytest
from cryptography.hazmat.primitives.serialization import Encoding
from prometheus_client import Gauge

from apiserver.cli.metricsserver import MetricsServer
from apiserver.cli.running import UsageError
from apiserver.client.client import Client
from tests.unit.apiserver.authorities import Authority
from tests.unit.apiserver.cli.management import FakeManagement

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from pathlib import Path


@asynccontextmanager
async def running(management: FakeManagement, folder: Path, files: tuple[Path, Path] | None = None) -> AsyncIterator[MetricsServer]:
    """Serve until the end of the block."""
    async with Client(str(management.kubeconfig(folder))) as client:
        server = MetricsServer(client, 0, files=files)
        task = asyncio.create_task(server.run())
        try:
            async with asyncio.timeout(60):
                await server.listening.wait()
            yield server
        finally:
            task.cancel()
            with suppress(asyncio.CancelledError):
                await task


@pytest.fixture
async def management() -> AsyncIterator[FakeManagement]:
    async with FakeManagement({}).serving() as fake:
        fake.tokens = {"prometheus": "prometheus", "tenant": "tenant"}
        fake.permitted = {("prometheus", "get")}
        yield fake


async def get(server: MetricsServer, path: str, token: str = "", context: ssl.SSLContext | None = None) -> tuple[int, str]:
    """Return status and body of a request."""
    headers = {"Authorization": f"Bearer {token}"} if token else {}
    session = aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(total=60))
    async with session, session.get(f"https://localhost:{server.bound}{path}", headers=headers, ssl=context or False) as response:
        return response.status, await response.text()


async def test_only_users_that_may_get_it_see_it(management: FakeManagement, tmp_path: Path) -> None:
    async with running(management, tmp_path) as server:
        Gauge("metal3_workloads_canary", "Of the test.", registry=server.registry).set(7)
        status, text = await get(server, "/metrics", "prometheus")
        assert status == 200
        assert "metal3_workloads_canary 7.0\n" in text
        assert "process_cpu_seconds_total " in text
        for token, refusal in (("tenant", 403), ("forged", 401), ("", 401)):
            status, text = await get(server, "/metrics", token)
            assert status == refusal
            assert "canary" not in text
        assert (await get(server, "/debug", "prometheus"))[0] == 404
        assert (await get(server, "/healthz", "tenant"))[0] in (403, 404), "health is elsewhere"


async def test_without_an_answer_about_users_nothing_is_shown(management: FakeManagement, tmp_path: Path) -> None:
    management.url = "http://127.0.0.1:1"
    async with running(management, tmp_path) as server:
        assert (await get(server, "/metrics", "prometheus"))[0] == 503


async def test_a_certificate_of_ones_own_is_served(management: FakeManagement, tmp_path: Path) -> None:
    authority = Authority("monitoring")
    issued = authority.server()
    files = tmp_path / "tls.crt", tmp_path / "tls.key"
    files[0].write_bytes(issued.pem)
    files[1].write_bytes(issued.key_pem)
    context = ssl.create_default_context()
    context.load_verify_locations(cadata=authority.certificate.public_bytes(Encoding.PEM).decode())
    async with running(management, tmp_path, files) as server:
        assert (await get(server, "/metrics", "prometheus", context))[0] == 200


async def test_a_certificate_or_a_port_that_cannot_be_used_is_named(management: FakeManagement, tmp_path: Path) -> None:
    async with Client(str(management.kubeconfig(tmp_path))) as client:
        with pytest.raises(UsageError, match=r"--metrics-cert-file: .*missing.* cannot be read"):
            await MetricsServer(client, 0, files=(tmp_path / "missing", tmp_path / "missing")).run()
    async with running(management, tmp_path) as server, Client(str(management.kubeconfig(tmp_path))) as client:
        with pytest.raises(UsageError, match=f"--metrics-port {server.bound} of 127.0.0.1 cannot be used"):
            await MetricsServer(client, server.bound).run()

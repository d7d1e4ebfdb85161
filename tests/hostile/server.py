"""Run the server in a thread of the tests, with every step of its loop measured, and provide a
client that sends anything.

The server has real TLS, authentication, flow control and the audit log at its highest level, over
SQLite.
"""

from __future__ import annotations

import asyncio
import gc
import http.client
import ssl
import tempfile
import threading
import time
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Self

from apiserver.admission.chain import AdmissionChain
from apiserver.admission.namespacelifecycle import NamespaceLifecycle
from apiserver.apis.host import host_name
from apiserver.audit.log import AuditLog
from apiserver.audit.policy import Policy
from apiserver.authentication.certificate import CertificateAuthenticator
from apiserver.authentication.token import TokenAuthenticator
from apiserver.authentication.verification import CertificateVerifier
from apiserver.dev.core import LocalNamespaces, core_catalog
from apiserver.dev.policy import TENANT_PREFIX, management_policy
from apiserver.filters.audit import Auditor
from apiserver.filters.authentication import UnionAuthenticator
from apiserver.filters.authorization import MASTERS, PrivilegedGroup, UnionAuthorizer
from apiserver.registry.catalog import management_catalog
from apiserver.registry.generic.context import Context, UserInfo
from apiserver.server.app import App, Config, build
from apiserver.server.memory import tune_garbage_collector
from apiserver.server.pki import Authority
from apiserver.server.tls import ServerTls
from storage.cache import WatchCache
from storage.sqlite import SQLiteStore
from tests.hostile.measure import Cost, Steps

if TYPE_CHECKING:
    from collections.abc import Coroutine, Iterator, Mapping
    from pathlib import Path

    from apiserver.audit.event import Record

TENANT = "tenant-a"
OWNER = Context(UserInfo("owner"))
CLASS = {
    "apiVersion": "workload.metal3.io/v1alpha1",
    "kind": "WorkloadClass",
    "metadata": {"name": "metal"},
    "spec": {"provisioner": "metal3.io/baremetalhost", "allowedNamespaces": {"names": [TENANT]}},
}
REPORT = {
    "name": "node-0",
    "labels": {"rack": "r1"},
    "spec": {"online": False, "bootMACAddress": "00:11:22:33:44:55", "automatedCleaningMode": "metadata"},
    "status": {"operationalStatus": "OK", "errorMessage": "", "poweredOn": False, "provisioning": {"state": "available", "ID": ""}},
}


class Log(AuditLog):
    """A log that knows whether everything is written."""

    put_ = 0

    def put(self, record: Record) -> None:
        self.put_ += 1
        super().put(record)

    @property
    def drained(self) -> bool:
        return self.events + self.errors >= self.put_


class NoTokens:
    """Reviews tokens: none is valid."""

    async def review(self, token: str) -> UserInfo | None:
        return None


@dataclass(frozen=True, slots=True)
class Answer:
    """The answer to a request. Status 0: the connection was closed instead."""

    status: int
    body: bytes = b""

    @property
    def reported(self) -> bool:
        """Return whether the answer is a Status, as the API's documented failures are."""
        return self.status < 400 or self.body.startswith(b'{"kind":"Status"') or b'"Status"' in self.body[:200]


class Client:
    """Sends one request after the other, from the thread of the caller."""

    def __init__(self, port: int, context: ssl.SSLContext) -> None:
        self._port, self._context = port, context
        self._connection: http.client.HTTPSConnection | None = None

    def send(self, method: str, path: str, body: bytes | None = None, headers: Mapping[str, str] | None = None) -> Answer:
        """Send one request, once: a connection that breaks is an answer, too."""
        connection = self._connection or http.client.HTTPSConnection("127.0.0.1", self._port, context=self._context, timeout=50)
        self._connection = None
        try:
            # The server may refuse it before it has arrived completely. The answer can then be
            # read.
            with suppress(BrokenPipeError, ConnectionResetError, ssl.SSLError):
                connection.request(method, path, body, dict(headers or {}))
            response = connection.getresponse()
            answer = Answer(response.status, response.read())
            if response.will_close:
                connection.close()
            else:
                self._connection = connection
            return answer
        except (http.client.HTTPException, ConnectionError, ssl.SSLError):
            connection.close()
            return Answer(0)

    def close(self) -> None:
        """Close the connection. Calling this again has no effect."""
        if self._connection is not None:
            self._connection.close()
            self._connection = None


class Server:
    """The App and its parts, not yet started."""

    def __init__(self, folder: Path) -> None:
        self.authority = Authority.create("hostile")
        self.cache = WatchCache(SQLiteStore(folder / "db", synchronous="off"), history_bytes=32 << 20)
        namespaces = LocalNamespaces()
        admission = AdmissionChain([NamespaceLifecycle(namespaces)])
        self.core = core_catalog(self.cache, admission)
        namespaces.registry = self.core.namespaces
        self.catalog = management_catalog(self.cache, admission=admission, namespaces=namespaces)
        self.tokens = TokenAuthenticator(NoTokens())
        self.audit_path = folder / "audit.jsonl"
        self.log = Log(self.audit_path, gather=0.0)
        self.app = self._app()

    def _app(self) -> App:
        policy = Policy.model_validate({"apiVersion": "audit.k8s.io/v1", "kind": "Policy", "rules": [{"level": "RequestResponse"}]})
        pair = self.authority.server(["127.0.0.1"])

        async def tls() -> ServerTls:
            return ServerTls(pair.certificate, pair.key, [self.authority.certificate])

        verifier = CertificateVerifier([self.authority.certificate])
        return build(
            Config(
                cache=self.cache,
                registries=(*self.core.registries, *self.catalog.registries),
                authenticator=UnionAuthenticator([CertificateAuthenticator(verifier), self.tokens]),
                authorizer=UnionAuthorizer([PrivilegedGroup(), management_policy()]),
                tls=tls,
                auditor=Auditor(policy, self.log),
                audit_log=self.log,
                drain_seconds=1.0,
            )
        )

    async def start(self) -> None:
        """Start with a class, a namespace, one host that is offered to the tenant, and one object
        of each of its kinds."""
        await self.app.start()
        for name in (TENANT, "tenant-b"):
            await self.core.namespaces.create(OWNER, "", {"metadata": {"name": name}})
        await self.catalog.classes.create(OWNER, "", CLASS)
        await self._offer()
        for kind, registry in (("Secret", self.core.secrets), ("ConfigMap", self.core.configmaps)):
            await registry.create(OWNER, TENANT, {"apiVersion": "v1", "kind": kind, "metadata": {"name": "there"}})
        await self.catalog.workloads.create(OWNER, TENANT, {"metadata": {"name": "there"}, "spec": {"className": "metal", "online": False}})

    async def _offer(self) -> None:
        name = host_name("source-0")
        spec = {"className": "metal", "source": {"uid": "source-0", "namespace": "metal3", "name": "node-0"}}
        await self.catalog.hosts.create(OWNER, "", {"metadata": {"name": name}, "spec": spec})

        def status(obj: dict[str, Any]) -> dict[str, Any]:
            return {**obj, "status": {"report": REPORT, "available": True}}

        await self.catalog.hosts.update(OWNER, "", name, status, subresource="status")
        await self.catalog.hosts.connect(OWNER, "", name, "offers", {"namespaces": [TENANT]})

    async def stop(self) -> None:
        await self.app.stop()
        await self.tokens.close()


@dataclass
class Served:
    """A running server, in a loop and thread of its own."""

    server: Server
    loop: asyncio.AbstractEventLoop
    steps: Steps = field(default_factory=Steps)
    clients: list[Client] = field(default_factory=list)

    @classmethod
    @contextmanager
    def running(cls, folder: Path) -> Iterator[Self]:
        """Run for the duration of the block."""
        loop = asyncio.new_event_loop()
        thread = threading.Thread(target=loop.run_forever, name="server", daemon=True)
        thread.start()
        self = cls(Server(folder), loop)
        thresholds = gc.get_threshold()
        try:
            self.await_(self.server.start())
            tune_garbage_collector()  # as `serve` does
            self.steps.watch(loop)
            yield self
        finally:
            self.steps.end()
            gc.set_threshold(*thresholds)
            gc.unfreeze()
            for client in self.clients:
                client.close()
            self.await_(self.server.stop())
            loop.call_soon_threadsafe(loop.stop)
            thread.join()
            loop.close()

    def await_(self, coroutine: Coroutine[Any, Any, Any]) -> Any:
        """Return the result of a coroutine that runs in the server's loop."""
        return asyncio.run_coroutine_threadsafe(coroutine, self.loop).result(30)

    def client(self, user: str = "eve", group: str = TENANT_PREFIX + TENANT, *, certificate: bool = True) -> Client:
        """Return a client of the tenant, of another group, or without a certificate. It is closed
        with the server."""
        context = ssl.create_default_context(cadata=self.server.authority.pair.certificate.decode())
        if certificate:
            _show(context, self.server.authority.client(user, [group]))
        client = Client(self.server.app.port, context)
        self.clients.append(client)
        return client

    def owner(self) -> Client:
        """Return a client of the hardware's owner, who has all permissions."""
        return self.client("owner", MASTERS)

    def cost(self, client: Client, method: str, path: str, body: bytes | None, headers: Mapping[str, str]) -> tuple[Answer, Cost]:
        """Return the answer to one request, and its cost to the server in all its threads."""
        self._settle()
        self.steps.reset()
        began, ours = time.process_time(), time.thread_time()
        answer = client.send(method, path, body, headers)
        self._settle()
        total = time.process_time() - began - (time.thread_time() - ours)
        return answer, Cost(self.steps.longest, max(total, 0.0))

    def _settle(self) -> None:
        """Return when nothing is in progress any more: the answer arrives before the audit log is
        written."""
        self.await_(asyncio.sleep(0))
        while not self.server.log.drained:
            time.sleep(0.001)


def _show(context: ssl.SSLContext, pair: Any) -> None:
    with tempfile.NamedTemporaryFile() as file:
        file.write(pair.certificate + pair.key)
        file.flush()
        context.load_cert_chain(file.name)

"""Start both servers: a kube-apiserver with etcd and the kinds' definitions, and our API server
over SQLite in a thread of this process.

Both serve TLS under the same authority and know the same client certificate and namespaces. Ours
has no controllers and, like the other, no special rules for any kind.
"""

from __future__ import annotations

import asyncio
import http.client
import json
import ssl
import threading
from contextlib import contextmanager
from dataclasses import replace
from http import HTTPStatus
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from apiserver.admission.chain import AdmissionChain
from apiserver.admission.namespacelifecycle import NamespaceLifecycle
from apiserver.admission.policies.mutating import MutatingPolicies
from apiserver.admission.policies.running import Runner
from apiserver.admission.policies.validating import ValidatingPolicies
from apiserver.admission.reinvocation import Mutators
from apiserver.audit.log import AuditLog as AuditFile
from apiserver.audit.policy import Policy
from apiserver.authentication.certificate import CertificateAuthenticator
from apiserver.authentication.verification import CertificateVerifier, load_bundle
from apiserver.client.client import Client
from apiserver.client.objects import Resource
from apiserver.filters.audit import Auditor
from apiserver.filters.authorization import PrivilegedGroup
from apiserver.registry.generic.registry import Registry
from apiserver.registry.generic.resource import SCALE
from apiserver.registry.workloadset import ScaleRegistry
from apiserver.server.app import App, Config, build
from apiserver.server.delegation.policies import ManagementParams, Reviews, mutating_policies, validating_policies
from apiserver.server.tls import ServerTls
from hack.realcluster import pki
from hack.realcluster.client import ApiError, wait_for
from hack.realcluster.components import AuditLog
from hack.realcluster.controlplane import start_cluster, start_etcd
from hack.realcluster.processes import Processes
from hack.realcluster.settings import Folder, Settings
from storage.base import Put
from storage.cache import WatchCache
from storage.sqlite import SQLiteStore
from tests.conformance.case import ROOT, gadget
from tests.conformance.client import ApiServer
from tests.conformance.kinds import GROUP, KINDS, definition
from tests.conformance.policies import MUTATIONS, PARAMS, POLICIES, SENTINEL, labelled, manifests

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine, Iterator, Sequence
    from pathlib import Path

    from apiserver.registry.generic.strategy import Admission
    from hack.realcluster.client import Client as ClusterClient
    from hack.realcluster.controlplane import Cluster, Etcds

LEAVING = "leaving"
"""A namespace that is terminating, on both servers."""
MISSING = "missing"
"""A namespace that exists on neither server."""
START_SECONDS = 60
AUDIT = {"apiVersion": "audit.k8s.io/v1", "kind": "Policy", "omitStages": ["RequestReceived"], "rules": [{"level": "Metadata"}]}
"""The audit policy of both servers."""
AUDITED = "audit.jsonl"
"""The name of the audit log in each server's folder."""


@contextmanager
def kube_apiserver(tools: Path, root: Path) -> Iterator[Cluster]:
    """Run a bare kube-apiserver, which ends with the block together with its etcd."""
    folder = Folder(root)
    folder.create()
    processes = Processes(folder.root)
    try:
        etcd = start_etcd(tools / "etcd", Settings(fsync=False), folder, processes)
        policy = root / "audit-policy.yaml"
        policy.write_text(json.dumps(AUDIT))
        audit = AuditLog(policy, root / AUDITED)
        cluster = asyncio.run(start_cluster("oracle", tools / "kube-apiserver", etcd, folder, processes, aggregates=False, audit=audit))
        _compact(etcd)
        yield cluster
    finally:
        asyncio.run(processes.stop_all())


def _compact(etcd: Etcds) -> None:
    """Compact the first revisions, as kube-apiserver does every five minutes, so that they are too
    old."""
    context = ssl.create_default_context(cafile=str(etcd.ca))
    context.load_cert_chain(etcd.client.certificate, etcd.client.key)
    connection = http.client.HTTPSConnection("127.0.0.1", etcd.settings.client_port, context=context, timeout=START_SECONDS)
    try:
        connection.request("POST", "/v3/kv/compaction", json.dumps({"revision": 3}))
        response = connection.getresponse()
        if response.status != HTTPStatus.OK:
            raise RuntimeError(f"etcd does not compact: {response.status} {response.read()!r}")
    finally:
        connection.close()


async def prepare(client: ClusterClient, namespaces: Sequence[str]) -> None:
    """Give a kube-apiserver the kinds and the namespaces, and wait until it serves them."""
    path = "/apis/apiextensions.k8s.io/v1/customresourcedefinitions"
    await client.apply_all((f"{path}/{crd['metadata']['name']}", crd) for crd in map(definition, KINDS))
    await client.apply_all((f"/api/v1/namespaces/{name}", _namespace(name)) for name in (*namespaces, LEAVING, PARAMS))
    # The namespace stays terminating, because there is no namespace controller.
    await client.request("DELETE", f"/api/v1/namespaces/{LEAVING}")

    async def served() -> str | None:
        for kind in KINDS:
            plural = f"namespaces/{namespaces[0]}/{kind.plural}" if kind.namespaced else kind.plural
            try:
                await client.get(f"/apis/{kind.api_version}/{plural}")
            except ApiError as error:
                if error.code != HTTPStatus.NOT_FOUND:
                    raise
                return f"{kind.plural} are not served yet"
        # This is published last; without it, apply does not know the kinds.
        index = str(await client.get("/openapi/v3"))  # JSON without a JSON content type
        return None if f"apis/{KINDS[0].api_version}" in index else "the kinds are not in /openapi/v3 yet"

    await wait_for("the kinds", served, seconds=START_SECONDS)
    objects = manifests()
    last = [one for one in objects if f"/{SENTINEL}" in one[0]]
    await client.apply_all(one for one in objects if one not in last)
    await client.apply_all(last)
    place = f"{ROOT}/namespaces/{namespaces[0]}/gadgets?dryRun=All"

    async def enforced() -> str | None:
        changed = await client.request("POST", place, body=gadget("sentinel", meta=labelled(f"{SENTINEL}-mutation")))
        if changed["spec"].get("title") != "seen":
            return "the mutating policies are not enforced yet"
        try:
            await client.request("POST", place, body=gadget("sentinel", meta=labelled(SENTINEL)))
        except ApiError as error:
            if error.code == HTTPStatus.UNPROCESSABLE_ENTITY:
                return None
            raise
        return "the policies are not enforced yet"

    await wait_for("the policies", enforced, seconds=START_SECONDS)


def _namespace(name: str) -> dict[str, Any]:
    return {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name}}


@contextmanager
def servers(cluster: Cluster, folder: Path) -> Iterator[tuple[ApiServer, ApiServer]]:
    """Yield (kube-apiserver, ours), for clients that are the cluster's administrator."""
    context = ssl.create_default_context(cadata=cluster.authority.certificate.decode("ascii"))
    context.load_cert_chain(cluster.admin.certificate, cluster.admin.key)
    config = folder / "cluster/oracle.kubeconfig"
    with our_server(cluster.authority, folder, policies=config) as port:
        yield ApiServer("kube-apiserver", urlsplit(cluster.server).port or 443, context), ApiServer("ours", port, context)


@contextmanager
def our_server(
    authority: pki.Authority, folder: Path, kinds: Callable[[WatchCache], Sequence[Registry]] | None = None, policies: Path | None = None
) -> Iterator[int]:
    """Run our API server in a thread with an event loop of its own, and yield its port.

    `kinds`: what it serves instead of KINDS. `policies`: a kubeconfig of the control plane whose
    admission policies it enforces."""
    with in_thread(_started(authority, folder, kinds, policies)) as app:
        yield app.port


@contextmanager
def in_thread(starting: Coroutine[Any, Any, App]) -> Iterator[App]:
    """Run a server in a thread with an event loop of its own. `starting` returns it when it has
    started."""
    loop = asyncio.new_event_loop()
    thread = threading.Thread(target=loop.run_forever, name="our API server")
    thread.start()
    try:
        app = asyncio.run_coroutine_threadsafe(starting, loop).result(START_SECONDS)
        try:
            yield app
        finally:
            asyncio.run_coroutine_threadsafe(app.stop(), loop).result(START_SECONDS)
    finally:
        loop.call_soon_threadsafe(loop.stop)
        thread.join(START_SECONDS)
        loop.close()


async def _started(
    authority: pki.Authority, folder: Path, kinds: Callable[[WatchCache], Sequence[Registry]] | None, policies: Path | None
) -> App:
    await age(folder)
    enforced = _Policies(policies) if policies is not None else None
    cache = WatchCache(SQLiteStore(folder / "db", synchronous="off"))
    clients = load_bundle(authority.certificate)
    serving = authority.server("ours", pki.LOOPBACK)

    async def tls() -> ServerTls:
        return ServerTls(serving.certificate, serving.key, clients)

    log = AuditFile(folder / AUDITED)
    app = build(
        Config(
            auditor=Auditor(Policy.model_validate(AUDIT), log),
            audit_log=log,
            cache=cache,
            registries=kinds(cache) if kinds is not None else registries(cache, enforced.plugins if enforced is not None else ()),
            authenticator=CertificateAuthenticator(CertificateVerifier(clients)),
            authorizer=PrivilegedGroup(),
            tls=tls,
            background={"policies": enforced.run} if enforced is not None else {},
        )
    )
    await app.start()
    if enforced is not None:
        await wait_for("the policies of our server", enforced.missing, seconds=START_SECONDS)
    return app


class _Policies:
    """The admission by a control plane's policies."""

    def __init__(self, kubeconfig: Path) -> None:
        self._client = Client(str(kubeconfig))
        self._followed = mutating_policies(self._client), validating_policies(self._client)
        mutating, validating = (one.policies for one in self._followed)
        self._params = ManagementParams(self._client, lambda: mutating.param_kinds | validating.param_kinds)
        self._runner = Runner(Reviews(self._client))
        known = _Cluster(self._client), self._params, self._runner
        self.plugins: tuple[Admission, ...] = (Mutators(MutatingPolicies(mutating, *known)), ValidatingPolicies(validating, *known))

    async def run(self) -> None:
        """Follow the policies until cancelled."""
        try:
            await asyncio.gather(*(one.run() for one in self._followed))
        finally:
            self._runner.close()
            await self._params.close()
            await self._client.close()

    async def missing(self) -> str | None:
        """Return why the policies are not enforced yet, None once they are."""
        names = {hook.policy.name for one in self._followed for hook in one.policies.hooks}
        return (
            None if names.issuperset((*POLICIES, *MUTATIONS)) else f"{[one.last_error or 'not all are listed' for one in self._followed]}"
        )


class _Cluster:
    """The namespaces of the control plane."""

    def __init__(self, client: Client) -> None:
        self._client = client

    async def get(self, name: str, *, live: bool = False) -> dict[str, Any] | None:
        return await self._client.find(Resource("", "v1", "namespaces", "Namespace", namespaced=False), name)


async def age(folder: Path) -> None:
    """Give the storage a compacted past, as on the other server: its first resourceVersions are too
    old."""
    store = SQLiteStore(folder / "db", synchronous="off")
    await store.start()
    try:
        for _ in range(3):
            revision = await store.commit([Put("/past", b"{}")])
        await store.compact(revision)
    finally:
        await store.close()


def registries(cache: WatchCache, policies: Sequence[Admission] = (), group: str = GROUP) -> list[Registry]:
    """Return registries of the kinds without strategies, in the existing namespaces."""
    admission = AdmissionChain([NamespaceLifecycle(_Namespaces()), *policies])
    found = [Registry(replace(kind, group=group), cache, admission=admission) for kind in KINDS]
    for registry in found:
        if SCALE in (registry.resource.subresources or {}):
            registry.scale = ScaleRegistry(registry)
    return found


class _Namespaces:
    """Namespaces: every one except MISSING exists, and LEAVING is terminating."""

    async def get(self, name: str, *, live: bool = False) -> dict[str, Any] | None:
        phase = "Terminating" if name == LEAVING else "Active"
        return None if name == MISSING else {**_namespace(name), "status": {"phase": phase}}

"""Compose the two servers of dev mode.

They use production's components over a SQLite file, with their own certificates and permissions."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from apiserver.admission.chain import AdmissionChain
from apiserver.admission.namespacelifecycle import NamespaceLifecycle
from apiserver.authentication.certificate import CertificateAuthenticator
from apiserver.authentication.verification import CertificateVerifier
from apiserver.dev.core import CoreCatalog, LocalNamespaces, core_catalog
from apiserver.dev.garbagecollector import GarbageCollector
from apiserver.dev.hardware import hardware_data, real_hosts
from apiserver.dev.namespacecontroller import NamespaceController
from apiserver.dev.policy import StaticPolicy, hardware_policy, management_policy
from apiserver.filters.authorization import PrivilegedGroup, UnionAuthorizer
from apiserver.registry.catalog import management_catalog
from apiserver.registry.generic.registry import Registry
from apiserver.registry.generic.strategy import Admission
from apiserver.server.app import App, Config, build
from apiserver.server.pki import Authority
from apiserver.server.servingcert import SelfMade
from apiserver.server.tls import ServerTls
from storage.base import Store
from storage.cache import WatchCache
from storage.sqlite import SQLiteStore

LOOPBACK = "127.0.0.1"


@dataclass(frozen=True)
class Endpoint:
    """One server, not yet started, and its registries."""

    app: App
    core: CoreCatalog
    registries: Sequence[Registry]

    @property
    def by_kind(self) -> dict[str, Registry]:
        """Return the registries by kind."""
        return {registry.resource.kind: registry for registry in self.registries}


def management_endpoint(storage: Path | Store, authority: Authority, port: int) -> Endpoint:
    """Return the tenants' server: Workloads, classes, hosts, views and core/v1.

    `storage` is a database file, or a Store that is not started."""
    cache, core, admission, namespaces = _base(storage if isinstance(storage, Store) else SQLiteStore(storage))
    catalog = management_catalog(cache, admission=admission, namespaces=namespaces)
    collector = GarbageCollector(cache, catalog.sets, catalog.workloads)
    background = {"garbage": collector.run, **catalog.background}
    return _endpoint(cache, core, catalog.registries, authority, management_policy(), port, background)


def hardware_endpoint(database: Path, authority: Authority, port: int) -> Endpoint:
    """Return the server of the owner's machines: real BareMetalHosts, HardwareData and core/v1."""
    cache, core, admission, _ = _base(SQLiteStore(database))
    return _endpoint(cache, core, [real_hosts(cache, admission), hardware_data(cache, admission)], authority, hardware_policy(), port)


def _base(store: Store) -> tuple[WatchCache, CoreCatalog, Admission, LocalNamespaces]:
    cache, namespaces = WatchCache(store), LocalNamespaces()
    admission = AdmissionChain([NamespaceLifecycle(namespaces)])
    core = core_catalog(cache, admission)
    namespaces.registry = core.namespaces
    return cache, core, admission, namespaces


def _endpoint(
    cache: WatchCache,
    core: CoreCatalog,
    own: Sequence[Registry],
    authority: Authority,
    policy: StaticPolicy,
    port: int,
    background: Mapping[str, Callable[[], Awaitable[None]]] | None = None,
) -> Endpoint:
    registries = (*core.registries, *own)
    served = SelfMade(authority, ["localhost", LOOPBACK])

    async def tls() -> ServerTls:
        return ServerTls(served.pair.certificate, served.pair.key, [authority.certificate])

    config = Config(
        cache=cache,
        registries=registries,
        authenticator=CertificateAuthenticator(CertificateVerifier([authority.certificate])),
        authorizer=UnionAuthorizer([PrivilegedGroup(), policy]),
        tls=tls,
        background={"namespaces": NamespaceController(cache, core.namespaces, core.events, registries).run, **(background or {})},
        host=LOOPBACK,
        port=port,
        drain_seconds=1.0,
    )
    return Endpoint(build(config), core, registries)

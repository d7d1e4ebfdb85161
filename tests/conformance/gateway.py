"""Put gateways in front of kube-apiservers.

One passes the kinds of the cases on, and the other serves them itself, as it serves the view: from
the registries of another group.
"""

from __future__ import annotations

from contextlib import contextmanager
from dataclasses import replace
from typing import TYPE_CHECKING

from apiserver.authentication.certificate import CertificateAuthenticator
from apiserver.authentication.token import TokenAuthenticator
from apiserver.authentication.verification import CertificateVerifier, load_bundle
from apiserver.filters.authorization import MASTERS, PrivilegedGroup
from apiserver.gateway.gateway import Settings
from apiserver.gateway.upstream import Upstream
from apiserver.registry.generic.context import UserInfo
from apiserver.registry.generic.registry import Registry
from apiserver.registry.generic.regroupedregistry import RegroupedRegistry
from apiserver.server.app import App, Config, GatewayPort, build
from apiserver.server.tls import ServerTls
from hack.realcluster import pki
from hack.realcluster.controlplane import service_account_token
from storage.cache import WatchCache
from storage.sqlite import SQLiteStore
from tests.conformance.kinds import GROUP, KINDS
from tests.conformance.servers import age, in_thread, registries

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from hack.realcluster.client import Client
    from hack.realcluster.controlplane import Cluster

VIEW_GROUP = "view.example.com"
"""The group of the stored objects, as workload.metal3.io is for the view."""
ADMIN = "admin"
NAMESPACE = "default"


async def administrator(client: Client) -> str:
    """Return the token of a service account that may do everything."""
    account = {"apiVersion": "v1", "kind": "ServiceAccount", "metadata": {"name": ADMIN}}
    await client.apply_all([(f"/api/v1/namespaces/{NAMESPACE}/serviceaccounts/{ADMIN}", account)])
    binding = {
        "apiVersion": "rbac.authorization.k8s.io/v1",
        "kind": "ClusterRoleBinding",
        "metadata": {"name": ADMIN},
        "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole", "name": "cluster-admin"},
        "subjects": [{"kind": "ServiceAccount", "name": ADMIN, "namespace": NAMESPACE}],
    }
    await client.apply_all([(f"/apis/rbac.authorization.k8s.io/v1/clusterrolebindings/{ADMIN}", binding)])
    return await service_account_token(client, NAMESPACE, ADMIN)


class _Known:
    """Knows one token."""

    def __init__(self, token: str) -> None:
        self._token = token

    async def review(self, token: str) -> UserInfo | None:
        """Return the administrator. See TokenReviewer."""
        return UserInfo(f"system:serviceaccount:{NAMESPACE}:{ADMIN}", groups=(MASTERS,)) if token == self._token else None


@contextmanager
def gateway(cluster: Cluster, config: Path, folder: Path, token: str, *, views: bool) -> Iterator[int]:
    """Run a gateway, and yield its port. `config` is the cluster's kubeconfig.

    `views`: whether it serves the kinds of the cases itself."""
    folder.mkdir()
    with in_thread(_started(cluster.authority, config, folder, token, views=views)) as app:
        yield app.gateway_port


async def _started(authority: pki.Authority, config: Path, folder: Path, token: str, *, views: bool) -> App:
    await age(folder)
    cache = WatchCache(SQLiteStore(folder / "db", synchronous="off"))
    clients, serving = load_bundle(authority.certificate), authority.server("gateway", pki.LOOPBACK)

    async def tls() -> ServerTls:
        return ServerTls(serving.certificate, serving.key, clients)

    async def gateway_tls() -> ServerTls:
        return ServerTls(serving.certificate, serving.key, asks=False)

    # The view cannot be empty: if the gateway is to pass the kinds of the cases on, the view has
    # another kind, which no case uses.
    stored = registries(cache, group=VIEW_GROUP) if views else [Registry(replace(KINDS[0], group=VIEW_GROUP, plural="others"), cache)]
    shown = [RegroupedRegistry(one, GROUP if views else "others.example.com") for one in stored]
    settings = Settings(views=shown, view_group=VIEW_GROUP, upstream=Upstream(str(config)), tokens=TokenAuthenticator(_Known(token)))
    app = build(
        Config(
            cache=cache,
            registries=stored,
            authenticator=CertificateAuthenticator(CertificateVerifier(clients)),
            authorizer=PrivilegedGroup(),
            tls=tls,
            gateway=GatewayPort(settings=settings, tls=gateway_tls),
        )
    )
    await app.start()
    return app

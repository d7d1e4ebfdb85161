"""Ask the management cluster for the users, permissions and namespaces that `serve` needs."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any

from apiserver.authentication.certificate import CertificateAuthenticator
from apiserver.authentication.token import TokenAuthenticator
from apiserver.client.client import Client
from apiserver.client.informer import Informer
from apiserver.client.objects import Object, Resource
from apiserver.filters.authentication import UnionAuthenticator
from apiserver.filters.authorization import PrivilegedGroup, UnionAuthorizer
from apiserver.server.delegation import extensionauth
from apiserver.server.delegation.accessreview import AccessReviews
from apiserver.server.delegation.namespaces import ManagementNamespaces
from apiserver.server.delegation.tokenreview import TokenReviews
from apiserver.server.delegation.trust import Trust

CONFIG_MAPS = Resource("", "v1", "configmaps", "ConfigMap")
NAMESPACES = Resource("", "v1", "namespaces", "Namespace", namespaced=False)


class Delegation:
    """The parts of an App's Config that come from the management cluster.

    Nothing is requested before `background` runs."""

    def __init__(self, client: Client) -> None:
        self.trust = Trust()
        self.tokens = TokenAuthenticator(TokenReviews(client))
        self._reviews = AccessReviews(client)
        self._config_map = Informer(
            client, CONFIG_MAPS, namespace=extensionauth.NAMESPACE, field_selector=f"metadata.name={extensionauth.NAME}"
        )
        self._config_map.add_handler(lambda _, found: self.trust.config_map(found))
        self._namespaces = Informer(client, NAMESPACES, transform=_trimmed)
        self.authenticator = UnionAuthenticator([self.trust.front_proxies, CertificateAuthenticator(self.trust.clients), self.tokens])
        self.authorizer = UnionAuthorizer([PrivilegedGroup(), self._reviews])
        self.namespaces = ManagementNamespaces(client, self._copy)

    @property
    def background(self) -> dict[str, Callable[[], Awaitable[None]]]:
        """Return the tasks that must run, by name."""
        return {"extension-apiserver-authentication": self._config_map.run, "namespaces": self._namespaces.run}

    @property
    def ready(self) -> dict[str, Callable[[], Awaitable[None]]]:
        """Return checks that everything was read once.

        Later failures do not make them fail: the known state stays in use."""
        return {"extension-apiserver-authentication": self._trust_known, "namespaces": self._namespaces_known}

    async def close(self) -> None:
        """Cancel the running reviews."""
        await self.tokens.close()
        await self._reviews.close()

    def _copy(self, name: str) -> Object | None:
        return self._namespaces.store.get(name) if self._namespaces.stale_since is None else None

    async def _trust_known(self) -> None:
        if not self.trust.known:
            raise RuntimeError(f"{extensionauth.NAMESPACE}/{extensionauth.NAME} was not read yet{_reason(self._config_map)}")

    async def _namespaces_known(self) -> None:
        if not self._namespaces.synced.is_set():
            raise RuntimeError(f"namespaces were not listed yet{_reason(self._namespaces)}")


def _reason(informer: Informer) -> str:
    return f": {informer.last_error}" if informer.last_error else ""


def _trimmed(namespace: dict[str, Any]) -> dict[str, Any]:
    """Return the parts of a namespace that admission uses."""
    metadata = {key: value for key, value in namespace["metadata"].items() if key not in ("managedFields", "annotations")}
    return {"metadata": metadata, "status": namespace.get("status") or {}}

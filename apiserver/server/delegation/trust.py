"""Combine the trusted authorities of the management cluster's ConfigMap and of a file.

An open port always uses the current ones."""

from __future__ import annotations

import logging
from collections.abc import Iterable
from typing import Any

from cryptography import x509

from apiserver.authentication.requestheader import FrontProxy, RequestHeaderAuthenticator
from apiserver.authentication.verification import CertificateVerifier
from apiserver.server.delegation.extensionauth import NAME, NAMESPACE, BadExtensionAuthentication, ExtensionAuthentication, parse
from apiserver.server.tls import ServerTls

log = logging.getLogger(__name__)


class Trust:
    """The trusted authorities. No certificate is trusted before `config_map` was called.

    `front_proxies` and `clients` decide by the latest content."""

    def __init__(self) -> None:
        self.front_proxies = RequestHeaderAuthenticator()
        self.clients = CertificateVerifier()
        self.known = False
        self._latest = ExtensionAuthentication(FrontProxy())
        self._file: tuple[x509.Certificate, ...] = ()
        self._tls: ServerTls | None = None

    @property
    def authorities(self) -> frozenset[x509.Certificate]:
        """Return all authorities whose certificates the handshake must accept."""
        return self.clients.bundle | frozenset(self.front_proxies.proxy.bundle)

    def vouching(self) -> tuple[str, ...]:
        """Return the names and prefixes of the headers by which front proxies name users."""
        proxy = self.front_proxies.proxy
        return (*proxy.username_headers, *proxy.uid_headers, *proxy.group_headers, *proxy.extra_prefixes)

    def attach(self, tls: ServerTls) -> None:
        """Update the handshake of this port from now on."""
        self._tls = tls
        tls.accept(self.authorities)

    def config_map(self, found: dict[str, Any] | None) -> None:
        """Use this ConfigMap. A deleted or unreadable one changes nothing: the previous content
        stays."""
        if found is None:
            log.warning("%s/%s is gone: its last content stays in use", NAMESPACE, NAME)
            return
        try:
            self._latest = parse(found)
        except BadExtensionAuthentication as error:
            log.error("%s/%s cannot be used, so its previous content stays in use: %s", NAMESPACE, NAME, error)
            return
        self.known = True
        self._apply()

    def file(self, bundle: Iterable[x509.Certificate]) -> None:
        """Use these authorities of --client-ca-file."""
        self._file = tuple(bundle)
        self._apply()

    def _apply(self) -> None:
        proxy, clients = self._latest.proxy, (*self._latest.client_bundle, *self._file)
        if self.known and not proxy.bundle:
            log.warning("%s/%s names no requestheader CA: no request through kube-apiserver is trusted", NAMESPACE, NAME)
        elif not proxy.allowed_names and set(proxy.bundle) & set(clients):
            log.error(
                "the requestheader CA also signs ordinary clients and any name is allowed: every client could pose as any user. No "
                "front proxy is trusted; set --requestheader-allowed-names of kube-apiserver, or give it a CA of its own"
            )
            proxy = FrontProxy()
        self.front_proxies.replace(proxy)
        self.clients.replace(clients)
        if self._tls is not None:
            self._tls.accept(self.authorities)

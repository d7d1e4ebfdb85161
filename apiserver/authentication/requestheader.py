"""Authenticate by a front proxy (kube-apiserver's aggregator), which names the user in headers.

The headers count only on a connection whose client certificate is signed by the requestheader CA
and has an allowed common name. On any other connection they are ignored.
"""

from __future__ import annotations

import logging
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from urllib.parse import unquote

from cryptography import x509
from multidict import CIMultiDictProxy

from apiserver.apis.status import unauthorized
from apiserver.authentication.peer import PeerError, peer_of
from apiserver.authentication.verification import CertificateVerifier, Untrusted
from apiserver.handlers.request.call import Call
from apiserver.registry.generic.context import UserInfo

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class FrontProxy:
    """The trusted front proxies, and the headers that they use.

    With an empty `bundle`, no proxy is trusted. With empty `allowed_names`, every certificate that
    the bundle signed is trusted. Header names are compared case-insensitively."""

    bundle: tuple[x509.Certificate, ...] = ()
    allowed_names: tuple[str, ...] = ()
    username_headers: tuple[str, ...] = ("X-Remote-User",)
    uid_headers: tuple[str, ...] = ()
    group_headers: tuple[str, ...] = ("X-Remote-Group",)
    extra_prefixes: tuple[str, ...] = ("X-Remote-Extra-",)


class RequestHeaderAuthenticator:
    """Trusts the front proxies that were configured last."""

    def __init__(self, proxy: FrontProxy | None = None) -> None:
        self._proxy = proxy or FrontProxy()
        self._verifier = CertificateVerifier(self._proxy.bundle)

    @property
    def proxy(self) -> FrontProxy:
        """Return the present configuration."""
        return self._proxy

    def replace(self, proxy: FrontProxy) -> None:
        """Use this configuration from now on, also on open connections."""
        self._proxy = proxy
        self._verifier.replace(proxy.bundle)

    async def authenticate(self, call: Call) -> UserInfo | None:
        """Return the user that the proxy names, or None for the proxy's own requests. See
        Authenticator."""
        try:
            peer = peer_of(call.http)
            if peer is None:
                return None
            self._verifier.verify(peer)
        except (PeerError, Untrusted):
            return None  # an ordinary client, which other authenticators handle
        allowed = self._proxy.allowed_names
        if allowed and (peer.subject is None or peer.subject.name not in allowed):
            log.warning("front proxy refused: its certificate's common name is not in requestheader-allowed-names")
            raise unauthorized()
        return identity(call.http.headers, self._proxy)


def identity(headers: CIMultiDictProxy[str], proxy: FrontProxy) -> UserInfo | None:
    """Return the identity in the headers, or None if they name no user.

    Raises ApiError (401) if they are not UTF-8."""
    name = _first(headers, proxy.username_headers)
    if not name:
        return None
    user = UserInfo(name, _first(headers, proxy.uid_headers), tuple(_all(headers, proxy.group_headers)), _extra(headers, proxy))
    if not is_text(user):
        raise unauthorized()
    return user


def is_text(user: UserInfo) -> bool:
    """Return whether an identity from headers is valid UTF-8. Reviews cannot contain anything
    else."""
    return not any("\udc80" <= char <= "\udcff" for text in _texts(user) for char in text)


def _first(headers: CIMultiDictProxy[str], names: Iterable[str]) -> str:
    return next(_all(headers, names), "")


def _all(headers: CIMultiDictProxy[str], names: Iterable[str]) -> Iterator[str]:
    return (value for name in names for value in headers.getall(name, ()) if value)


def _extra(headers: CIMultiDictProxy[str], proxy: FrontProxy) -> dict[str, tuple[str, ...]]:
    found: dict[str, tuple[str, ...]] = {}
    for header, value in headers.items():
        lower = header.lower()
        for prefix in proxy.extra_prefixes:
            if lower.startswith(prefix.lower()) and len(lower) > len(prefix):
                # Keys are percent-encoded, because they may contain characters that header names
                # may not (example.org/role).
                key = unquote(lower[len(prefix) :], errors="surrogateescape")
                found[key] = (*found.get(key, ()), value)
    return found


def _texts(user: UserInfo) -> Iterable[str]:
    yield from (user.name, user.uid, *user.groups, *user.extra)
    for values in user.extra.values():
        yield from values

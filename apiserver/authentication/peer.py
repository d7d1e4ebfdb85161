"""Read the client certificate of a connection as the TLS layer received it.

The handshake has proven only that the client has the certificate's key."""

from __future__ import annotations

import hashlib
import ssl
from dataclasses import dataclass
from typing import Any
from weakref import WeakKeyDictionary

from aiohttp import web
from cryptography import x509
from cryptography.x509.oid import NameOID

from apiserver.registry.generic.context import UserInfo


class PeerError(Exception):
    """The client sent a certificate that cannot be read."""


@dataclass(frozen=True, slots=True)
class Peer:
    """The certificate and the intermediates that a client sent, and the digest of all of them.

    `subject` has the name and groups in the certificate, or is None if it has no name. It is only a
    claim until the chain is verified."""

    leaf: x509.Certificate
    intermediates: tuple[x509.Certificate, ...]
    fingerprint: bytes
    subject: UserInfo | None


# The peers by connection: a certificate cannot change on one. TLS 1.3 has no renegotiation, and the
# server refuses it for older versions.
_peers: WeakKeyDictionary[Any, Peer | None] = WeakKeyDictionary()


def peer_of(http: web.BaseRequest) -> Peer | None:
    """Return the peer of the request's connection, or None if it sent no certificate. Raises
    PeerError."""
    transport = http.transport
    connection = None if transport is None else transport.get_extra_info("ssl_object")
    if connection is None:
        return None
    try:
        return _peers[connection]
    except KeyError:
        peer = _peers[connection] = _read(connection)
        return peer


def _read(connection: ssl.SSLObject) -> Peer | None:
    leaf = connection.getpeercert(True)
    if leaf is None:
        return None
    chain = _chain(connection) or [leaf]
    digest = hashlib.sha256()
    for der in chain:
        digest.update(len(der).to_bytes(4, "big") + der)
    try:
        first, *others = [x509.load_der_x509_certificate(der) for der in chain]
        return Peer(first, tuple(others), digest.digest(), subject_of(first))
    except ValueError as error:
        raise PeerError(f"the client's certificate cannot be read: {error}") from error


def subject_of(certificate: x509.Certificate) -> UserInfo | None:
    """Return the common name as the user, and the organizations as the groups.

    Returns None for no common name, and for several, which readers would interpret differently."""
    names = certificate.subject.get_attributes_for_oid(NameOID.COMMON_NAME)
    groups = certificate.subject.get_attributes_for_oid(NameOID.ORGANIZATION_NAME)
    if len(names) != 1 or not names[0].value:
        return None
    return UserInfo(str(names[0].value), groups=tuple(str(group.value) for group in groups))


def _chain(connection: ssl.SSLObject) -> list[bytes]:
    """Return the certificates in the client's order, its own first."""
    public = getattr(connection, "get_unverified_chain", None)
    if public is not None:  # since Python 3.13
        return list(public())
    inner: Any = connection._sslobj  # type: ignore[attr-defined] # the ssl module has no other way to the chain
    der = ssl._ssl.ENCODING_DER  # type: ignore[attr-defined] # the ssl module has no other way to the chain
    return [certificate.public_bytes(der) for certificate in inner.get_unverified_chain() or ()]

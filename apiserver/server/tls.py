"""Configure TLS for the port: TLS 1.2 and later, client certificates requested but optional.

Everything can be replaced at runtime. OpenSSL checks that a client has the key of a certificate
that *some* accepted authority signed, and refuses others in the handshake. Which authority it was,
and so what the certificate means, is verified per request (apiserver.authentication.verification).
"""

from __future__ import annotations

import ssl
import tempfile
from collections.abc import Iterable
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding


class BadServingCertificate(Exception):
    """The certificate and key cannot be served. The message gives the reason."""


class ServerTls:
    """The TLS configuration of new connections.

    Pass `context` to create_server once. `serve` and `accept` then change its behaviour for later
    connections."""

    def __init__(self, certificate: bytes, key: bytes, authorities: Iterable[x509.Certificate] = (), *, asks: bool = True) -> None:
        """Load a PEM chain, the server's own certificate first. Raises BadServingCertificate.

        If `asks` is false, no client certificate is requested."""
        self._certificate, self._key, self._asks = certificate, key, asks
        self._authorities = frozenset(authorities)
        self._current = self._build(certificate, key)
        self.context = self._build(certificate, key)
        self.context.sni_callback = self._select

    @property
    def expires(self) -> float:
        """Return when the served certificate expires, in seconds since the epoch."""
        return x509.load_pem_x509_certificate(self._certificate).not_valid_after_utc.timestamp()

    def serve(self, certificate: bytes, key: bytes) -> None:
        """Serve this certificate. Raises BadServingCertificate, and keeps the old one then."""
        self._current = self._build(certificate, key)
        self._certificate, self._key = certificate, key

    def accept(self, authorities: Iterable[x509.Certificate]) -> None:
        """Accept client certificates of these authorities."""
        self._authorities = frozenset(authorities)
        self._current = self._build(self._certificate, self._key)

    def _select(self, connection: ssl.SSLObject | ssl.SSLSocket, _name: str | None, _context: ssl.SSLContext) -> None:
        # Called for every handshake, with or without a server name. Contexts in use are never
        # changed.
        connection.context = self._current

    def _build(self, certificate: bytes, key: bytes) -> ssl.SSLContext:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.minimum_version = ssl.TLSVersion.TLSv1_2
        # Without resumption, every connection sends its certificate and intermediates. Go's clients
        # do not resume anyway.
        context.options |= ssl.OP_NO_TICKET | ssl.OP_NO_RENEGOTIATION | ssl.OP_NO_COMPRESSION
        context.num_tickets = 0
        # The client knows which cipher is cheap for it. Go's clients prefer AES-128, but OpenSSL's
        # order begins with AES-256.
        context.options &= ~ssl.OP_CIPHER_SERVER_PREFERENCE
        context.verify_mode = ssl.CERT_OPTIONAL if self._asks else ssl.CERT_NONE
        # As in Go, every certificate of a bundle is an anchor, self-signed or not.
        context.verify_flags |= ssl.VERIFY_X509_PARTIAL_CHAIN
        context.set_alpn_protocols(["http/1.1"])
        bundle = b"".join(authority.public_bytes(Encoding.PEM) for authority in self._authorities)
        if bundle:
            context.load_verify_locations(cadata=bundle.decode())
        _load(context, certificate, key)
        return context


def _load(context: ssl.SSLContext, certificate: bytes, key: bytes) -> None:
    """Load certificate and key through private temporary files, because the ssl module reads only
    files."""
    with tempfile.TemporaryDirectory(prefix="metal3-workloads-") as folder:
        names = [Path(folder, name) for name in ("tls.crt", "tls.key")]
        for path, content in zip(names, (certificate, key), strict=True):
            path.touch(mode=0o600)
            path.write_bytes(content)
        try:
            # With an empty password, OpenSSL does not prompt for one at the terminal.
            context.load_cert_chain(names[0], names[1], password="")
        except (ssl.SSLError, ValueError) as error:
            raise BadServingCertificate(
                "the serving certificate and key cannot be used: they must be PEM, the key unencrypted and the certificate's own "
                f"({getattr(error, 'reason', None) or type(error).__name__})"
            ) from None

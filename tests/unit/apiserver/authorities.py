"""Create throw-away certificate authorities, which may issue certificates that are invalid on
purpose."""

from __future__ import annotations

import ipaddress
import ssl
import tempfile
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

if TYPE_CHECKING:
    from collections.abc import Sequence

HOUR = timedelta(hours=1)
CLIENT = (ExtendedKeyUsageOID.CLIENT_AUTH,)
SERVER = (ExtendedKeyUsageOID.SERVER_AUTH,)


@dataclass(frozen=True)
class Issued:
    """A certificate, its key, and the intermediates that lead to its authority."""

    certificate: x509.Certificate
    key: ec.EllipticCurvePrivateKey
    intermediates: tuple[x509.Certificate, ...] = ()

    @property
    def pem(self) -> bytes:
        """Return the chain in PEM, leaf first."""
        return b"".join(one.public_bytes(serialization.Encoding.PEM) for one in (self.certificate, *self.intermediates))

    @property
    def key_pem(self) -> bytes:
        """Return the unencrypted key in PEM."""
        return self.key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())


class Authority:
    """A certificate authority or, with a parent, an intermediate one."""

    def __init__(self, name: str, parent: Authority | None = None, *, ca: bool = True, start: timedelta = -HOUR, end: timedelta = HOUR):
        self.key = ec.generate_private_key(ec.SECP256R1())
        subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
        issuer, key = (parent.certificate.subject, parent.key) if parent else (subject, self.key)
        builder = _builder(subject, issuer, self.key, start, end)
        builder = builder.add_extension(x509.BasicConstraints(ca=ca, path_length=None), critical=True)
        self.certificate: x509.Certificate = builder.sign(key, hashes.SHA256())
        self.intermediates: tuple[x509.Certificate, ...] = (self.certificate, *parent.intermediates) if parent else ()

    def issue(
        self,
        name: str | Sequence[str],
        groups: Sequence[str] = (),
        *,
        usages: Sequence[x509.ObjectIdentifier] = CLIENT,
        start: timedelta = -HOUR,
        end: timedelta = HOUR,
        hosts: Sequence[str] = (),
        extra: Sequence[tuple[x509.ExtensionType, bool]] = (),
    ) -> Issued:
        """Return a certificate whose subject has these common names and organizations.

        It is valid from now + start to now + end."""
        names = [name] if isinstance(name, str) else name
        attributes = [x509.NameAttribute(NameOID.ORGANIZATION_NAME, group) for group in groups]
        attributes += [x509.NameAttribute(NameOID.COMMON_NAME, one) for one in names]
        key = ec.generate_private_key(ec.SECP256R1())
        builder = _builder(x509.Name(attributes), self.certificate.subject, key, start, end)
        if usages:
            builder = builder.add_extension(x509.ExtendedKeyUsage(usages), critical=False)
        if hosts:
            builder = builder.add_extension(x509.SubjectAlternativeName([_host(host) for host in hosts]), critical=False)
        for extension, critical in extra:
            builder = builder.add_extension(extension, critical=critical)
        return Issued(builder.sign(self.key, hashes.SHA256()), key, self.intermediates)

    def server(self) -> Issued:
        """Return a certificate for a server on loopback."""
        return self.issue("server", usages=SERVER, hosts=("localhost", "127.0.0.1"))


def client_context(server_ca: Authority, client: Issued | None = None) -> ssl.SSLContext:
    """Return the context of a client that trusts the authority and presents the certificate."""
    context = ssl.create_default_context(cadata=server_ca.certificate.public_bytes(serialization.Encoding.PEM).decode())
    if client is not None:
        with tempfile.TemporaryDirectory() as folder:
            certificate, key = Path(folder, "crt"), Path(folder, "key")
            certificate.write_bytes(client.pem)
            key.write_bytes(client.key_pem)
            context.load_cert_chain(certificate, key)
    return context


def _builder(
    subject: x509.Name, issuer: x509.Name, key: ec.EllipticCurvePrivateKey, start: timedelta, end: timedelta
) -> x509.CertificateBuilder:
    now = datetime.now(UTC)
    builder = x509.CertificateBuilder(subject_name=subject, issuer_name=issuer, public_key=key.public_key())
    return builder.serial_number(x509.random_serial_number()).not_valid_before(now + start).not_valid_after(now + end)


def _host(host: str) -> x509.GeneralName:
    try:
        return x509.IPAddress(ipaddress.ip_address(host))
    except ValueError:
        return x509.DNSName(host)

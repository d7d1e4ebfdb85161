"""Run a small certificate authority: ECDSA P-256, for servers and clients of one installation.

Limits: keys are stored unencrypted in files that only their owner can read. There is no revocation,
only short lifetimes.
"""

from __future__ import annotations

import ipaddress
import os
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

AUTHORITY_LIFE = timedelta(days=3650)
LEAF_LIFE = timedelta(days=365)
SKEW = timedelta(hours=1)
"""The time by which a certificate is valid before its creation, for clients whose clocks are
slow."""


class BadAuthority(Exception):
    """An authority's certificate and key cannot be used. The message gives the reason."""


@dataclass(frozen=True, slots=True)
class KeyPair:
    """A certificate and its private key, PEM encoded."""

    certificate: bytes
    key: bytes


class Authority:
    """An authority that signs server and client certificates. `pair` is its own, for storage."""

    def __init__(self, pair: KeyPair) -> None:
        """Load the pair. Raises BadAuthority if it is unreadable, or certificate and key do not
        match."""
        try:
            self._certificate = x509.load_pem_x509_certificate(pair.certificate)
            key = serialization.load_pem_private_key(pair.key, password=None)
        except (ValueError, TypeError):
            raise BadAuthority("certificate or key is not PEM, or the key is encrypted") from None
        if not isinstance(key, ec.EllipticCurvePrivateKey):
            raise BadAuthority("the key is not an elliptic curve key")
        if key.public_key() != self._certificate.public_key():
            raise BadAuthority("the key is not the certificate's")
        if self._certificate.not_valid_after_utc < datetime.now(UTC):
            raise BadAuthority("the certificate has expired")
        self._key = key
        self.pair = pair

    @classmethod
    def create(cls, name: str) -> Authority:
        """Return a new authority with its own key."""
        key = ec.generate_private_key(ec.SECP256R1())
        subject = _name(name, ())
        builder = _builder(subject, subject, key.public_key(), AUTHORITY_LIFE)
        builder = builder.add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        certificate = builder.add_extension(_usage(signs=True), critical=True).sign(key, hashes.SHA256())
        return cls(KeyPair(certificate.public_bytes(serialization.Encoding.PEM), pem(key)))

    @property
    def certificate(self) -> x509.Certificate:
        """Return the authority's own certificate."""
        return self._certificate

    def server(self, hosts: Sequence[str], *, name: str = "", dials: bool = False) -> KeyPair:
        """Return a serving certificate for these DNS names and IP addresses.

        `name` is the common name, by default the first host. With `dials`, it is valid as a client
        certificate too."""
        usages = [ExtendedKeyUsageOID.SERVER_AUTH, *([ExtendedKeyUsageOID.CLIENT_AUTH] if dials else [])]
        return self._issue(_name(name or hosts[0], ()), usages, hosts)

    def client(self, user: str, groups: Sequence[str] = ()) -> KeyPair:
        """Return a client certificate with the user as common name, and the groups as
        organizations."""
        return self._issue(_name(user, groups), [ExtendedKeyUsageOID.CLIENT_AUTH], ())

    def vouches(self, certificate: bytes, *, remaining: timedelta = timedelta(0)) -> bool:
        """Return whether this authority signed a certificate (PEM) that is valid for
        `remaining`."""
        try:
            found = x509.load_pem_x509_certificate(certificate)
            found.verify_directly_issued_by(self._certificate)
        except Exception:  # any reason why this is not our certificate
            return False
        return found.not_valid_after_utc > datetime.now(UTC) + remaining

    def _issue(self, subject: x509.Name, usages: Sequence[x509.ObjectIdentifier], hosts: Sequence[str]) -> KeyPair:
        key = ec.generate_private_key(ec.SECP256R1())
        builder = _builder(subject, self._certificate.subject, key.public_key(), LEAF_LIFE)
        builder = builder.add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
        builder = builder.add_extension(_usage(signs=False), critical=True)
        builder = builder.add_extension(x509.ExtendedKeyUsage(usages), critical=False)
        authority = x509.AuthorityKeyIdentifier.from_issuer_public_key(self._key.public_key())
        builder = builder.add_extension(authority, critical=False)
        if hosts:
            builder = builder.add_extension(x509.SubjectAlternativeName([_general_name(host) for host in hosts]), critical=False)
        certificate = builder.sign(self._key, hashes.SHA256())
        return KeyPair(certificate.public_bytes(serialization.Encoding.PEM), pem(key))


def write_private(path: Path, content: bytes) -> None:
    """Write a file atomically, which no other user can read at any time."""
    draft = path.with_name(f".{path.name}.{os.getpid()}")
    draft.unlink(missing_ok=True)
    with open(os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb") as file:
        file.write(content)
        file.flush()
        os.fsync(file.fileno())
    draft.replace(path)


def _builder(subject: x509.Name, issuer: x509.Name, key: ec.EllipticCurvePublicKey, life: timedelta) -> x509.CertificateBuilder:
    now = datetime.now(UTC)
    builder = x509.CertificateBuilder(subject_name=subject, issuer_name=issuer, public_key=key)
    builder = builder.serial_number(x509.random_serial_number()).not_valid_before(now - SKEW).not_valid_after(now + life)
    return builder.add_extension(x509.SubjectKeyIdentifier.from_public_key(key), critical=False)


def _name(common_name: str, organizations: Sequence[str]) -> x509.Name:
    attributes = [x509.NameAttribute(NameOID.ORGANIZATION_NAME, organization) for organization in organizations]
    return x509.Name([*attributes, x509.NameAttribute(NameOID.COMMON_NAME, common_name)])


def _general_name(host: str) -> x509.GeneralName:
    try:
        return x509.IPAddress(ipaddress.ip_address(host))
    except ValueError:
        return x509.DNSName(host)


def _usage(*, signs: bool) -> x509.KeyUsage:
    return x509.KeyUsage(
        digital_signature=True,
        content_commitment=False,
        key_encipherment=False,
        data_encipherment=False,
        key_agreement=False,
        key_cert_sign=signs,
        crl_sign=signs,
        encipher_only=False,
        decipher_only=False,
    )


def pem(key: ec.EllipticCurvePrivateKey) -> bytes:
    """Return the private key, PEM encoded, not encrypted."""
    return key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())

"""Create certificates for the throw-away clusters with the product's own authorities, one for each
purpose.

Limits: keys are stored unencrypted in the cluster's folder (mode 0600), and nothing is ever renewed
or revoked.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec

from apiserver.server import pki

LOOPBACK = ("localhost", "127.0.0.1", "::1")


@dataclass(frozen=True)
class KeyPair:
    """A certificate and its private key, PEM encoded."""

    certificate: bytes
    key: bytes

    def write(self, stem: Path) -> WrittenPair:
        """Write `<stem>.crt` and `<stem>.key` (the key readable by its owner only) and return both
        paths."""
        pair = WrittenPair(certificate=stem.with_name(f"{stem.name}.crt"), key=stem.with_name(f"{stem.name}.key"))
        pair.certificate.write_bytes(self.certificate)
        pki.write_private(pair.key, self.key)
        return pair


@dataclass(frozen=True)
class WrittenPair:
    """The files of a KeyPair."""

    certificate: Path
    key: Path


class Authority:
    """A certificate authority that signs server and client certificates."""

    def __init__(self, name: str) -> None:
        self._authority = pki.Authority.create(name)

    @property
    def certificate(self) -> bytes:
        """Return the authority's own certificate, PEM encoded."""
        return self._authority.pair.certificate

    def server(self, name: str, hosts: Sequence[str]) -> KeyPair:
        """Return a serving certificate for the DNS names and IP addresses in `hosts`.

        It is valid for clients too, because etcd's gateway connects to etcd with etcd's own serving
        certificate.
        """
        made = self._authority.server(hosts, name=name, dials=True)
        return KeyPair(made.certificate, made.key)

    def client(self, user: str, groups: Sequence[str] = ()) -> KeyPair:
        """Return a client certificate.

        Kubernetes reads the user from the common name and the groups from the organizations."""
        made = self._authority.client(user, groups)
        return KeyPair(made.certificate, made.key)


def signing_key() -> tuple[bytes, bytes]:
    """Return a private and a public key, PEM encoded, for signing and verifying service account
    tokens."""
    key = ec.generate_private_key(ec.SECP256R1())
    public = key.public_key().public_bytes(serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo)
    return pki.pem(key), public


write_private = pki.write_private

"""Verify that a client's certificate chain leads to one bundle of authorities, for client
authentication.

The TLS handshake proves that the peer has the key, and that some accepted authority signed its
certificate. One port accepts several authorities: the front proxy's, and those of ordinary clients.
The authority decides what the certificate may claim, so the chain is verified here again, against
one bundle. As in Go's x509, a certificate without extended key usages may be used for anything. A
subject alternative name is not required: kubeadm's front-proxy-client has none. Limits: no
revocation; only ECDSA, and RSA of at least 2048 bits.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from datetime import UTC, datetime, timedelta

from cryptography import x509
from cryptography.x509.oid import ExtendedKeyUsageOID
from cryptography.x509.verification import Criticality, ExtensionPolicy, Policy, PolicyBuilder, Store, VerificationError

from apiserver.authentication.peer import Peer

CLIENT_USAGES = (ExtendedKeyUsageOID.CLIENT_AUTH, ExtendedKeyUsageOID.ANY_EXTENDED_KEY_USAGE)
MAX_INTERMEDIATES = 8
REMEMBERED = 1024
REFUSAL_SECONDS = 5.0
REASON = 512
"""The largest number of characters of a cached reason, which may quote the certificate."""


class Untrusted(Exception):
    """The chain is not trusted. The message gives the reason for the log; clients only see 401."""


def load_bundle(pem: bytes | str) -> list[x509.Certificate]:
    """Return the authorities of a PEM bundle, which may be empty. Raises ValueError for invalid
    PEM."""
    data = pem.encode() if isinstance(pem, str) else pem
    return x509.load_pem_x509_certificates(data) if data.strip() else []


class CertificateVerifier:
    """Verifies chains against the bundle that was set last.

    Verdicts are cached by the chain's fingerprint: acceptance at most while all certificates of the
    chain are valid, refusal for a few seconds. A new bundle clears the cache. `clock` returns
    seconds since the epoch. `most` is the number of verdicts that are cached."""

    def __init__(self, bundle: Sequence[x509.Certificate] = (), clock: Callable[[], float] = time.time, most: int = REMEMBERED) -> None:
        self._clock, self._most = clock, most
        self._verdicts: dict[bytes, tuple[float, str]] = {}
        self._bundle: frozenset[x509.Certificate] = frozenset()
        self._store: Store | None = None
        self.replace(bundle)

    @property
    def bundle(self) -> frozenset[x509.Certificate]:
        """Return the authorities that are accepted now."""
        return self._bundle

    def replace(self, bundle: Sequence[x509.Certificate]) -> None:
        """Accept only these authorities from now on, also on open connections."""
        self._bundle = frozenset(bundle)
        self._store = Store(list(self._bundle)) if self._bundle else None
        self._verdicts.clear()

    def verify(self, peer: Peer) -> None:
        """Raise Untrusted unless the chain is trusted."""
        now = self._clock()
        known = self._verdicts.get(peer.fingerprint)
        if known is None or known[0] <= now:
            known = self._judge(peer, now)
            if len(self._verdicts) >= self._most:
                self._verdicts.pop(next(iter(self._verdicts)))
            self._verdicts[peer.fingerprint] = known
        if known[1]:
            raise Untrusted(known[1])

    def _judge(self, peer: Peer, now: float) -> tuple[float, str]:
        """Return when the verdict expires, and the reason of a refusal ("": trusted)."""
        refusal_ends = now + REFUSAL_SECONDS
        if self._store is None:
            return refusal_ends, "no authority is configured"
        if len(peer.intermediates) > MAX_INTERMEDIATES:
            return refusal_ends, f"the client sent more than {MAX_INTERMEDIATES} intermediate certificates"
        moment = datetime.fromtimestamp(now, UTC)
        # The library compares whole seconds in naive UTC.
        builder = PolicyBuilder().store(self._store).time(moment.replace(tzinfo=None, microsecond=0))
        verifier = builder.extension_policies(ca_policy=CA_POLICY, ee_policy=LEAF_POLICY).build_client_verifier()
        try:
            verified = verifier.verify(peer.leaf, list(peer.intermediates))
        except (VerificationError, ValueError) as error:
            return refusal_ends, str(error)[:REASON]
        ends = min(certificate.not_valid_after_utc for certificate in verified.chain)
        return min(ends, moment + timedelta(hours=1)).timestamp(), ""


def _usable_by_clients(_: Policy, certificate: x509.Certificate, usages: x509.ExtendedKeyUsage | None) -> None:
    if usages is not None and not any(usage in CLIENT_USAGES for usage in usages):
        raise ValueError(f"{certificate.subject.rfc4514_string()} may not be used for client authentication")


def _is_authority(_: Policy, certificate: x509.Certificate, constraints: x509.BasicConstraints) -> None:
    if not constraints.ca:
        raise ValueError(f"{certificate.subject.rfc4514_string()} is no authority")


def _may_sign(_: Policy, certificate: x509.Certificate, usage: x509.KeyUsage | None) -> None:
    if usage is not None and not usage.key_cert_sign:
        raise ValueError(f"{certificate.subject.rfc4514_string()} may not sign certificates")


CA_POLICY = (
    ExtensionPolicy.permit_all()
    .require_present(x509.BasicConstraints, Criticality.AGNOSTIC, _is_authority)
    .may_be_present(x509.KeyUsage, Criticality.AGNOSTIC, _may_sign)
    .may_be_present(x509.ExtendedKeyUsage, Criticality.AGNOSTIC, _usable_by_clients)
)
LEAF_POLICY = ExtensionPolicy.permit_all().may_be_present(x509.ExtendedKeyUsage, Criticality.AGNOSTIC, _usable_by_clients)

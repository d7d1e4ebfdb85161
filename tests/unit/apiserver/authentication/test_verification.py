"""Cover CertificateVerifier: which chains are valid, which are not, and for how long verdicts are
kept."""

from __future__ import annotations

import hashlib
import time
from datetime import timedelta

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding
from cryptography.x509.oid import ExtendedKeyUsageOID, ObjectIdentifier

from apiserver.authentication.peer import Peer
from apiserver.authentication.verification import CertificateVerifier, Untrusted, load_bundle
from tests.unit.apiserver.authorities import HOUR, SERVER, Authority, Issued

ROOT = Authority("root")
OTHER = Authority("other")


def peer(issued: Issued, *, intermediates: bool = True) -> Peer:
    digest = hashlib.sha256(issued.certificate.public_bytes(Encoding.DER)).digest()
    return Peer(issued.certificate, issued.intermediates if intermediates else (), digest, None)


@pytest.fixture
def verifier() -> CertificateVerifier:
    return CertificateVerifier([ROOT.certificate])


@pytest.mark.parametrize(
    "usages",
    [
        (ExtendedKeyUsageOID.CLIENT_AUTH,),
        (ExtendedKeyUsageOID.SERVER_AUTH, ExtendedKeyUsageOID.CLIENT_AUTH),
        (ExtendedKeyUsageOID.ANY_EXTENDED_KEY_USAGE,),
        (),
    ],
    ids=["client", "both", "any", "none"],
)
def test_accepts_what_the_authority_signed_for_clients(verifier: CertificateVerifier, usages: tuple[x509.ObjectIdentifier, ...]) -> None:
    verifier.verify(peer(ROOT.issue("a", usages=usages)))


@pytest.mark.parametrize(
    ("issued", "why"),
    [
        (ROOT.issue("expired", start=-2 * HOUR, end=-timedelta(seconds=2)), "valid at validation time"),
        (ROOT.issue("early", start=HOUR / 2), "valid at validation time"),
        (ROOT.issue("server", usages=SERVER), "client authentication"),
        (OTHER.issue("foreign"), "candidates exhausted"),
        (ROOT.issue("odd", extra=[(x509.UnrecognizedExtension(ObjectIdentifier("1.2.3.4"), b"\x05\x00"), True)]), "critical"),
    ],
    ids=["expired", "not-yet-valid", "wrong-usage", "foreign", "unknown-critical-extension"],
)
def test_refuses(verifier: CertificateVerifier, issued: Issued, why: str) -> None:
    with pytest.raises(Untrusted, match=why):
        verifier.verify(peer(issued))


def test_refuses_an_authority_of_the_same_name() -> None:
    impostor = Authority("root")
    with pytest.raises(Untrusted):
        CertificateVerifier([ROOT.certificate]).verify(peer(impostor.issue("a")))


def test_follows_intermediates_that_are_authorities(verifier: CertificateVerifier) -> None:
    good = peer(Authority("between", ROOT).issue("a"))
    verifier.verify(good)
    with pytest.raises(Untrusted):
        CertificateVerifier([ROOT.certificate]).verify(Peer(good.leaf, (), b"without", None))


def test_refuses_a_leaf_that_plays_authority(verifier: CertificateVerifier) -> None:
    with pytest.raises(Untrusted):
        verifier.verify(peer(Authority("leaf", ROOT, ca=False).issue("a")))


def test_refuses_an_expired_intermediate(verifier: CertificateVerifier) -> None:
    with pytest.raises(Untrusted):
        verifier.verify(peer(Authority("old", ROOT, start=-2 * HOUR, end=-timedelta(seconds=2)).issue("a")))


def test_refuses_an_expired_root() -> None:
    old = Authority("old root", start=-2 * HOUR, end=-timedelta(seconds=2))
    with pytest.raises(Untrusted):
        CertificateVerifier([old.certificate]).verify(peer(old.issue("a")))


def test_an_intermediate_may_be_the_anchor() -> None:
    between = Authority("between", ROOT)
    issued = between.issue("a")
    CertificateVerifier([between.certificate]).verify(peer(issued, intermediates=False))
    with pytest.raises(Untrusted):
        CertificateVerifier([between.certificate]).verify(peer(ROOT.issue("sibling")))


def test_refuses_everything_without_a_bundle() -> None:
    with pytest.raises(Untrusted, match="no authority"):
        CertificateVerifier().verify(peer(ROOT.issue("a")))


def test_refuses_heaps_of_intermediates(verifier: CertificateVerifier) -> None:
    issued = ROOT.issue("a")
    with pytest.raises(Untrusted, match="more than"):
        verifier.verify(Peer(issued.certificate, (OTHER.certificate,) * 9, b"heap", None))


def test_a_verdict_ends_with_the_certificate() -> None:
    now = [time.time()]
    verifier = CertificateVerifier([ROOT.certificate], clock=lambda: now[0])
    shown = peer(ROOT.issue("short", end=timedelta(seconds=60)))
    verifier.verify(shown)
    now[0] += 58
    verifier.verify(shown)
    now[0] += 4
    with pytest.raises(Untrusted):
        verifier.verify(shown)


def test_a_refusal_ends_when_the_certificate_becomes_valid() -> None:
    now = [time.time()]
    verifier = CertificateVerifier([ROOT.certificate], clock=lambda: now[0])
    shown = peer(ROOT.issue("soon", start=timedelta(seconds=30)))
    with pytest.raises(Untrusted):
        verifier.verify(shown)
    now[0] += 40
    verifier.verify(shown)


def test_a_new_bundle_forgets_old_verdicts(verifier: CertificateVerifier) -> None:
    ours, theirs = peer(ROOT.issue("a")), peer(OTHER.issue("b"))
    verifier.verify(ours)
    verifier.replace([OTHER.certificate])
    with pytest.raises(Untrusted):
        verifier.verify(ours)
    verifier.verify(theirs)


def test_verdicts_are_bounded() -> None:
    verifier = CertificateVerifier([ROOT.certificate], most=3)
    issued = ROOT.issue("a")
    for number in range(10):
        verifier.verify(Peer(issued.certificate, (), bytes([number]), None))
    assert len(verifier._verdicts) == 3


def test_bundles() -> None:
    pem = ROOT.certificate.public_bytes(Encoding.PEM) + OTHER.certificate.public_bytes(Encoding.PEM)
    assert load_bundle(pem) == load_bundle(pem.decode()) == [ROOT.certificate, OTHER.certificate]
    assert load_bundle("\n") == []
    with pytest.raises(ValueError, match="PEM"):
        load_bundle("no certificate")

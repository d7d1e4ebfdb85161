"""Cover the certificate authority: TLS itself trusts what it signs, and clients of other
authorities do not."""

from __future__ import annotations

import ssl
import stat
from datetime import timedelta
from typing import TYPE_CHECKING

import pytest
from cryptography import x509
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from apiserver.server.pki import LEAF_LIFE, Authority, BadAuthority, KeyPair, write_private

if TYPE_CHECKING:
    from pathlib import Path

    from apiserver.server.pki import KeyPair as Pair


def _shake_hands(tmp_path: Path, server: Pair, client: Pair, trusted: Authority, accepted: Authority, name: str = "127.0.0.1") -> None:
    """Do a handshake in memory. Raise ssl.SSLError when one side does not trust the other."""
    paths = {}
    for who, pair in (("server", server), ("client", client)):
        paths[who] = (tmp_path / f"{who}.crt", tmp_path / f"{who}.key")
        for path, content in zip(paths[who], (pair.certificate, pair.key), strict=True):
            write_private(path, content)
    serving = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH, cadata=accepted.pair.certificate.decode())
    serving.verify_mode = ssl.CERT_REQUIRED
    serving.load_cert_chain(*paths["server"])
    asking = ssl.create_default_context(cadata=trusted.pair.certificate.decode())
    asking.verify_flags |= ssl.VERIFY_X509_STRICT
    asking.load_cert_chain(*paths["client"])
    up, down = ssl.MemoryBIO(), ssl.MemoryBIO()
    ends = [asking.wrap_bio(down, up, server_hostname=name), serving.wrap_bio(up, down, server_side=True)]
    done: set[int] = set()
    for _ in range(10):
        for number, end in enumerate(ends):
            try:
                end.do_handshake()
                end.read(1) if number in done else done.add(number)
            except ssl.SSLWantReadError:
                pass
    assert done == {0, 1}


def test_both_sides_are_believed(tmp_path: Path) -> None:
    authority = Authority.create("test")
    _shake_hands(tmp_path, authority.server(["localhost", "127.0.0.1"]), authority.client("me", ["group"]), authority, authority)


def test_others_are_not(tmp_path: Path) -> None:
    authority, other = Authority.create("test"), Authority.create("test")
    server, client = authority.server(["127.0.0.1"]), authority.client("me")
    with pytest.raises(ssl.SSLCertVerificationError):
        _shake_hands(tmp_path, server, client, other, authority)
    with pytest.raises(ssl.SSLCertVerificationError, match="IP address mismatch"):
        _shake_hands(tmp_path, server, client, authority, authority, name="127.0.0.2")
    with pytest.raises(ssl.SSLError):
        _shake_hands(tmp_path, server, other.client("me"), authority, authority)
    with pytest.raises(ssl.SSLError):  # a client's certificate does not serve as a server's
        _shake_hands(tmp_path, client, client, authority, authority)


def test_the_subject_of_a_client_certificate() -> None:
    certificate = x509.load_pem_x509_certificate(Authority.create("test").client("tenant-a", ["g1", "g2"]).certificate)
    subject = certificate.subject
    assert [str(attribute.value) for attribute in subject.get_attributes_for_oid(NameOID.COMMON_NAME)] == ["tenant-a"]
    assert [str(attribute.value) for attribute in subject.get_attributes_for_oid(NameOID.ORGANIZATION_NAME)] == ["g1", "g2"]
    usage = certificate.extensions.get_extension_for_class(x509.ExtendedKeyUsage).value
    assert list(usage) == [ExtendedKeyUsageOID.CLIENT_AUTH]


def test_vouching() -> None:
    authority = Authority.create("test")
    leaf = authority.client("me").certificate
    assert authority.vouches(leaf)
    assert authority.vouches(leaf, remaining=LEAF_LIFE - timedelta(hours=1))
    assert not authority.vouches(leaf, remaining=LEAF_LIFE + timedelta(hours=1))
    assert not Authority.create("test").vouches(leaf)
    assert not authority.vouches(b"nonsense")
    assert Authority(authority.pair).vouches(leaf)


def test_invalid_authorities_are_refused() -> None:
    one, other = Authority.create("test"), Authority.create("test")
    for pair, message in (
        (KeyPair(b"x", one.pair.key), "not PEM"),
        (KeyPair(one.pair.certificate, b"x"), "not PEM"),
        (KeyPair(one.pair.certificate, other.pair.key), "not the certificate's"),
    ):
        with pytest.raises(BadAuthority, match=message):
            Authority(pair)


def test_private_files_are_private_from_the_start(tmp_path: Path) -> None:
    path = tmp_path / "key"
    path.write_text("old")
    path.chmod(0o644)
    write_private(path, b"new")
    assert path.read_bytes() == b"new"
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert list(tmp_path.iterdir()) == [path]

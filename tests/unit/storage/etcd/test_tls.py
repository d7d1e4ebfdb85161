"""Cover TLS contexts: they verify, and are created again when their files change."""

from __future__ import annotations

import os
import ssl
from typing import TYPE_CHECKING

import pytest

from hack.realcluster.pki import Authority
from storage.etcd.tls import TLS, Credentials

if TYPE_CHECKING:
    from pathlib import Path


def write(folder: Path, authority: Authority) -> TLS:
    (folder / "ca.crt").write_bytes(authority.certificate)
    pair = authority.client("me").write(folder / "me")
    return TLS(folder / "ca.crt", pair.certificate, pair.key)


def test_everything_is_verified(tmp_path: Path) -> None:
    for tls in (TLS(), write(tmp_path, Authority("ca"))):
        context = Credentials(tls).context()
        assert context.check_hostname
        assert context.verify_mode is ssl.CERT_REQUIRED
        assert context.minimum_version >= ssl.TLSVersion.TLSv1_2


def test_our_authority_replaces_the_systems(tmp_path: Path) -> None:
    context = Credentials(write(tmp_path, Authority("ca"))).context()
    # Typeshed's type is vaguer than the value.
    assert [dict(part[0] for part in ca["subject"])["commonName"] for ca in context.get_ca_certs()] == ["ca"]  # type: ignore[misc] # the subject of this certificate is one of pairs


def test_renewed_files_are_taken(tmp_path: Path) -> None:
    credentials = Credentials(write(tmp_path, Authority("old")))
    old = credentials.context()
    assert credentials.context() is old
    write(tmp_path, Authority("new"))
    new = credentials.context()
    assert new is not old
    assert "new" in str(new.get_ca_certs())
    assert credentials.context() is new


def test_while_files_are_half_replaced_the_old_ones_serve(tmp_path: Path) -> None:
    credentials = Credentials(write(tmp_path, Authority("old")))
    old = credentials.context()
    key = tmp_path / "me.key"
    good = key.read_bytes()
    other = Authority("other").client("me")
    key.write_bytes(other.key)  # this key does not match the certificate
    assert credentials.context() is old
    os.remove(key)
    assert credentials.context() is old
    key.write_bytes(good)
    assert credentials.context() is not old


def test_what_cannot_be_loaded_at_first_is_reported(tmp_path: Path) -> None:
    with pytest.raises(OSError, match="No such file"):
        Credentials(TLS(tmp_path / "none.crt"))


@pytest.mark.parametrize("half", [{"certificate": "a"}, {"key": "a"}])
def test_half_a_client_certificate_is_refused(half: dict[str, str]) -> None:
    with pytest.raises(ValueError, match="give both"):
        TLS(**half)

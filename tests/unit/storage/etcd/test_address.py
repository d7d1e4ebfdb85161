"""Cover URLs of stores: what they say, and the errors for wrong ones."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any
from unittest.mock import patch

import pytest

from storage.etcd.address import DEFAULT_PREFIX, store_at
from storage.etcd.tls import TLS

if TYPE_CHECKING:
    from pathlib import Path


def read(url: str) -> tuple[list[str], dict[str, Any]]:
    """Return the endpoints and options with which the store is created."""
    with patch("storage.etcd.address.EtcdStore") as made:
        store_at(url)
    (endpoints,), options = made.call_args
    return endpoints, options


@pytest.fixture
def files(tmp_path: Path) -> Path:
    for name in ("ca", "cert", "key"):
        (tmp_path / name).touch()
    (tmp_path / "password").write_text("geheim #1\n")
    return tmp_path


def test_the_shortest() -> None:
    assert read("etcd://etcd:2379") == (["etcd:2379"], {"prefix": DEFAULT_PREFIX, "tls": None, "user": "", "password": ""})


def test_the_longest(files: Path) -> None:
    query = f"ca={files}/ca&cert={files}/cert&key={files}/key&user=me&password-file={files}/password&timeout=2.5&keep-history=0"
    endpoints, options = read(f"etcd://a:1,[::1]:2,c:3/my/pre%20fix/?{query}")
    assert endpoints == ["a:1", "[::1]:2", "c:3"]
    assert options == {
        "prefix": "/my/pre fix",
        "tls": TLS(f"{files}/ca", f"{files}/cert", f"{files}/key"),
        "user": "me",
        "password": "geheim #1",
        "timeout": 2.5,
        "keep_history": 0.0,
    }


def test_etcds_is_tls_with_the_systems_authorities() -> None:
    assert read("etcds://a:1")[1]["tls"] == TLS()


def test_a_real_one_is_made() -> None:
    assert type(store_at("etcds://a:1,b:2/x")).__name__ == "EtcdStore"


@pytest.mark.parametrize(
    ("url", "words"),
    [
        ("sqlite:///x", "give etcd://"),
        ("etcd://", "endpoint is missing"),
        ("etcd://a:1,", "endpoint is missing"),
        ("etcd://a", "host:port"),
        ("etcd://a:b", "host:port"),
        ("etcd://me:secret@a:1", "password-file"),
        ("etcd://a:1/x#y", "%23"),
        ("etcd://a:1?password=secret", "no option 'password'"),
        ("etcd://a:1?user=", "no value"),
        ("etcd://a:1?timeout=1&timeout=2", "twice"),
        ("etcd://a:1?ca=/no/such/file", "no file /no/such/file"),
        ("etcd://a:1?user=me", "password-file come together"),
        ("etcd://a:1?timeout=0", "number of seconds"),
        ("etcd://a:1?timeout=nan", "number of seconds"),
        ("etcd://a:1?keep-history=soon", "number of seconds"),
    ],
)
def test_invalid_addresses_are_refused(url: str, words: str) -> None:
    with pytest.raises(ValueError, match=words) as caught:
        store_at(url)
    assert "secret" not in str(caught.value)


def test_a_certificate_without_its_key_is_refused(files: Path) -> None:
    with pytest.raises(ValueError, match="come together"):
        store_at(f"etcd://a:1?cert={files}/cert")

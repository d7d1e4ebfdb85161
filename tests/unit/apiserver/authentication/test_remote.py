"""Check which addresses count as one client."""

from __future__ import annotations

import pytest

from apiserver.authentication.remote import client_of


@pytest.mark.parametrize(
    ("address", "client"),
    [
        ("10.0.0.9", "10.0.0.9"),
        ("::ffff:10.0.0.9", "10.0.0.9"),
        ("2001:db8::1", "2001:db8::/64"),
        ("2001:db8::ffff:1", "2001:db8::/64"),
        ("fe80::1%eth0", "fe80::/64"),
        ("", ""),
    ],
)
def test_a_machine_is_one_client(address: str, client: str) -> None:
    assert client_of(address) == client

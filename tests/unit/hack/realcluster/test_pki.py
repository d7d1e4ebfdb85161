"""Check certificates by TLS itself."""

from __future__ import annotations

import asyncio
import ssl
from typing import TYPE_CHECKING

import pytest
from cryptography import x509
from cryptography.x509.oid import NameOID

from hack.realcluster import pki

if TYPE_CHECKING:
    from pathlib import Path


async def shake_hands(folder: Path, authority: pki.Authority, trusted: bytes, hostname: str) -> tuple[tuple[str, str], ...]:
    """Return the organizations and name of the client as the server sees it after a mutually
    verified handshake."""
    server_pair = authority.server("server", ("svc.example", "127.0.0.1")).write(folder / "server")
    client_pair = authority.client("user", ("group-1", "group-2")).write(folder / "client")
    server = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH, cadata=authority.certificate.decode())
    server.verify_mode = ssl.CERT_REQUIRED
    server.load_cert_chain(server_pair.certificate, server_pair.key)
    client = ssl.create_default_context(cadata=trusted.decode())
    client.load_cert_chain(client_pair.certificate, client_pair.key)
    seen: asyncio.Future[dict[str, tuple[tuple[tuple[str, str], ...], ...]]] = asyncio.get_running_loop().create_future()

    async def accept(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        seen.set_result(writer.get_extra_info("peercert"))
        writer.close()

    listener = await asyncio.start_server(accept, "127.0.0.1", 0, ssl=server)
    async with listener:
        port = listener.sockets[0].getsockname()[1]
        reader, writer = await asyncio.open_connection("127.0.0.1", port, ssl=client, server_hostname=hostname)
        await reader.read()
        writer.close()
        certificate = await asyncio.wait_for(seen, 60)
    return tuple(pair for part in certificate["subject"] for pair in part)


async def test_both_sides_verify_and_the_server_reads_user_and_groups(tmp_path: Path) -> None:
    authority = pki.Authority("ca")
    subject = await shake_hands(tmp_path, authority, authority.certificate, "svc.example")
    assert subject == (("organizationName", "group-1"), ("organizationName", "group-2"), ("commonName", "user"))


async def test_an_address_is_verified_as_an_address(tmp_path: Path) -> None:
    authority = pki.Authority("ca")
    assert await shake_hands(tmp_path, authority, authority.certificate, "127.0.0.1")


async def test_another_authority_of_the_same_name_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ssl.SSLCertVerificationError):
        await shake_hands(tmp_path, pki.Authority("ca"), pki.Authority("ca").certificate, "svc.example")


async def test_another_host_name_is_refused(tmp_path: Path) -> None:
    authority = pki.Authority("ca")
    with pytest.raises(ssl.SSLCertVerificationError):
        await shake_hands(tmp_path, authority, authority.certificate, "other.example")


def test_keys_are_private_from_the_first_byte(tmp_path: Path) -> None:
    pair = pki.Authority("ca").client("user").write(tmp_path / "tenant.x")
    assert pair.key == tmp_path / "tenant.x.key"
    assert pair.key.stat().st_mode & 0o777 == 0o600


def test_a_client_certificate_is_no_authority() -> None:
    certificate = x509.load_pem_x509_certificate(pki.Authority("ca").client("user").certificate)
    assert certificate.extensions.get_extension_for_class(x509.BasicConstraints).value.ca is False
    assert certificate.issuer.get_attributes_for_oid(NameOID.COMMON_NAME)[0].value == "ca"

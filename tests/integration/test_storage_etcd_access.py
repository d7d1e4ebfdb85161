"""Cover access of EtcdStore to etcd: TLS with host names and client certificates, etcd's users, and
tokens that expire or are forgotten."""

# mypy: disallow-untyped-calls=False

from __future__ import annotations

import asyncio
import os
import ssl
import time
from typing import TYPE_CHECKING, Any

import pytest
from etcd3.models import authpbPermissionType

from hack.realcluster.pki import LOOPBACK, Authority
from storage.base import Event, Put, Unavailable
from storage.etcd import TLS, EtcdStore
from storage.etcd.errors import Refused
from storage.etcd.gateway import Gateway
from storage.testing.harness import collect, opened, watching
from tests.integration.etcdserver import EtcdServer

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

TOKEN_SECONDS = 2


class Secure:
    """Run an etcd that requires client certificates, and hold the files that clients need to reach
    it."""

    def __init__(self, folder: Path, hosts: tuple[str, ...] = LOOPBACK) -> None:
        authority, other = Authority("etcd-ca"), Authority("another-ca")
        self.ca, self.other_ca = folder / "ca.crt", folder / "other.crt"
        self.ca.write_bytes(authority.certificate)
        self.other_ca.write_bytes(other.certificate)
        self.pair = authority.client("tester").write(folder / "client")
        self.stranger = other.client("tester").write(folder / "stranger")
        served = authority.server("etcd", hosts).write(folder / "server")
        context = ssl.create_default_context(cafile=self.ca)
        context.check_hostname = False  # this context only waits for health
        context.load_cert_chain(self.pair.certificate, self.pair.key)
        flags = ["--client-cert-auth", f"--trusted-ca-file={self.ca}", f"--cert-file={served.certificate}", f"--key-file={served.key}"]
        self.server = EtcdServer(folder, flags=flags, scheme="https", context=context)

    def store(self, tls: TLS | None) -> EtcdStore:
        return EtcdStore([self.server.endpoint], prefix="/t", tls=tls, timeout=3)

    @property
    def tls(self) -> TLS:
        return TLS(self.ca, self.pair.certificate, self.pair.key)


@pytest.fixture
def secure(tmp_path: Path) -> Iterator[Secure]:
    made = Secure(tmp_path)
    made.server.start()
    try:
        yield made
    finally:
        made.server.kill()


async def test_client_certificates(secure: Secure) -> None:
    async with opened(secure.store(secure.tls)) as store:
        revision = await store.commit([Put("/a", b"1")])
        assert await collect(store, "/", revision - 1, revision) == [Event("put", "/a", b"1", revision, None)]


@pytest.mark.parametrize(
    ("wrong", "word"),
    [
        (lambda s: TLS(s.ca), "certificate required|handshake|answer|alert"),
        (lambda s: TLS(s.ca, s.stranger.certificate, s.stranger.key), "certificate|answer|alert"),
        (lambda s: TLS(s.other_ca, s.pair.certificate, s.pair.key), "certificate verify failed"),
        (lambda s: None, "certificate verify failed"),
        (lambda s: TLS(s.ca.with_name("missing.crt")), "check the files"),
    ],
)
async def test_what_cannot_be_verified_is_refused(secure: Secure, wrong: Callable[[Secure], TLS | None], word: str) -> None:
    with pytest.raises(Unavailable, match=word):
        await secure.store(wrong(secure)).start()


async def test_the_host_name_has_to_match(tmp_path: Path) -> None:
    secure = Secure(tmp_path, hosts=("etcd.example.org",))
    secure.server.start()
    try:
        with pytest.raises(Unavailable, match=r"127\.0\.0\.1"):
            await secure.store(secure.tls).start()
    finally:
        secure.server.kill()


@pytest.fixture
async def users(tmp_path: Path) -> Any:
    """Start an etcd with users: root, writer (may use /t) and other (may use /other). Tokens live
    for TOKEN_SECONDS."""
    server = EtcdServer(tmp_path, flags=[f"--auth-token-ttl={TOKEN_SECONDS}"])
    await asyncio.to_thread(server.start)
    gateway = Gateway(server.endpoint, None, pool=4)
    try:
        for name, prefix in (("writer", "/t"), ("other", "/other")):
            await gateway.user_add(name, f"{name}-password")
            await gateway.role_add(name)
            await gateway.role_grant_permission(name, prefix, authpbPermissionType.READWRITE, prefix=True)
            await gateway.user_grant_role(name, name)
        await gateway.user_add("root", "root-password")
        await gateway.role_add("root")
        await gateway.user_grant_role("root", "root")
        await gateway.auth_enable()
        yield server
    finally:
        await gateway.close()
        server.kill()


def as_user(server: EtcdServer, user: str, password: str | None = None, **options: Any) -> EtcdStore:
    password = f"{user}-password" if password is None else password
    return EtcdStore([server.endpoint], prefix="/t", user=user, password=password, timeout=5, keep_history=0, **options)


async def until_tokens_expire(server: EtcdServer) -> None:
    """Wait until etcd refuses a token made now. It then also refuses the tokens that were not used
    since."""
    deadline = time.monotonic() + 10 * TOKEN_SECONDS
    gateway = Gateway(server.endpoint, None, pool=1)
    try:
        await gateway.auth("root", "root-password")
        while not await refused(gateway):
            assert time.monotonic() < deadline
            await asyncio.sleep(TOKEN_SECONDS * 1.2)  # a request extends the token's life
    finally:
        await gateway.close()


async def refused(gateway: Gateway) -> bool:
    """Return whether etcd refuses the gateway's token."""
    try:
        await gateway.call("/kv/range", b'{"key":"L3QvYQ=="}', 5)
    except Refused as error:
        return error.stale_token
    return False


async def test_a_token_that_expires_is_renewed(users: EtcdServer) -> None:
    async with opened(as_user(users, "writer")) as store:
        revision = await store.commit([Put("/a", b"1")])
        await until_tokens_expire(users)
        later = await asyncio.gather(*(store.commit([Put(f"/{n}", b"2")]) for n in range(30)))
        assert min(later) > revision
        await until_tokens_expire(users)
        events = await collect(store, "/", revision - 1, max(later))
        assert len(events) == 31


async def test_tokens_that_etcd_forgot_are_renewed(users: EtcdServer) -> None:
    async with opened(as_user(users, "writer")) as store:
        before = await store.commit([Put("/a", b"1")])
        async with watching(store, "/", before) as watch:
            await anext(watch)
            await asyncio.to_thread(users.kill)
            await asyncio.to_thread(users.start)  # etcd kept its tokens in memory
            revision = await store.commit([Put("/a", b"2")])
            async for item in watch:
                if isinstance(item, Event):
                    assert item == Event("put", "/a", b"2", revision, b"1")
                    break


async def test_wrong_credentials_are_reported(users: EtcdServer) -> None:
    for store, words in (
        (as_user(users, "writer", "guess"), "invalid user ID or password.*user and a password"),
        (as_user(users, "other"), "permission denied.*grant"),
        (as_user(users, "", ""), "user name is empty.*user and a password"),
    ):
        with pytest.raises(Unavailable, match=words) as caught:
            await store.start()
        assert "guess" not in str(caught.value)


async def test_a_watch_without_permission_ends(users: EtcdServer) -> None:
    async with opened(as_user(users, "writer")) as store:
        revision = await store.current_revision()
        gateway = Gateway(users.endpoint, None, pool=1)
        await gateway.auth("root", "root-password")
        await gateway.user_revoke_role("writer", "writer")
        with pytest.raises(Unavailable, match="permission denied"):
            await collect(store, "/", revision, revision)
        await gateway.close()


async def test_user_and_password_do_no_harm_where_there_are_no_users(tmp_path: Path) -> None:
    server = EtcdServer(tmp_path)
    server.start()
    try:
        async with opened(as_user(server, "anybody")) as store:
            await store.commit([Put("/a", b"")])
    finally:
        server.kill()


async def test_a_snapshot_needs_the_role_root_and_a_private_file(users: EtcdServer, tmp_path: Path) -> None:
    store = as_user(users, "writer")
    async with opened(store):
        await store.commit([Put("/a", b"1")])
        with pytest.raises(Unavailable, match="only a user with the role root may take snapshots"):
            await store.save_snapshot(tmp_path / "refused")
    store = as_user(users, "root")
    async with opened(store):
        size = await store.save_snapshot(tmp_path / "saved")
    assert [name for name in os.listdir(tmp_path) if "refused" in name or "saved" in name] == ["saved"]
    assert (tmp_path / "saved").stat().st_mode & 0o777 == 0o600
    assert (tmp_path / "saved").stat().st_size == size

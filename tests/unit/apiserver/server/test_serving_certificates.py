"""Check where the serving certificate comes from, how it is renewed, and how kube-apiserver learns
of its authority."""

from __future__ import annotations

import asyncio
import base64
from typing import TYPE_CHECKING, Any

import orjson
import pytest
from cryptography.hazmat.primitives.serialization import Encoding

from apiserver.client.errors import ApiException
from apiserver.server.apiservice import CaBundleKeeper, wanted_patch
from apiserver.server.pki import LEAF_LIFE, Authority
from apiserver.server.servingcert import AUTHORITY_KEY, FileCertificate, SelfMade, stored_authority
from apiserver.server.tls import BadServingCertificate, ServerTls
from storage.base import Put
from storage.sqlite import SQLiteStore
from tests.unit.apiserver import authorities
from tests.unit.apiserver.authorities import HOUR, Issued
from tests.unit.apiserver.server.harness import SERVER, SERVING
from tests.unit.apiserver.server.test_delegation import Cluster

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from pathlib import Path


class Served:
    """Stand in for a ServerTls: accept pairs, refuse what a real one refuses, and announce each
    pair."""

    def __init__(self) -> None:
        self.pairs = asyncio.Queue[tuple[bytes, bytes]]()
        self.refused = asyncio.Event()

    def serve(self, certificate: bytes, key: bytes) -> None:
        try:
            ServerTls(certificate, key)
        except BadServingCertificate:
            self.refused.set()
            raise
        self.pairs.put_nowait((certificate, key))


@pytest.fixture
async def store(tmp_path: Path) -> AsyncIterator[SQLiteStore]:
    made = SQLiteStore(tmp_path / "db", synchronous="off")
    await made.start()
    yield made
    await made.close()


async def test_the_authority_is_made_once_and_kept(store: SQLiteStore) -> None:
    first, second = await asyncio.gather(stored_authority(store), stored_authority(store))
    third = await stored_authority(store)
    assert first.pair == second.pair == third.pair


async def test_an_authority_that_expired_or_is_none_is_replaced(store: SQLiteStore) -> None:
    old = authorities.Authority("old", start=-2 * HOUR, end=-HOUR)
    expired = {"certificate": old.certificate.public_bytes(Encoding.PEM).decode(), "key": Issued(old.certificate, old.key).key_pem.decode()}
    for value in (orjson.dumps(expired), b"nonsense", b"{}", b'{"certificate":"","key":""}'):
        await store.commit([Put(AUTHORITY_KEY, value)])
        kept = await stored_authority(store)
        assert (await stored_authority(store)).pair == kept.pair


def test_self_made_certificates_are_renewed_in_time() -> None:
    authority = Authority.create("test")
    made = SelfMade(authority, ["a.example", "127.0.0.1"])
    first, tls = made.pair, ServerTls(made.pair.certificate, made.pair.key)
    assert not made.renew(tls)
    assert made.pair == first
    assert made.renew(tls, remaining=LEAF_LIFE)
    assert made.pair != first
    assert authority.vouches(made.pair.certificate)
    assert made.bundle == authority.pair.certificate


async def test_files_are_followed_and_halves_of_a_renewal_are_not_served(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    certificate, key = tmp_path / "crt", tmp_path / "key"
    with pytest.raises(BadServingCertificate, match="cannot be read"):
        FileCertificate(certificate, key).read()
    certificate.write_bytes(SERVER.pem)
    key.write_bytes(SERVER.key_pem)
    files, served = FileCertificate(certificate, key, interval=0.01), Served()
    files.read()
    following = asyncio.create_task(files.follow(served))  # type: ignore[arg-type] # Served has what is used of the TLS
    renewed = SERVING.server()
    certificate.write_bytes(renewed.pem)  # the key does not match yet
    async with asyncio.timeout(60):
        await served.refused.wait()
        assert served.pairs.empty()
        key.write_bytes(renewed.key_pem)
        assert await served.pairs.get() == (renewed.pem, renewed.key_pem)
    following.cancel()
    assert caplog.text.count("the previous serving certificate stays in use") == 1
    assert "PRIVATE" not in caplog.text


@pytest.mark.parametrize("bad", [(b"x", SERVER.key_pem), (SERVER.pem, b"x"), (SERVER.pem, SERVING.server().key_pem)])
def test_invalid_serving_certificates_are_refused(bad: tuple[bytes, bytes]) -> None:
    with pytest.raises(BadServingCertificate, match="must be PEM"):
        ServerTls(*bad)


def service(**spec: Any) -> dict[str, Any]:
    return {"metadata": {"resourceVersion": "5"}, "spec": {"service": {"name": "s"}, **spec}}


ENCODED = base64.b64encode(b"pem").decode()


def test_the_patch_for_an_apiservice() -> None:
    wanted = {"metadata": {"resourceVersion": "5"}, "spec": {"caBundle": ENCODED, "insecureSkipTLSVerify": None}}
    assert wanted_patch(service(), b"pem") == wanted
    assert wanted_patch(service(caBundle="old"), b"pem") == wanted
    assert wanted_patch(service(insecureSkipTLSVerify=True), b"pem") == wanted
    assert wanted_patch(service(caBundle=ENCODED), b"pem") is None
    assert wanted_patch({"spec": {"group": "metal3.io"}}, b"pem") == {}


@pytest.mark.parametrize(
    ("answers", "settled", "said", "patched"),
    [
        ([service(), {}], True, "", True),
        ([service(caBundle=ENCODED)], True, "", False),
        ([{"spec": {}}], True, "", False),
        ([ApiException(404, "", "")], False, "apply the APIService manifests", False),
        ([ApiException(403, "", "")], False, "RBAC", False),
        ([service(), ApiException(409, "", "")], False, "HTTP status 409", True),
    ],
)
async def test_an_apiservice_is_put_right(
    answers: list[Any], settled: bool, said: str, patched: bool, caplog: pytest.LogCaptureFixture
) -> None:
    cluster = Cluster(*answers)
    keeper = CaBundleKeeper(cluster, ["v1.g"], lambda: b"pem")
    assert await keeper.keep("v1.g") is settled
    assert [method for method, _, _ in cluster.asked] == ["GET", "PATCH"][: 1 + patched]
    assert said in caplog.text
    if not patched:
        await keeper.keep("v1.g")
        assert caplog.text.count("APIService v1.g") == (1 if said else 0)

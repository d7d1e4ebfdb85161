"""Cover the direct way to the API server: which requests take it, how the server is verified, and
that kube-apiserver is always the alternative."""

from __future__ import annotations

import asyncio
import base64
import ssl
from typing import TYPE_CHECKING, Any

import pytest

from apiserver.client.direct import API_SERVICES, ShortcutClient, endpoint
from apiserver.client.errors import BadConfig
from apiserver.client.informer import Informer
from apiserver.client.objects import Resource
from apiserver.server.pki import Authority
from tests.unit.controllers.fakeapi import FakeApi, eventually

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from pathlib import Path

    from apiserver.client.client import Client

OURS = Resource("example.com", "v1", "things", "Thing")
OTHERS = Resource("other.example.com", "v1", "things", "Thing")
SERVICE = "v1.example.com"
NAME = "server.system.svc"


@pytest.fixture
def authority() -> Authority:
    return Authority.create("server-ca")


@pytest.fixture
async def direct(authority: Authority, tmp_path: Path) -> AsyncIterator[FakeApi]:
    """Run the API server itself, which shows a certificate for its Service's name only."""
    pair = authority.server([NAME])
    for name, content in (("crt", pair.certificate), ("key", pair.key)):
        (tmp_path / name).write_bytes(content)
    tls = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    tls.load_cert_chain(tmp_path / "crt", tmp_path / "key")
    async with FakeApi().serving(tls) as fake:
        yield fake


@pytest.fixture
async def near(api: FakeApi, direct: FakeApi, authority: Authority) -> AsyncIterator[Client]:
    """Yield a client of both servers: `api` is kube-apiserver."""
    register(api, authority)
    async with ShortcutClient(api.kubeconfig, url=direct.url, groups=["example.com"], api_service=SERVICE) as made:
        yield made


def register(api: FakeApi, authority: Authority | None) -> None:
    bundle = {"caBundle": base64.b64encode(authority.pair.certificate).decode()} if authority is not None else {}
    spec = {"service": {"name": "server", "namespace": "system"}, **bundle}
    api.put("apis/apiregistration.k8s.io/v1/apiservices", {"metadata": {"name": SERVICE}, "spec": spec})


async def create(client: Client, resource: Resource, name: str) -> None:
    await client.create(resource, {"metadata": {"name": name}}, "ns")


def names(api: FakeApi) -> set[str]:
    return {name for (resource, _, name) in api.objects if resource.endswith("/things")}


async def test_its_own_kinds_are_asked_of_the_server_itself(api: FakeApi, direct: FakeApi, near: Client) -> None:
    await create(near, OURS, "a")
    await create(near, OTHERS, "b")
    assert (names(direct), names(api)) == ({"a"}, {"b"})
    await near.patch(OURS, "a", {"spec": {"x": 1}}, "ns")
    assert (await near.get(OURS, "a", "ns"))["spec"] == {"x": 1}
    assert api.requests["GET apiservices"] == 1, "it is looked up once"


async def test_all_that_is_asked_at_once_at_the_start_takes_the_way(api: FakeApi, direct: FakeApi, near: Client) -> None:
    await asyncio.gather(*(create(near, OURS, name) for name in "abcd"))
    assert (names(direct), names(api)) == (set("abcd"), set())
    assert api.requests["GET apiservices"] == 1


async def test_watches_take_the_way_as_well(direct: FakeApi, near: Client) -> None:
    informer = Informer(near, OURS)
    task = asyncio.ensure_future(informer.run())
    try:
        await eventually(informer.synced.is_set)
        direct.put("apis/example.com/v1/things", {"metadata": {"name": "seen"}})
        await eventually(lambda: "seen" in informer.store)
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)


@pytest.mark.parametrize("wrong", ["authority", "name", "no bundle", "no service"])
async def test_a_server_that_cannot_be_verified_is_left_alone(
    wrong: str, api: FakeApi, direct: FakeApi, near: Client, authority: Authority, monkeypatch: pytest.MonkeyPatch
) -> None:
    register(api, Authority.create("another") if wrong == "authority" else None if wrong == "no bundle" else authority)
    if wrong == "name":
        api.edit("apis/apiregistration.k8s.io/v1/apiservices", SERVICE, {"spec": {"service": {"name": "another"}}})
    if wrong == "no service":
        api.remove("apis/apiregistration.k8s.io/v1/apiservices", SERVICE)
    await create(near, OURS, "a")
    await create(near, OURS, "b")
    assert (names(direct), names(api)) == (set(), {"a", "b"})
    assert api.requests["GET apiservices"] == 1, "not tried with each request"
    register(api, authority)
    api.edit("apis/apiregistration.k8s.io/v1/apiservices", SERVICE, {"spec": {"service": {"name": "server"}}})
    near._not_before = 0.0  # type: ignore[attr-defined] # as if that time had passed
    await create(near, OURS, "c")
    assert names(direct) == {"c"}


async def test_credentials_that_the_server_does_not_take_go_to_kube_apiserver(api: FakeApi, direct: FakeApi, near: Client) -> None:
    direct.tokens = set()
    await create(near, OURS, "a")
    assert (names(direct), names(api)) == (set(), {"a"})


async def test_a_server_that_goes_away_is_not_missed(api: FakeApi, authority: Authority, tmp_path: Path) -> None:
    register(api, authority)
    async with FakeApi().serving() as gone:
        url = gone.url.replace("http://", "https://")
    async with ShortcutClient(api.kubeconfig, url=url, groups=["example.com"], api_service=SERVICE, retry=0.0) as near:
        for name in ("a", "b", "c"):
            await create(near, OURS, name)
    assert names(api) == {"a", "b", "c"}
    assert api.requests["GET apiservices"] == 3, "its certificate may be another one by then"


async def test_refusals_are_refusals(direct: FakeApi, near: Client) -> None:
    await create(near, OURS, "a")
    with pytest.raises(Exception, match="already exists"):
        await create(near, OURS, "a")
    assert direct.requests["POST things"] == 2


@pytest.mark.parametrize(
    "spec",
    [{}, {"service": {"name": "a", "namespace": "b"}}, {"caBundle": "eA=="}, {"service": {"name": "a", "namespace": "b"}, "caBundle": "#"}],
)
def test_an_api_service_that_does_not_say_enough(spec: dict[str, Any]) -> None:
    with pytest.raises(BadConfig, match="caBundle"):
        endpoint({"spec": spec}, "https://127.0.0.1")


def test_api_services_are_asked_of_kube_apiserver() -> None:
    assert API_SERVICES.path(name=SERVICE) == f"/apis/apiregistration.k8s.io/v1/apiservices/{SERVICE}"

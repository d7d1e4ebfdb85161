"""Cover the client: errors, deadlines, reloading of credentials, and what a kubeconfig out of a
secret may not do."""

from __future__ import annotations

import asyncio
import base64
import logging
import os
from typing import TYPE_CHECKING, Any

import pytest
import yaml

from apiserver.client.client import Client
from apiserver.client.errors import ApiException, BadConfig, Unreachable, from_response
from apiserver.client.kubeconfig import load, parse
from apiserver.client.objects import Resource
from tests.unit.controllers.fakeapi import Failure, FakeApi, kubeconfig

if TYPE_CHECKING:
    from pathlib import Path

    from aiohttp import web

THINGS = Resource("example.com", "v1", "things", "Thing")
SECRETS = Resource("", "v1", "secrets", "Secret")


def test_paths() -> None:
    assert THINGS.path("a", "b", "status") == "/apis/example.com/v1/namespaces/a/things/b/status"
    assert SECRETS.path() == "/api/v1/secrets"


async def test_create_read_change_delete(client: Client) -> None:
    made = await client.create(THINGS, {"metadata": {"name": "x"}, "spec": {"a": 1}}, "ns")
    assert (await client.get(THINGS, "x", "ns"))["spec"] == {"a": 1}
    changed = await client.patch(THINGS, "x", {"spec": {"a": None, "b": 2}}, "ns")
    assert changed["spec"] == {"b": 2}
    with pytest.raises(ApiException) as caught:
        await client.update(THINGS, made)
    assert caught.value.conflict
    with pytest.raises(ApiException) as caught:
        await client.create(THINGS, {"metadata": {"name": "x"}}, "ns")
    assert caught.value.already_exists
    assert not caught.value.conflict
    with pytest.raises(ApiException):
        await client.delete(THINGS, "x", "ns", uid="another")
    await client.delete(THINGS, "x", "ns", uid=made["metadata"]["uid"])
    with pytest.raises(ApiException) as caught:
        await client.get(THINGS, "x", "ns")
    assert caught.value.not_found
    assert caught.value.details["name"] == "x"


async def test_lists_start_over_once_when_their_pages_expire(api: FakeApi, client: Client) -> None:
    for number in range(5):
        api.put("apis/example.com/v1/things", {"metadata": {"name": f"t{number}"}})
    calls: list[int] = []

    async def expire(fake: FakeApi, request: web.Request, address: Any, body: Any) -> None:
        if "continue" in request.query and not calls:
            calls.append(1)
            fake.expire_pages()

    api.hooks["GET things"] = expire
    items, version = await client.list_all(THINGS, page_size=2)
    assert len(items) == 5
    assert calls == [1]
    assert version == str(api.revision)


async def test_statuses_become_errors(api: FakeApi, client: Client) -> None:
    api.fail = lambda verb, path: Failure(429, "TooManyRequests", "slow down", retryAfterSeconds=7)
    with pytest.raises(ApiException) as caught:
        await client.get(THINGS, "x")
    assert (caught.value.status, caught.value.reason, caught.value.retry_after) == (429, "TooManyRequests", 7.0)
    assert caught.value.transient


def test_a_proxys_page_is_an_error_too() -> None:
    error = from_response(502, b"<html>bad gateway</html>", "3")
    assert (error.status, error.retry_after) == (502, 3.0)
    assert "502" in str(error)


async def test_no_answer_is_unreachable() -> None:
    async with Client(kubeconfig("http://127.0.0.1:1")) as client:
        with pytest.raises(Unreachable):
            await client.get(THINGS, "x")


async def test_calls_have_deadlines(api: FakeApi) -> None:
    async def hang(fake: FakeApi, request: web.Request, address: Any, body: Any) -> None:
        await asyncio.sleep(5)

    api.hooks["GET things"] = hang
    async with Client(api.kubeconfig, timeout=0.1) as client:
        with pytest.raises(Unreachable, match="in time"):
            await client.get(THINGS, "x")


async def test_rotated_credentials_are_read_again(api: FakeApi, tmp_path: Path) -> None:
    path = tmp_path / "kubeconfig"
    path.write_text(yaml.safe_dump(kubeconfig(api.url, "old")))
    api.tokens = {"old"}
    async with Client(path, reload_every=0.0) as client:
        await client.list_all(THINGS)
        api.tokens = {"new"}
        path.write_text(yaml.safe_dump(kubeconfig(api.url, "new")))
        await client.list_all(THINGS)
        api.tokens = set()
        with pytest.raises(ApiException) as caught:
            await client.list_all(THINGS)
        assert caught.value.status == 401


async def test_nothing_confidential_is_logged(api: FakeApi, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG)
    secret = {"metadata": {"name": "s"}, "data": {"k": "Y2FuYXJ5LXZhbHVl"}}
    async with Client(api.kubeconfig) as client:
        await client.create(SECRETS, secret, "ns")
        await client.get(SECRETS, "s", "ns")
        with pytest.raises(ApiException):
            await client.create(SECRETS, secret, "ns")
    assert "Y2FuYXJ5" not in caplog.text
    assert "token-canary" not in caplog.text


@pytest.mark.parametrize(
    ("section", "entry", "word"),
    [
        ("user", {"exec": {"command": "touch", "apiVersion": "client.authentication.k8s.io/v1"}}, "exec"),
        ("user", {"auth-provider": {"name": "gcp"}}, "auth-provider"),
        ("user", {"tokenFile": "/etc/passwd"}, "tokenFile"),
        ("user", {"client-key": "/etc/shadow"}, "client-key"),
        ("cluster", {"certificate-authority": "/etc/passwd"}, "certificate-authority"),
        ("cluster", {"certificate-authority-data": "!"}, "certificate-authority"),
        ("cluster", {"insecure-skip-tls-verify": True}, "insecure-skip-tls-verify"),
        ("cluster", {"certificate-authority-data": base64.b64encode(b"no pem").decode()}, "certificate"),
    ],
)
async def test_a_kubeconfig_out_of_a_secret_may_not(section: str, entry: dict[str, Any], word: str) -> None:
    config = kubeconfig("https://127.0.0.1:1")
    config[f"{section}s"][0][section] |= entry
    with pytest.raises(BadConfig, match=word):
        await load(config)


async def test_plain_http_is_for_this_machine_only() -> None:
    with pytest.raises(BadConfig, match="https"):
        await Client(kubeconfig("http://example.com")).open()


@pytest.mark.parametrize("text", ["", "a: [", "just text", "clusters: []", b"\xff\xfe"])
def test_invalid_kubeconfigs_are_refused(text: str | bytes) -> None:
    with pytest.raises(BadConfig, match="kubeconfig"):
        parse(text)


async def test_broken_kubeconfigs_are_reported(tmp_path: Path) -> None:
    with pytest.raises(BadConfig, match="no kubeconfig at"):
        await load(tmp_path / "missing")
    config = kubeconfig("https://127.0.0.1:1")
    config["current-context"] = "other"
    with pytest.raises(BadConfig, match="other"):
        await load(config)


async def test_keys_are_not_left_in_files(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    config = kubeconfig("https://127.0.0.1:1")
    config["users"][0]["user"] = {"client-key-data": base64.b64encode(b"canary").decode(), "client-certificate-data": "Y2FuYXJ5"}
    with pytest.raises(BadConfig):
        await load(config)
    assert os.listdir(tmp_path) == []

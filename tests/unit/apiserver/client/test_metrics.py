"""Check what a client counts of its requests."""

from __future__ import annotations

from typing import TYPE_CHECKING
from urllib.parse import urlsplit

import pytest
from prometheus_client import CollectorRegistry

from apiserver.client.client import Client
from apiserver.client.errors import ApiException, Unreachable
from apiserver.client.metrics import COLLECTORS, UNANSWERED
from apiserver.client.objects import Resource
from tests.unit.controllers.fakeapi import Failure, kubeconfig

if TYPE_CHECKING:
    from tests.unit.controllers.fakeapi import FakeApi

THINGS = Resource("example.com", "v1", "things", "Thing")


def value(name: str, /, **labels: str) -> float:
    registry = CollectorRegistry()
    for collector in COLLECTORS:
        registry.register(collector)
    return registry.get_sample_value(name, labels) or 0.0


def requests(host: str, method: str, code: str) -> float:
    return value("rest_client_requests_total", host=host, method=method, code=code)


async def test_requests_are_counted_by_their_answer(api: FakeApi, client: Client) -> None:
    host = urlsplit(api.url).netloc
    await client.create(THINGS, {"metadata": {"name": "x"}}, "ns")
    assert await client.find(THINGS, "y", "ns") is None
    api.fail = lambda verb, path: Failure(429, "TooManyRequests")
    with pytest.raises(ApiException):
        await client.get(THINGS, "x", "ns")
    assert [requests(host, "POST", "200"), requests(host, "GET", "404"), requests(host, "GET", "429")] == [1, 1, 1]
    assert value("rest_client_request_duration_seconds_count", host=host, verb="GET") == 2


async def test_requests_without_an_answer_are_errors() -> None:
    async with Client(kubeconfig("http://127.0.0.1:1")) as client:
        before = requests("127.0.0.1:1", "GET", UNANSWERED)
        with pytest.raises(Unreachable):
            await client.get(THINGS, "x", "ns")
    assert requests("127.0.0.1:1", "GET", UNANSWERED) == before + 1

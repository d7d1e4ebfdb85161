"""Cover sources in trouble, real hosts and relayed ones alike. Check what the class's owner and the
tenant read, that nothing is lost or done twice, and that trouble ends with its cause."""

from __future__ import annotations

import copy
from functools import partial
from typing import TYPE_CHECKING, Any

import orjson
import pytest

from apiserver.client.client import Client
from apiserver.client.informer import Informer
from controllers.providers import clusterclient
from controllers.providers.baremetalhost import driver
from tests.integration.tcpproxy import proxied
from tests.unit.controllers.clusters import (
    BMH,
    CANARY,
    CLASSES,
    HOSTS,
    SECRETS,
    WORKLOADS,
    TwoClusters,
    bmh,
    controllers,
    secret,
    two_clusters,
    workload,
    workload_class,
)
from tests.unit.controllers.fakeapi import Failure, FakeApi, eventually, kubeconfig
from tests.unit.controllers.providers.relay.upstream import view

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

RELAY = "metal3.io/relay"
IMAGES = 1
"""The number of installations in all of a test: nothing is done twice."""


@pytest.fixture(params=["metal3.io/baremetalhost", RELAY])
async def clusters(request: pytest.FixtureRequest) -> AsyncIterator[TwoClusters]:
    async with two_clusters() as made:
        made.management.put(CLASSES, workload_class(provisioner=request.param))
        for name in ("h1", "h2"):
            made.hardware.put(BMH, view(name) if request.param == RELAY else bmh(name))
        yield made


def class_condition(clusters: TwoClusters, type_: str = "Connected", name: str = "metal") -> dict[str, Any]:
    conditions = (clusters.management.get(CLASSES, name).get("status") or {}).get("conditions") or []
    return next((item for item in conditions if item["type"] == type_), {"status": "", "reason": "", "message": ""})


def follow(clusters: TwoClusters, config: dict[str, Any]) -> None:
    """Give the class these credentials."""
    clusters.management.put(SECRETS, secret("hardware", "system", kubeconfig=orjson.dumps(config).decode()))


async def runs(clusters: TwoClusters) -> None:
    clusters.management.put(WORKLOADS, workload("web"))
    await eventually(lambda: clusters.phase("web") == "Running")


def power(clusters: TwoClusters, *, on: bool) -> None:
    clusters.management.edit(WORKLOADS, "web", {"spec": {"online": on}}, "team-a")


@pytest.mark.parametrize(
    ("failure", "reason", "words"),
    [
        (Failure(401, "Unauthorized"), "Unauthorized", "put a valid kubeconfig into the secret"),
        (Failure(403, "Forbidden", "canary"), "Forbidden", "the credentials may not do this"),
        (Failure(429, "TooManyRequests", "canary", retryAfterSeconds=1), "TooManyRequests", "asks to wait"),
        (Failure(500, "InternalError", "canary"), "Failing", "tried again"),
        (Failure(503, "ServiceUnavailable", "canary"), "Failing", "tried again"),
    ],
    ids=lambda value: str(value.status["code"]) if isinstance(value, Failure) else "",
)
async def test_a_source_that_refuses(clusters: TwoClusters, failure: Failure, reason: str, words: str) -> None:
    async with controllers(clusters):
        await runs(clusters)
        clusters.hardware.fail = lambda verb, path: failure
        clusters.hardware.cut_watches()
        power(clusters, on=False)
        await eventually(lambda: class_condition(clusters)["reason"] == reason)
        assert words in class_condition(clusters)["message"]
        assert "what is known of the hosts is of 20" in class_condition(clusters)["message"]
        await eventually(lambda: clusters.condition("web", "Synchronized")["reason"] == "SourceUnavailable")
        assert "what you ask for is kept" in clusters.condition("web", "Synchronized")["message"]
        assert clusters.condition("web", "Bound")["status"] == "True"
        assert CANARY not in orjson.dumps(clusters.management.all(WORKLOADS)).decode()
        assert len(clusters.management.all(HOSTS)) == 2
        clusters.hardware.fail = lambda verb, path: None
        await eventually(lambda: clusters.phase("web") == "Stopped")
        await eventually(lambda: class_condition(clusters)["status"] == "True")
    assert len(clusters.bmo.log) == IMAGES


async def test_a_source_that_hangs(clusters: TwoClusters, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(driver, "Informer", partial(Informer, stall_timeout=1.0))
    monkeypatch.setattr(clusterclient, "Client", partial(Client, timeout=1.0))
    async with proxied(int(clusters.hardware.url.rsplit(":", 1)[1])) as proxy:
        follow(clusters, kubeconfig(f"http://127.0.0.1:{proxy.port}"))
        async with controllers(clusters):
            await runs(clusters)
            proxy.flowing.clear()
            power(clusters, on=False)
            await eventually(lambda: class_condition(clusters)["reason"] == "Unreachable", 60)
            assert "is of 20" in class_condition(clusters)["message"]
            await eventually(lambda: clusters.condition("web", "Synchronized")["reason"] == "SourceUnavailable", 60)
            assert clusters.host("h1")["spec"].get("image") or clusters.host("h2")["spec"].get("image")
            proxy.flowing.set()
            await eventually(lambda: clusters.phase("web") == "Stopped", 60)
    assert len(clusters.bmo.log) == IMAGES


async def test_credentials_that_expire_and_are_renewed(clusters: TwoClusters) -> None:
    """Renew expired credentials without a restart, also while a Workload waits for a host."""
    clusters.hardware.tokens = {"token-canary"}
    async with controllers(clusters):
        await runs(clusters)
        clusters.hardware.tokens = {"fresh"}
        clusters.hardware.cut_watches()
        await eventually(lambda: class_condition(clusters)["reason"] == "Unauthorized")
        clusters.management.put(WORKLOADS, workload("late"))
        await eventually(lambda: clusters.condition("late", "Synchronized")["reason"] == "SourceUnavailable")
        follow(clusters, kubeconfig(clusters.hardware.url, "fresh"))
        await eventually(lambda: clusters.phase("late") == "Running")
        await eventually(lambda: class_condition(clusters)["status"] == "True")
    assert len({name for name, _ in clusters.bmo.log}) == len(clusters.bmo.log) == 2


async def test_parameters_that_lead_elsewhere_while_in_use(clusters: TwoClusters) -> None:
    """Point the parameters elsewhere: the host is not seen any more, and is not changed. With the
    old parameters, everything is as before."""
    async with controllers(clusters):
        await runs(clusters)
        taken = clusters.claimed("web")
        clusters.management.edit(CLASSES, "metal", {"spec": {"parameters": {"namespace": "elsewhere"}}})
        await eventually(lambda: [host["status"].get("reason") for host in clusters.management.all(HOSTS)] == ["HostGone"])
        [host] = clusters.management.all(HOSTS)
        assert "correct the class" in host["status"]["message"]
        assert clusters.host(taken)["spec"]["consumerRef"]["name"] == "web"
        clusters.management.edit(CLASSES, "metal", {"spec": {"parameters": {"namespace": "metal3"}}})
        await eventually(lambda: len(clusters.management.all(HOSTS)) == 2)
        power(clusters, on=False)
        await eventually(lambda: clusters.phase("web") == "Stopped")
        await eventually(lambda: clusters.management.get(HOSTS, clusters.host_object(taken))["status"]["reason"] == "Claimed")
    assert clusters.bmo.log == [(taken, clusters.host(taken)["spec"]["image"]["url"])]


async def test_credentials_of_another_cluster_while_in_use(clusters: TwoClusters) -> None:
    async with controllers(clusters), FakeApi().serving() as other:
        await runs(clusters)
        follow(clusters, other.kubeconfig)
        await eventually(lambda: clusters.phase("web") == "Lost")
        assert clusters.condition("web", "Bound")["reason"] == "HostGone"
        follow(clusters, clusters.hardware.kubeconfig)
        await eventually(lambda: clusters.phase("web") == "Running")
    assert len(clusters.bmo.log) == IMAGES


async def test_two_classes_over_the_same_hosts(clusters: TwoClusters) -> None:
    """Check that the first class keeps the hosts. A tenant of the second class, and its owner, read
    why."""
    async with controllers(clusters):
        await eventually(lambda: len(clusters.management.all(HOSTS)) == 2)
        second = copy.deepcopy(clusters.management.get(CLASSES, "metal"))
        clusters.management.put(CLASSES, {**second, "metadata": {"name": "second"}, "status": {}})
        await eventually(lambda: class_condition(clusters, "Exclusive", "second")["reason"] == "HostsOverlap")
        assert "2 of the hosts are already another class's" in class_condition(clusters, "Exclusive", "second")["message"]
        clusters.management.put(WORKLOADS, workload("web"))
        clusters.management.put(WORKLOADS, workload("other", className="second"))
        await eventually(lambda: clusters.phase("web") == "Running")
        await eventually(lambda: clusters.condition("other", "Bound")["status"] == "False")
        assert clusters.condition("other", "Bound")["reason"] == "NoHosts"
        # With the first class's parameters changed, the second class gets the unclaimed hosts.
        clusters.management.edit(CLASSES, "metal", {"spec": {"hostSelector": {"matchLabels": {"none": "such"}}}})
        await eventually(lambda: clusters.phase("other") == "Running")
        assert clusters.phase("web") == "Running"
    assert len({name for name, _ in clusters.bmo.log}) == len(clusters.bmo.log) == 2


@pytest.mark.parametrize("when", ["1970-01-01T00:00:00Z", "2999-01-01T00:00:00Z"])
async def test_clocks_that_do_not_agree(clusters: TwoClusters, when: str) -> None:
    """Check that no clock is compared with another one."""
    for name in ("h1", "h2"):
        history = {"provision": {"start": when, "end": when}}
        patch = {"metadata": {"creationTimestamp": when}, "status": {"lastUpdated": when, "operationHistory": history}}
        clusters.hardware.edit(BMH, name, patch, "metal3")
    async with controllers(clusters):
        await runs(clusters)
        power(clusters, on=False)
        await eventually(lambda: clusters.phase("web") == "Stopped")
        clusters.hardware.fail = lambda verb, path: Failure(503, "ServiceUnavailable", "x")
        clusters.hardware.cut_watches()
        await eventually(lambda: "is of 20" in class_condition(clusters)["message"])
        assert when[:4] not in class_condition(clusters)["message"], "since when is told by the clock of who tells it"

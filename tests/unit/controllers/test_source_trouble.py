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
async def here(request: pytest.FixtureRequest) -> AsyncIterator[TwoClusters]:
    async with two_clusters() as made:
        made.management.put(CLASSES, workload_class(provisioner=request.param))
        for name in ("h1", "h2"):
            made.hardware.put(BMH, view(name) if request.param == RELAY else bmh(name))
        yield made


def class_condition(here: TwoClusters, type_: str = "Connected", name: str = "metal") -> dict[str, Any]:
    conditions = (here.management.get(CLASSES, name).get("status") or {}).get("conditions") or []
    return next((item for item in conditions if item["type"] == type_), {"status": "", "reason": "", "message": ""})


def follow(here: TwoClusters, config: dict[str, Any]) -> None:
    """Give the class these credentials."""
    here.management.put(SECRETS, secret("hardware", "system", kubeconfig=orjson.dumps(config).decode()))


async def runs(here: TwoClusters) -> None:
    here.management.put(WORKLOADS, workload("web"))
    await eventually(lambda: here.phase("web") == "Running")


def power(here: TwoClusters, *, on: bool) -> None:
    here.management.edit(WORKLOADS, "web", {"spec": {"online": on}}, "team-a")


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
async def test_a_source_that_refuses(here: TwoClusters, failure: Failure, reason: str, words: str) -> None:
    async with controllers(here):
        await runs(here)
        here.hardware.fail = lambda verb, path: failure
        here.hardware.cut_watches()
        power(here, on=False)
        await eventually(lambda: class_condition(here)["reason"] == reason)
        assert words in class_condition(here)["message"]
        assert "what is known of the hosts is of 20" in class_condition(here)["message"]
        await eventually(lambda: here.condition("web", "Synchronized")["reason"] == "SourceUnavailable")
        assert "what you ask for is kept" in here.condition("web", "Synchronized")["message"]
        assert here.condition("web", "Bound")["status"] == "True"
        assert CANARY not in orjson.dumps(here.management.all(WORKLOADS)).decode()
        assert len(here.management.all(HOSTS)) == 2
        here.hardware.fail = lambda verb, path: None
        await eventually(lambda: here.phase("web") == "Stopped")
        await eventually(lambda: class_condition(here)["status"] == "True")
    assert len(here.bmo.log) == IMAGES


async def test_a_source_that_hangs(here: TwoClusters, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(driver, "Informer", partial(Informer, stall_timeout=1.0))
    monkeypatch.setattr(driver, "Client", partial(Client, timeout=1.0))
    async with proxied(int(here.hardware.url.rsplit(":", 1)[1])) as proxy:
        follow(here, kubeconfig(f"http://127.0.0.1:{proxy.port}"))
        async with controllers(here):
            await runs(here)
            proxy.flowing.clear()
            power(here, on=False)
            await eventually(lambda: class_condition(here)["reason"] == "Unreachable", 60)
            assert "is of 20" in class_condition(here)["message"]
            await eventually(lambda: here.condition("web", "Synchronized")["reason"] == "SourceUnavailable", 60)
            assert here.host("h1")["spec"].get("image") or here.host("h2")["spec"].get("image")
            proxy.flowing.set()
            await eventually(lambda: here.phase("web") == "Stopped", 60)
    assert len(here.bmo.log) == IMAGES


async def test_credentials_that_expire_and_are_renewed(here: TwoClusters) -> None:
    """Renew expired credentials without a restart, and also while somebody waits for a host."""
    here.hardware.tokens = {"token-canary"}
    async with controllers(here):
        await runs(here)
        here.hardware.tokens = {"fresh"}
        here.hardware.cut_watches()
        await eventually(lambda: class_condition(here)["reason"] == "Unauthorized")
        here.management.put(WORKLOADS, workload("late"))
        await eventually(lambda: here.condition("late", "Synchronized")["reason"] == "SourceUnavailable")
        follow(here, kubeconfig(here.hardware.url, "fresh"))
        await eventually(lambda: here.phase("late") == "Running")
        await eventually(lambda: class_condition(here)["status"] == "True")
    assert len({name for name, _ in here.bmo.log}) == len(here.bmo.log) == 2


async def test_parameters_that_lead_elsewhere_while_in_use(here: TwoClusters) -> None:
    """Point the parameters elsewhere: the host is not seen any more, and nothing is done to it.
    With the old parameters everything is as it was."""
    async with controllers(here):
        await runs(here)
        taken = here.claimed("web")
        here.management.edit(CLASSES, "metal", {"spec": {"parameters": {"namespace": "elsewhere"}}})
        await eventually(lambda: [host["status"].get("reason") for host in here.management.all(HOSTS)] == ["HostGone"])
        [host] = here.management.all(HOSTS)
        assert "correct the class" in host["status"]["message"]
        assert here.host(taken)["spec"]["consumerRef"]["name"] == "web"
        here.management.edit(CLASSES, "metal", {"spec": {"parameters": {"namespace": "metal3"}}})
        await eventually(lambda: len(here.management.all(HOSTS)) == 2)
        power(here, on=False)
        await eventually(lambda: here.phase("web") == "Stopped")
        await eventually(lambda: here.management.get(HOSTS, here.host_object(taken))["status"]["reason"] == "Claimed")
    assert here.bmo.log == [(taken, here.host(taken)["spec"]["image"]["url"])]


async def test_credentials_of_another_cluster_while_in_use(here: TwoClusters) -> None:
    async with controllers(here), FakeApi().serving() as other:
        await runs(here)
        follow(here, other.kubeconfig)
        await eventually(lambda: here.phase("web") == "Lost")
        assert here.condition("web", "Bound")["reason"] == "HostGone"
        follow(here, here.hardware.kubeconfig)
        await eventually(lambda: here.phase("web") == "Running")
    assert len(here.bmo.log) == IMAGES


async def test_two_classes_over_the_same_hosts(here: TwoClusters) -> None:
    """Check that the first class keeps the hosts. A tenant of the second class, and its owner, read
    why."""
    async with controllers(here):
        await eventually(lambda: len(here.management.all(HOSTS)) == 2)
        second = copy.deepcopy(here.management.get(CLASSES, "metal"))
        here.management.put(CLASSES, {**second, "metadata": {"name": "second"}, "status": {}})
        await eventually(lambda: class_condition(here, "Exclusive", "second")["reason"] == "HostsOverlap")
        assert "2 of the hosts are already another class's" in class_condition(here, "Exclusive", "second")["message"]
        here.management.put(WORKLOADS, workload("web"))
        here.management.put(WORKLOADS, workload("other", className="second"))
        await eventually(lambda: here.phase("web") == "Running")
        await eventually(lambda: here.condition("other", "Bound")["status"] == "False")
        assert here.condition("other", "Bound")["reason"] == "NoHosts"
        # With the first class's parameters changed, the second class gets the hosts that nobody has
        # claimed.
        here.management.edit(CLASSES, "metal", {"spec": {"hostSelector": {"matchLabels": {"none": "such"}}}})
        await eventually(lambda: here.phase("other") == "Running")
        assert here.phase("web") == "Running"
    assert len({name for name, _ in here.bmo.log}) == len(here.bmo.log) == 2


@pytest.mark.parametrize("when", ["1970-01-01T00:00:00Z", "2999-01-01T00:00:00Z"])
async def test_clocks_that_do_not_agree(here: TwoClusters, when: str) -> None:
    """Check that no clock is compared with another one."""
    for name in ("h1", "h2"):
        history = {"provision": {"start": when, "end": when}}
        patch = {"metadata": {"creationTimestamp": when}, "status": {"lastUpdated": when, "operationHistory": history}}
        here.hardware.edit(BMH, name, patch, "metal3")
    async with controllers(here):
        await runs(here)
        power(here, on=False)
        await eventually(lambda: here.phase("web") == "Stopped")
        here.hardware.fail = lambda verb, path: Failure(503, "ServiceUnavailable", "x")
        here.hardware.cut_watches()
        await eventually(lambda: "is of 20" in class_condition(here)["message"])
        assert when[:4] not in class_condition(here)["message"], "since when is told by the clock of who tells it"

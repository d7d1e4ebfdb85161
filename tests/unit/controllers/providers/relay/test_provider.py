"""Run the tests of all providers on the relay, and cover its own features: identity, claims that
move, and leftovers."""

from __future__ import annotations

import asyncio
from contextlib import asynccontextmanager
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import pytest

from apiserver.apis.host import adopted_consumer, host_name
from apiserver.apis.names import ADOPTS
from apiserver.apis.workloadclass import WorkloadClassSpec
from apiserver.client.errors import ApiException
from controllers.providers.baremetalhost import names
from controllers.providers.base import ProviderContext, find_provider
from controllers.providers.relay import RelayProvider
from controllers.providers.relay.loops import RELAYED
from controllers.providers.relay.provider import Parameters
from controllers.providers.testing import ProviderTests, claim, eventually, released, running
from tests.unit.controllers.clusters import BMH, WORKLOADS, secret
from tests.unit.controllers.fakeapi import Failure
from tests.unit.controllers.providers.relay.upstream import NAMESPACE, Upstream, machine, view

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from controllers.providers.base import ApplyRequest, Provider


class TestRelayProvider(ProviderTests):
    """Run the tests of all providers against another metal3-workloads in memory."""


async def test_the_provider_is_found_by_its_name() -> None:
    assert find_provider("metal3.io/relay") is RelayProvider


def adopting(name: str, provider: Provider, consumer: str = "m", **spec: Any) -> ApplyRequest:
    """Return a request for a Workload that continues for the consumer of the first host."""
    [host] = list(provider.hosts())
    request = claim(name, host.source, **spec)
    request.workload["metadata"]["annotations"] = {ADOPTS: adopted_consumer(machine(consumer))}
    request.workload["spec"]["consumerRef"] = machine(consumer)
    return request


async def test_identity_is_passed_on_to_the_namespace_of_the_same_name(source: Upstream) -> None:
    async with running(source) as (provider, _):
        [host] = list(provider.hosts())
    there = source.get()
    assert (host.source.uid, host.source.identity_namespace) == (there["metadata"]["uid"], NAMESPACE)
    assert host.report["name"] == there["metadata"]["name"]
    assert host.report["annotations"][RELAYED] == "id-of-h1"


async def test_a_claim_there_is_reported_as_it_is(source: Upstream) -> None:
    spec = {"consumerRef": machine("m"), "image": {"url": "http://images.example/os", "checksum": "x"}, "userData": {"name": "boot"}}
    metadata = {"labels": {"cluster": "c"}, "annotations": {f"{names.OURS}secret": "x", "mine": "y"}}
    source.api.put("api/v1/secrets", secret("boot", NAMESPACE, value="x"))
    source.api.edit(BMH, "h1", {"metadata": metadata, "spec": {**spec, "online": True}}, NAMESPACE)
    async with running(source) as (provider, _):
        [host] = list(provider.hosts())
    assert host.held is not None
    assert (host.available, host.reason) == (False, "Held")
    assert f"Metal3Machine {NAMESPACE}/m" in host.message
    assert host.held["namespace"] == NAMESPACE
    assert host.held["spec"] == {**spec, "online": True}
    assert host.held["labels"] == {"cluster": "c", "size": "m"}
    assert host.held["annotations"] == {"mine": "y"}


async def test_a_consumer_that_moved_here_continues_with_its_host(source: Upstream) -> None:
    source.api.edit(
        BMH, "h1", {"spec": {"consumerRef": machine("m"), "image": {"url": "http://images.example/os", "checksum": "abc"}}}, NAMESPACE
    )
    source.api.edit(BMH, "h1", {"spec": {"online": True}}, NAMESPACE)
    async with running(source) as (provider, _):
        await eventually(lambda: source.runs("h1"))
        history = len(source.api.history)
        request = adopting("w", provider, secrets={"userData": {"value": b"x"}})
        applied = await provider.apply(request)
        assert (applied.bound.status, applied.synchronized.status, applied.returned_to_previous_owner) == (True, True, False)
        there = source.get()
        assert there["spec"]["consumerRef"]["kind"] == "Workload"
        assert there["metadata"]["labels"][names.WORKLOAD_UID] == "uid-w"
        assert there["spec"]["userData"]["name"] in source.leftovers()
        seen = {change["spec"].get("image", {}).get("url") for _, _, address, change in source.api.history[history:] if address[0] == BMH}
        assert seen == {"http://images.example/os"}, "what runs was never touched"
        [host] = list(provider.hosts())
        assert host.held is None


async def test_the_claim_of_another_consumer_is_not_taken_over(source: Upstream) -> None:
    source.take_host("h1", "other")
    async with running(source) as (provider, _):
        before = source.get()
        assert (await provider.apply(adopting("w", provider))).bound.reason == "HostTaken"
        await released(provider, adopting("w", provider))
        assert source.get() == before


async def test_a_claim_goes_back_to_the_consumer_that_writes_it_over(source: Upstream) -> None:
    source.take_host("h1", "m")
    async with running(source) as (provider, _):
        request = adopting("w", provider, secrets={"userData": {"value": b"x"}})
        assert (await provider.apply(request)).bound.status is True
        await eventually(lambda: source.runs("h1"))
        source.take_host("h1", "m")
        for _ in range(2):
            applied = await provider.apply(request)
            assert (applied.bound.status, applied.returned_to_previous_owner) == (False, True), "it is not taken again and again"
        await released(provider, request)
        there = source.get()
        assert there["spec"]["consumerRef"] == machine("m")
        assert there["spec"]["userData"] == {"name": "w-userdata", "namespace": NAMESPACE}, "its own secret"
        assert "metaData" not in there["spec"]
        assert names.WORKLOAD_UID not in there["metadata"]["labels"]
        assert source.runs("h1") == "http://images.example/os"
        assert source.leftovers() == []
        assert (await provider.release(request)).done, "a controller that is late"
        assert (await provider.apply(request)).bound.status is False
        assert source.get() == there, "takes and releases nothing any more"
        again = adopting("w2", provider)
        assert (await provider.apply(again)).bound.status is True, "and may move here once more"


@asynccontextmanager
async def dying(source: Upstream, calls: int) -> AsyncIterator[None]:
    """Let the other cluster answer this many calls more, and then none until the end."""
    left = calls

    def fail(verb: str, path: str) -> Failure | None:
        nonlocal left
        left -= verb != "WATCH"
        return Failure(503, "ServiceUnavailable", "away") if left < 0 else None

    source.api.fail = fail
    try:
        yield
    except ApiException:
        pass
    finally:
        source.come_back()


async def test_a_move_there_and_back_cut_off_at_every_call(source: Upstream) -> None:
    source.api.edit(
        BMH, "h1", {"spec": {"consumerRef": machine("m"), "image": {"url": "http://images.example/os", "checksum": "abc"}}}, NAMESPACE
    )
    source.api.edit(BMH, "h1", {"spec": {"online": True}}, NAMESPACE)
    async with running(source) as (provider, _):
        await eventually(lambda: source.runs("h1"))
        history = len(source.api.history)
        for calls in range(12):
            request = adopting(f"w{calls}", provider, secrets={"userData": {"value": b"x"}})
            async with dying(source, calls):
                await provider.apply(request)
            assert (await provider.apply(request)).synchronized.status is True
            source.take_host("h1", "m")
            async with dying(source, calls):
                await provider.release(request)
            await released(provider, request)
            assert source.leftovers() == []
            assert source.get()["spec"]["consumerRef"] == machine("m")
        changes = [change for _, _, address, change in source.api.history[history:] if address[0] == BMH]
        assert {(change["spec"]["image"]["url"], change["status"]["provisioning"]["state"]) for change in changes} == {
            ("http://images.example/os", "provisioned")
        }


async def test_a_claim_that_was_never_taken_over_is_released_for_its_consumer(source: Upstream) -> None:
    """Release what the consumer wrote while the other cluster was away."""
    source.take_host("h1", "m")
    async with running(source) as (provider, _):
        await released(provider, adopting("w", provider))
    assert "consumerRef" not in source.get()["spec"]


async def test_what_is_given_up_there_is_not_filled_again(source: Upstream) -> None:
    async with running(source) as (provider, _):
        [host] = list(provider.hosts())
        request = claim("w", host.source)
        await provider.apply(request)
        source.api.edit(BMH, "h1", {"spec": {"consumerRef": None}}, NAMESPACE)
        assert (await provider.apply(request)).bound.reason == "HostReleased"
        assert not (await provider.release(request)).done, "until it is clean"


async def test_retained_there_as_it_is_here(source: Upstream) -> None:
    async with running(source) as (provider, _):
        [host] = list(provider.hosts())
        request = claim("w", host.source, reclaimPolicy="Retain")
        await provider.apply(request)
        source.workload_of("h1")
        await released(provider, request)
    assert source.api.get(WORKLOADS, "of-h1", NAMESPACE)["spec"] == {"reclaimPolicy": "Retain"}


async def test_what_may_not_be_retained_there_is_not_wiped_either(source: Upstream) -> None:
    async with running(source) as (provider, _):
        [host] = list(provider.hosts())
        await provider.apply(claim("w", host.source))
        source.workload_of("h1")
        source.api.fail = lambda verb, path: Failure(422, "Invalid") if "/workloads/" in path else None
        answer = await provider.release(claim("w", host.source, reclaimPolicy="Retain"))
        assert not answer.done
        assert "spec.reclaimPolicy" in answer.message
        assert source.runs("h1")
        await released(provider, claim("w", host.source))
    assert source.api.get(WORKLOADS, "of-h1", NAMESPACE)["spec"].get("reclaimPolicy") != "Retain"


async def test_a_refused_write_is_trouble_and_loses_nothing(source: Upstream) -> None:
    async with running(source) as (provider, _):
        [host] = list(provider.hosts())
        await provider.apply(claim("w", host.source))
        await eventually(lambda: source.runs("h1"))
        for code in (429, 500, 403):
            # Mypy does not infer the defaults of lambdas.
            source.api.fail = lambda verb, path, code=code: Failure(code, "Trouble")  # type: ignore[misc] # mypy does not infer the defaults of lambdas
            with pytest.raises(Exception, match=str(code)):
                await provider.apply(claim("w", host.source, image="http://images.example/new"))
        source.come_back()
        await provider.apply(claim("w", host.source, image="http://images.example/new"))
        await eventually(lambda: source.runs("h1") == "http://images.example/new")


async def test_trouble_says_since_when(source: Upstream) -> None:
    async with running(source) as (provider, _):
        source.go_away()
        problem = await eventually(provider.problem)
        assert "is of 20" in problem.message
        assert provider.problem().message == problem.message  # type: ignore[union-attr] # it has one


async def test_new_credentials_are_a_new_provider_that_continues(source: Upstream) -> None:
    async with running(source) as (provider, _):
        [host] = list(provider.hosts())
        await provider.apply(claim("w", host.source))
        source.api.tokens = {"rotated"}
        source.api.cut_watches()
        assert (await eventually(provider.problem)).reason == "Unauthorized"
        source.credentials = {"kubeconfig": source.credentials["kubeconfig"].replace(b"token-canary", b"rotated")}
        async with running(source) as (renewed, _):
            assert renewed.problem() is None
            assert (await renewed.apply(claim("w", host.source))).bound.status is True


@pytest.mark.parametrize("cleaning", [{"mode": "disabled"}, {"mode": "metadata", "tenantMayDisable": True}])
async def test_hosts_are_cleaned_whatever_the_class_says(source: Upstream, cleaning: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Upstream, "spec", {**Upstream.spec, "cleaning": cleaning})
    async with running(source) as (provider, _):
        [host] = list(provider.hosts())
        await provider.apply(claim("w", host.source, automatedCleaningMode="disabled"))
    assert source.get()["spec"]["automatedCleaningMode"] == "metadata"


async def test_hosts_that_lead_back_here_are_left_out_and_said(source: Upstream) -> None:
    api = source.api
    api.put(BMH, view("direct"))
    api.put(BMH, view("around"))
    api.edit(BMH, "around", {"metadata": {"annotations": {RELAYED: "id-elsewhere,id-here"}}}, NAMESPACE)
    mine = {"id-of-direct", "id-here", host_name(source.get()["metadata"]["uid"])}
    spec = WorkloadClassSpec.decode(source.spec)
    made = ProviderContext("c", spec, Parameters(namespace=NAMESPACE), source.credentials, lambda uid: None, lambda: None)
    provider = await RelayProvider.create(replace(made, has_host=mine.__contains__))
    task = asyncio.ensure_future(provider.run())
    await eventually(lambda: provider.synced)
    assert [host.source.name for host in provider.hosts()] == ["h1"]
    problem = provider.problem()
    assert problem is not None
    assert (problem.reason, problem.message[:2]) == ("Loop", "2 ")
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)
    await provider.close()

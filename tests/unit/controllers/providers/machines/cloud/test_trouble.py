"""Cover the problems that any kind of cloud may cause its users, and what they read about it."""

from __future__ import annotations

import asyncio
import dataclasses
from typing import TYPE_CHECKING, Any

import pytest

from controllers.providers.base import BadClass, ProviderError
from controllers.providers.testing import applied, claim, eventually, released, running

if TYPE_CHECKING:
    from controllers.providers.base import Provider, ProviderHost, Source
    from tests.unit.controllers.providers.machines.cloud.cloud import Cloud

REBOOT = "reboot.metal3.io"


def only(provider: Provider) -> Source:
    return host(provider).source


def host(provider: Provider) -> ProviderHost:
    [found] = provider.hosts()
    return found


def once(answer: Any, action: str) -> Any:
    """Answer the first request of this kind with this answer."""
    left = [answer]
    return lambda asked: left.pop() if asked == action and left else None


@pytest.mark.parametrize(
    ("why", "reason", "way_out"),
    [
        ("unauthorized", "Unauthorized", "into the class's secret"),
        ("forbidden", "Forbidden", "the credentials may not do this"),
        ("throttled", "Throttled", "raise pollSeconds"),
        ("failing", "Failing", "tried again"),
        ("away", "Failing", "tried again"),
    ],
)
async def test_trouble_has_a_name_and_a_way_out(source: Cloud, why: str, reason: str, way_out: str) -> None:
    async with running(source) as (provider, _):
        source.proxy.answer = lambda action: source.refused(why)
        await eventually(lambda: (found := provider.problem()) is not None and found.reason == reason)
        problem = provider.problem()
        assert problem is not None
        assert way_out in problem.message
        with pytest.raises(ProviderError) as error:
            await provider.apply(claim("w", only(provider)))
        assert error.value.reason == reason
        assert "canary" not in str(host(provider).report)
        source.come_back()
        await eventually(lambda: provider.problem() is None)
        assert (await provider.apply(claim("w", only(provider)))).bound.status is True


async def test_a_cloud_that_hangs_is_given_up_in_time(source: Cloud) -> None:
    source.time(request=2.0)
    async with running(source) as (provider, _):
        source.proxy.hangs = True
        await eventually(lambda: (found := provider.problem()) is not None and found.reason == "Unreachable")
        source.proxy.hangs = False
        await eventually(lambda: provider.problem() is None)


@pytest.mark.parametrize(
    ("why", "reason", "way_out"),
    [
        ("quota", "QuotaExceeded", "ask the cloud for a higher quota"),
        ("image", "ImageNotFound", "correct the class's parameters.images"),
        ("machine", "MachineRefused", "correct the flavor or the class's parameters"),
    ],
)
async def test_a_machine_that_is_refused_is_held_and_tried_again(source: Cloud, why: str, reason: str, way_out: str) -> None:
    async with running(source) as (provider, changes):
        request = claim("w", only(provider))
        source.proxy.answer = once(source.refused(why), "create")
        reported = await provider.apply(request)
        assert (reported.bound.status, reported.synchronized.status, reported.synchronized.reason) == (True, False, reason)
        assert (host(provider).available, host(provider).reason) == (False, reason)
        assert request.source.uid in changes
        assert way_out in host(provider).message
        said = host(provider).message.partition("(")[2].rstrip(")")
        assert said, "the owner is told what the cloud said"
        assert said not in reported.synchronized.message, "the tenant is not"
        assert (await provider.apply(request)).synchronized.status is True
        await eventually(lambda: source.runs("small-0") == "http://images.example/os")


async def test_a_refused_machine_that_is_not_wanted_any_more_leaves_no_trouble(source: Cloud) -> None:
    async with running(source) as (provider, _):
        source.proxy.answer = once(source.refused("quota"), "create")
        await provider.apply(claim("w", only(provider)))
        await released(provider, claim("w", only(provider)))
        assert host(provider).available


async def test_an_answer_that_was_lost_makes_no_second_machine(source: Cloud) -> None:
    """Cancel the request after the cloud has made the machine: the tags tell to whom it belongs."""
    async with running(source) as (provider, _):
        request = claim("w", only(provider))
        source.launch("mine", {})  # the owner's own instance
        task = asyncio.ensure_future(provider.apply(request))
        await eventually(lambda: "create" in source.proxy.asked)
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
    async with running(source) as (provider, _):
        await applied(provider, request, lambda: source.runs("small-0") is not None)
        assert len(source.instances()) == 2
        await released(provider, request)
        assert [item.name for item in source.instances()] == ["mine"]


async def test_two_replicas_made_one_each_and_one_is_deleted(source: Cloud) -> None:
    async with running(source) as (provider, _):
        request = claim("w", only(provider))
        await applied(provider, request, lambda: provider.applied(request) is not None)
        [first] = source.instances()
        source.launch("small-0", {key: value for key, value in first.tags.items() if not key.endswith("booted")})
        await eventually(lambda: provider.applied(request) is None)
        await provider.apply(request)
        assert [item.id for item in source.instances()] == [first.id], "the one that ran stays"


async def test_a_machine_terminated_behind_our_back_is_not_made_again(source: Cloud) -> None:
    async with running(source) as (provider, _):
        request = claim("w", only(provider))
        await applied(provider, request, lambda: provider.applied(request) is not None)
        source.remove_host("small-0")
        gone = await provider.apply(request)
        assert (gone.bound.status, gone.bound.reason) == (False, "HostGone")
        assert "delete this Workload" in gone.bound.message
        assert source.instances() == []
    had = {**request.workload, "status": {"phase": "Running"}}
    async with running(source) as (provider, _):
        gone = await provider.apply(dataclasses.replace(request, workload=had))
        assert gone.bound.reason == "HostGone", "controllers that start again know it from the Workload's status"
        assert source.instances() == []


async def test_power(source: Cloud) -> None:
    async with running(source) as (provider, _):
        on = claim("w", only(provider))
        await applied(provider, on, lambda: source.runs("small-0") is not None)
        off = claim("w", on.source, online=False)
        await applied(provider, off, lambda: source.state() == "stopped")
        seen = await provider.apply(off)
        assert seen.observed is not None
        assert (seen.observed["provisioning"]["state"], seen.observed["poweredOn"]) == ("provisioned", False)
        await applied(provider, on, lambda: source.state() == "running")
        held_off = dataclasses.replace(on, annotations={f"{REBOOT}/remediation": ""})
        await applied(provider, held_off, lambda: source.state() == "stopped")
        await applied(provider, on, lambda: source.state() == "running")
        assert source.proxy.asked.count("create") == 1, "the same machine all the time"


async def test_each_reboot_that_is_asked_for_is_done_once(source: Cloud) -> None:
    async with running(source) as (provider, _):
        on = claim("w", only(provider))
        await applied(provider, on, lambda: provider.applied(on) is not None)
        reboot = dataclasses.replace(on, annotations={REBOOT: ""})
        for number in (1, 2):
            async with asyncio.timeout(60):
                while (consumed_annotations := (await provider.apply(reboot)).consumed_annotations) == ():  # noqa: ASYNC110 (level-triggered)
                    await asyncio.sleep(0.01)
            assert consumed_annotations == (REBOOT,)
            assert source.proxy.asked.count("reboot") == number
            for _ in range(3):
                assert (await provider.apply(reboot)).consumed_annotations == (REBOOT,), "until the annotation is gone"
            assert source.proxy.asked.count("reboot") == number, "and not again"
            await applied(provider, on, lambda: provider.applied(on) is not None)
        assert source.runs("small-0") == "http://images.example/os"


async def test_what_a_workload_leaves_is_kept_and_its_slot_is_not_offered(source: Cloud) -> None:
    async with running(source) as (provider, _):
        request = claim("w", only(provider), reclaimPolicy="Retain")
        await applied(provider, request, lambda: source.runs("small-0") is not None)
        await released(provider, request)
        assert source.runs("small-0") == "http://images.example/os"
        await eventually(lambda: provider.host(request.source.uid).reason == "Quarantined")  # type: ignore[union-attr] # it is there
        assert (await provider.apply(claim("other", request.source))).bound.reason == "HostTaken"
        source.remove_host("small-0")
        await eventually(lambda: provider.host(request.source.uid).available)  # type: ignore[union-attr] # it is there


async def test_a_flavor_that_goes_or_changes_does_not_touch_the_machine(source: Cloud) -> None:
    async with running(source) as (provider, _):
        request = claim("w", only(provider))
        await applied(provider, request, lambda: provider.applied(request) is not None)
        source.offer(source.flavor(memory="4Gi", instanceType=source.kinds[1]))
        await eventually(lambda: provider.host(request.source.uid).reason == "FlavorChanged")  # type: ignore[union-attr] # it is there
        source.offer(source.flavor("other"))
        await eventually(lambda: provider.host(request.source.uid).reason == "FlavorRemoved")  # type: ignore[union-attr] # it is there
        assert (await provider.apply(request)).bound.status is True
        assert source.runs("small-0") == "http://images.example/os"
        await released(provider, request)
        await eventually(lambda: provider.host(request.source.uid) is None)


async def test_parameters_that_point_elsewhere_touch_nothing(source: Cloud) -> None:
    async with running(source) as (provider, _):
        request = claim("w", only(provider))
        await applied(provider, request, lambda: provider.applied(request) is not None)
    source.set(identity="another")
    async with running(source) as (provider, _):
        assert host(provider).available, "another slot, another machine"
        assert host(provider).source.uid != request.source.uid
    elsewhere = dataclasses.replace(request, source=dataclasses.replace(request.source, namespace=source.other_region))
    async with running(source) as (provider, _):
        for call in (provider.apply, provider.release):
            with pytest.raises(ProviderError, match=f"{source.other_region}.*{source.region}.*set them back") as error:
                await call(elsewhere)
            assert error.value.reason == "ClassMoved"
    assert source.runs("small-0") == "http://images.example/os"


async def test_two_classes_over_one_account_do_not_touch_each_others_machines(source: Cloud) -> None:
    async with running(source) as (first, _):
        request = claim("w", only(first))
        await applied(first, request, lambda: first.applied(request) is not None)
        source.set(identity="elsewhere")
        async with running(source) as (second, _):
            other = claim("other", only(second), image="http://images.example/other")
            await applied(second, other, lambda: second.applied(other) is not None)
            assert len(source.instances()) == 2
            # Each provider sees its own machine.
            assert [host(provider).consumer.name for provider in (first, second)] == ["w", "other"]  # type: ignore[union-attr] # both have one
            await released(second, other)
            assert (await first.apply(request)).bound.status is True
        assert source.runs("small-0") == "http://images.example/os"


async def test_two_clusters_that_claim_one_slot_at_once_leave_one_machine(source: Cloud) -> None:
    """Let two management clusters use a class of the same name without identity: both look, find
    nothing, and make a machine."""
    async with running(source) as (first, _), running(source) as (second, _):
        rivals = [(first, claim("one", only(first))), (second, claim("two", only(second)))]
        source.proxy.meet["create"] = asyncio.Barrier(2)
        await asyncio.gather(*(provider.apply(request) for provider, request in rivals))
        del source.proxy.meet["create"]
        assert len(source.instances()) == 2
        for _ in range(2):
            reported = [await provider.apply(request) for provider, request in rivals]
        won = [item.bound.status for item in reported]
        assert sorted(won, key=str) == [False, True]
        assert reported[won.index(False)].bound.reason == "HostTaken"
        [left] = source.instances()
        assert left.tags["workload.metal3.io/workload-uid"] == rivals[won.index(True)][1].workload_uid
        loser, request = rivals[won.index(False)]
        await released(loser, request)
        assert [item.id for item in source.instances()] == [left.id]


async def test_credentials_that_cannot_work_are_reported_at_once(source: Cloud) -> None:
    (first, *_), good = source.keys, dict(source.credentials)
    for broken, reported in (
        ({first: b"x"}, "missing: "),
        ({**good, first: b"\xff"}, "not text"),
        ({**good, first: b"a\nb"}, "line breaks"),
    ):
        source.credentials = broken
        with pytest.raises(BadClass, match=reported):
            async with running(source):
                pass

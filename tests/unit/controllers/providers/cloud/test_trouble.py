"""What a cloud may do to its users, and what they are told."""

from __future__ import annotations

import asyncio
import dataclasses
from typing import TYPE_CHECKING, Any

import pytest

from controllers.providers.base import BadClass, ProviderError
from controllers.providers.cloud import ec2
from controllers.providers.testing import applied, claim, eventually, released, running
from tests.unit.controllers.providers.cloud.door import refused
from tests.unit.controllers.providers.cloud.world import flavor

if TYPE_CHECKING:
    from controllers.providers.base import Provider, Source
    from tests.unit.controllers.providers.cloud.world import Cloud


def only(provider: Provider) -> Source:
    [host] = provider.hosts()
    return host.source


def once(code: str, action: str, status: int = 400) -> Any:
    """Answers the first request of this kind with an error."""
    left = [code]
    return lambda asked: refused(left.pop(), status=status) if asked == action and left else None


@pytest.mark.parametrize(
    ("code", "status", "reason"),
    [
        ("AuthFailure", 401, "Unauthorized"),
        ("InvalidClientTokenId", 403, "Unauthorized"),
        ("UnauthorizedOperation", 403, "Forbidden"),
        ("RequestExpired", 400, "ClockSkew"),
        ("RequestLimitExceeded", 503, "Throttled"),
        ("InternalError", 500, "Failing"),
    ],
)
async def test_trouble_has_a_name_and_a_way_out(source: Cloud, code: str, status: int, reason: str) -> None:
    async with running(source) as (provider, _):
        source.door.answer = lambda action: refused(code, "canary-key is bad", status)
        await eventually(lambda: (found := provider.problem()) is not None and found.reason == reason)
        with pytest.raises(ProviderError) as error:
            await provider.apply(claim("w", only(provider)))
        assert error.value.reason == reason
        source.come_back()
        await eventually(lambda: provider.problem() is None)
        assert (await provider.apply(claim("w", only(provider)))).bound.status is True


async def test_a_cloud_that_hangs_is_given_up_in_time(source: Cloud, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ec2, "TIMEOUT", 1.0)
    async with running(source) as (provider, _):
        source.door.hangs = True
        await eventually(lambda: (found := provider.problem()) is not None and found.reason == "Unreachable")
        source.door.hangs = False
        await eventually(lambda: provider.problem() is None)


@pytest.mark.parametrize(
    ("code", "reason"),
    [
        ("InstanceLimitExceeded", "QuotaExceeded"),
        ("VcpuLimitExceeded", "QuotaExceeded"),
        ("InsufficientInstanceCapacity", "NoCapacity"),
        ("InvalidAMIID.NotFound", "ImageNotFound"),
        ("InvalidSubnetID.NotFound", "MachineRefused"),
    ],
)
async def test_a_machine_that_is_refused_is_held_and_tried_again(source: Cloud, code: str, reason: str) -> None:
    async with running(source) as (provider, _):
        request = claim("w", only(provider))
        source.door.answer = once(code, "RunInstances")
        refused_now = await provider.apply(request)
        assert (refused_now.bound.status, refused_now.synchronized.status, refused_now.synchronized.reason) == (True, False, reason)
        [host] = provider.hosts()
        assert (host.available, host.reason) == (False, reason)
        assert code in host.message, "the owner is told what the cloud said"
        assert code not in refused_now.synchronized.message, "the tenant is not"
        assert (await provider.apply(request)).synchronized.status is True
        await eventually(lambda: source.runs("small-0") == "http://images/os")


async def test_an_answer_that_was_lost_makes_no_second_machine(source: Cloud) -> None:
    """The cloud makes the machine, and the connection breaks: the tags tell whose it is."""
    async with running(source) as (provider, _):
        request = claim("w", only(provider))
        source.launch("mine", {})  # the owner's, none of ours
        task = asyncio.ensure_future(provider.apply(request))
        await eventually(lambda: "RunInstances" in source.door.asked)
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
    async with running(source) as (provider, _):
        await applied(provider, request, lambda: source.runs("small-0") is not None)
        assert len(source.instances()) == 2
        await released(provider, request)
        assert len(source.instances()) == 1


async def test_two_replicas_made_one_each_and_one_goes(source: Cloud) -> None:
    async with running(source) as (provider, _):
        request = claim("w", only(provider))
        await provider.apply(request)
        [node] = source.instances()
        source.launch("small-0", node.extra["tags"])
        assert len(source.instances()) == 2
        await provider.apply(request)
        assert len(source.instances()) == 1


async def test_a_machine_terminated_behind_our_back_is_not_made_again(source: Cloud) -> None:
    async with running(source) as (provider, _):
        request = claim("w", only(provider))
        await applied(provider, request, lambda: provider.applied(request) is not None)
        source.remove_host("small-0")
        gone = await provider.apply(request)
        assert (gone.bound.status, gone.bound.reason) == (False, "HostGone")
        assert source.instances() == []
    had = {**request.workload, "status": {"phase": "Running"}}
    async with running(source) as (provider, _):
        gone = await provider.apply(dataclasses.replace(request, workload=had))
        assert gone.bound.reason == "HostGone", "controllers that start anew know it from the Workload's status"


async def test_power_and_reboot(source: Cloud) -> None:
    def status() -> str:
        return str(source.instances()[0].extra["status"])

    async with running(source) as (provider, _):
        on = claim("w", only(provider))
        await applied(provider, on, lambda: source.runs("small-0") is not None)
        off = claim("w", on.source, online=False)
        await applied(provider, off, lambda: status() == "stopped")
        seen = await provider.apply(off)
        assert seen.observed is not None
        assert (seen.observed["provisioning"]["state"], seen.observed["poweredOn"]) == ("provisioned", False)
        await applied(provider, on, lambda: status() == "running")
        reboot = dataclasses.replace(on, annotations={"reboot.metal3.io": ""})
        consumed = (await provider.apply(reboot)).consumed
        assert (await provider.apply(reboot)).consumed == ("reboot.metal3.io",) or consumed
        assert source.door.asked.count("RebootInstances") == 1, "once for each annotation"
        await provider.apply(on)
        await provider.apply(reboot)
        assert source.door.asked.count("RebootInstances") == 2
        held_off = dataclasses.replace(on, annotations={"reboot.metal3.io/remediation": ""})
        await applied(provider, held_off, lambda: status() == "stopped")
        await applied(provider, on, lambda: status() == "running")


async def test_what_a_workload_leaves_is_kept_and_its_slot_is_not_offered(source: Cloud) -> None:
    async with running(source) as (provider, _):
        request = claim("w", only(provider), reclaimPolicy="Retain")
        await applied(provider, request, lambda: source.runs("small-0") is not None)
        await released(provider, request)
        assert source.runs("small-0") == "http://images/os"
        await eventually(lambda: provider.host(request.source.uid).reason == "Quarantined")  # type: ignore[union-attr]
        assert (await provider.apply(claim("other", request.source))).bound.reason == "HostTaken"
        source.remove_host("small-0")
        await eventually(lambda: provider.host(request.source.uid).available)  # type: ignore[union-attr]


async def test_a_flavor_that_goes_or_changes_does_not_touch_the_machine(source: Cloud) -> None:
    async with running(source) as (provider, _):
        request = claim("w", only(provider))
        await applied(provider, request, lambda: provider.applied(request) is not None)
        source.offer(flavor(memory="4Gi", instanceType="t3.medium"))
        await eventually(lambda: provider.host(request.source.uid).reason == "FlavorChanged")  # type: ignore[union-attr]
        source.offer(flavor("other"))
        await eventually(lambda: provider.host(request.source.uid).reason == "FlavorRemoved")  # type: ignore[union-attr]
        assert (await provider.apply(request)).bound.status is True
        assert source.runs("small-0") == "http://images/os"
        await released(provider, request)
        await eventually(lambda: provider.host(request.source.uid) is None)


async def test_credentials_that_cannot_work_are_told_at_once(source: Cloud) -> None:
    source.credentials = {"accessKey": b"x"}
    with pytest.raises(BadClass, match="secretKey"):
        async with running(source):
            pass
    source.credentials = {"accessKey": b"x", "secretKey": b"y"}
    source.set(region="nowhere-1")
    with pytest.raises(BadClass, match="region"):
        async with running(source):
            pass

"""Cover the features of OpenStack alone: expiring tokens, a catalog, failing builds, servers that
refuse tags, and creations without an idempotency token."""

from __future__ import annotations

import asyncio
import dataclasses
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING

import pytest

from apiserver.apis.workloadclass import WorkloadClassSpec
from controllers.providers.base import ProviderContext, ProviderError
from controllers.providers.machines.cloud.openstack import OpenStack
from controllers.providers.machines.cloud.parameters import Parameters
from controllers.providers.testing import applied, claim, eventually, released, running
from tests.unit.controllers.providers.machines.cloud.openstackcloud import refused
from tests.unit.controllers.providers.machines.cloud.test_trouble import REBOOT, host, once, only

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from controllers.providers.base import ApplyRequest, Provider
    from tests.unit.controllers.providers.machines.cloud.openstackcloud import NovaCloud


async def runs(provider: Provider) -> ApplyRequest:
    """Claim a machine for a Workload, and return the request once it has its machine."""
    request = claim("w", only(provider))
    await applied(provider, request, lambda: provider.applied(request) is not None)
    return request


@asynccontextmanager
async def in_trouble(nova: NovaCloud, reason: str) -> AsyncIterator[tuple[Provider, ProviderError]]:
    """Yield a provider that has never reached its cloud, and the problem with this reason."""
    spec = WorkloadClassSpec.decode(nova.spec)
    parameters = Parameters.decode(spec.parameters)
    context = ProviderContext("c", spec, parameters, nova.credentials, on_change=lambda uid: None, on_health=lambda: None)
    provider = await nova.provider.create(context)
    task = asyncio.ensure_future(provider.run())
    try:
        yield provider, await eventually(lambda: (found := provider.problem()) is not None and found.reason == reason and found)
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
        await provider.close()


async def test_a_password_will_do(nova: NovaCloud) -> None:
    nova.credentials = {"username": b"user", "password": b"canary-secret", "project": b"machines"}
    nova.set(endpoint=f"http://127.0.0.1:{nova.proxy.port}/v3/")
    async with running(nova) as (provider, _):
        await runs(provider)


async def test_credentials_that_expired(nova: NovaCloud) -> None:
    nova.simulation.secret = "another"
    async with in_trouble(nova, "Unauthorized") as (provider, problem):
        assert "may have expired" in problem.message
        nova.simulation.secret = "canary-secret"
        await eventually(lambda: provider.synced)
        assert provider.problem() is None


@pytest.mark.parametrize("lifetime", [3600.0, -3600.0])
async def test_tokens_that_are_not_taken_any_more_are_renewed_unnoticed(nova: NovaCloud, lifetime: float) -> None:
    """Renew revoked tokens, and tokens that seem expired already because a clock is wrong."""
    nova.simulation.lifetime = lifetime
    async with running(nova) as (provider, _):
        request = await runs(provider)
        nova.simulation.tokens.clear()
        assert (await provider.apply(request)).synchronized.status is True
        nova.simulation.tokens.clear()
        await released(provider, request)
        assert provider.problem() is None
        assert nova.instances() == []


async def test_a_region_that_the_catalog_does_not_have(nova: NovaCloud) -> None:
    nova.set(region="RegionTwo")
    async with in_trouble(nova, "NoSuchRegion") as (_, problem):
        assert "it has one in: RegionOne" in problem.message


async def test_no_token_goes_to_a_catalogs_http_endpoint(nova: NovaCloud) -> None:
    nova.simulation.compute = "http://cloud.example.com/compute/v2.1"
    async with in_trouble(nova, "InsecureEndpoint") as (_, problem):
        assert "https" in problem.message


async def test_projects_with_many_servers_are_read_in_pages(nova: NovaCloud) -> None:
    nova.simulation.page = 3
    for number in range(10):
        nova.launch(f"other-{number}", {"mine": "yes"})
    async with running(nova) as (provider, _):
        request = await runs(provider)
        assert len(nova.instances()) == 11
        await released(provider, request)
        assert len(nova.instances()) == 10


async def test_flavors_are_found_by_name_or_id(nova: NovaCloud) -> None:
    nova.set(flavors=[nova.flavor(instanceType="7d2b5c0e-0000-4000-8000-000000000002")], securityGroups=["default"], networks=["n"])
    nova.nova.networks = {"n", "m"}
    async with running(nova) as (provider, _):
        await runs(provider)
        wanted = nova.server().request
        assert (wanted["flavorRef"], wanted["networks"]) == ("7d2b5c0e-0000-4000-8000-000000000002", [{"uuid": "n"}])
        assert wanted["security_groups"] == [{"name": "default"}]
    nova.set(flavors=[nova.flavor("none", instanceType="m1.none")])
    async with running(nova) as (provider, _):
        free = next(found.source for found in provider.hosts() if found.available)
        assert (await provider.apply(claim("v", free))).synchronized.reason == "MachineRefused"
        assert "no flavor m1.none" in provider.host(free.uid).message  # type: ignore[union-attr] # it is there


async def test_a_network_has_to_be_named_where_there_are_several(nova: NovaCloud) -> None:
    nova.nova.networks = {"n", "m"}
    async with running(nova) as (provider, _):
        assert (await provider.apply(claim("w", only(provider)))).synchronized.reason == "MachineRefused"
        assert "use a Network ID" in host(provider).message


async def test_user_data_is_as_long_as_nova_takes_it_at_most(nova: NovaCloud) -> None:
    """Send user data of the largest size that Nova can hold, and refuse larger data."""
    text = b'{"ignition": "' + b"x" * (OpenStack.most_user_data - 16) + b'"}'
    async with running(nova) as (provider, _):
        for data in (text + b" ", text):
            request = claim("w", only(provider), secrets={"userData": {"userData": data}})
            reported = await provider.apply(request)
            assert reported.synchronized.reason == ("UserDataTooLarge" if data != text else "Synchronized")
        assert nova.server().user_data == text
        assert len(text) == OpenStack.most_user_data


async def test_a_build_that_fails_is_tried_again_and_leaves_nothing(nova: NovaCloud) -> None:
    nova.nova.full = True
    nova.time(retry=3600.0)
    async with running(nova) as (provider, _):
        request = claim("w", only(provider))
        await applied(provider, request, lambda: host(provider).reason == "LaunchFailed")
        assert "No valid host was found" in host(provider).message
        reported = await provider.apply(request)
        assert (reported.bound.status, reported.synchronized.reason) == (True, "LaunchFailed")
        assert "No valid host" not in reported.synchronized.message
        [failed] = nova.instances()
        for _ in range(3):
            await provider.apply(request)
        assert [item.id for item in nova.instances()] == [failed.id], "not before it is time"
    nova.nova.full = False
    nova.time(retry=0.05)
    async with running(nova) as (provider, _):
        await applied(provider, request, lambda: provider.applied(request) is not None)
        [item] = nova.instances()
        assert item.id != failed.id
        assert host(provider).reason == "Claimed"


async def test_a_failed_build_can_be_released(nova: NovaCloud) -> None:
    nova.nova.full = True
    async with running(nova) as (provider, _):
        request = claim("w", only(provider), reclaimPolicy="Retain")
        await applied(provider, request, lambda: host(provider).reason == "LaunchFailed")
        await released(provider, request)
        assert nova.instances() == []
        await eventually(lambda: host(provider).available)


async def test_a_machine_that_failed_later_is_kept_and_can_be_rebooted(nova: NovaCloud) -> None:
    async with running(nova) as (provider, _):
        request = await runs(provider)
        nova.server().state, nova.server().fault = "error", "canary: hypervisor is down"
        await eventually(lambda: host(provider).reason == "MachineFailed")
        assert "hypervisor is down" in host(provider).message
        seen = await provider.apply(request)
        assert seen.observed is not None
        assert seen.observed["errorMessage"]
        assert "canary" not in str(seen.observed)
        reboot = dataclasses.replace(request, annotations={REBOOT: ""})
        await applied(provider, reboot, lambda: nova.state() == "running")
        assert len(nova.instances()) == 1


async def test_a_machine_that_its_owner_paused_is_left_alone(nova: NovaCloud) -> None:
    async with running(nova) as (provider, _):
        request = await runs(provider)
        nova.server().state = "paused"
        await eventually(lambda: host(provider).reason == "HeldByOwner")
        assert "is paused: undo that" in host(provider).message
        reported = await provider.apply(claim("w", request.source, online=False))
        assert "ask them" in reported.stalled
        assert nova.server().state == "paused"
        nova.server().state = "active"
        await applied(provider, request, lambda: host(provider).reason == "Claimed")
        assert (await provider.apply(request)).stalled == ""


async def test_a_locked_server_is_waited_for(nova: NovaCloud) -> None:
    async with running(nova) as (provider, _):
        request = await runs(provider)
        nova.server().locked = True
        with pytest.raises(ProviderError, match="the machine is locked") as error:
            await provider.release(request)
        assert error.value.reason == "Busy"
        nova.server().locked = False
        await released(provider, request)


async def test_a_machine_is_replaced_only_once_its_workload_says_so(nova: NovaCloud) -> None:
    """Continue after a crash. Nova forgets what is deleted, so a machine being replaced must not
    count as lost. A lost one must not be made again."""
    async with running(nova) as (provider, _):
        request = await runs(provider)
    ran = {"phase": "Running", "conditions": [{"type": "Provisioned", "status": "True"}]}
    other = claim("w", request.source, image="http://images.example/new")
    before = dataclasses.replace(other, workload={**other.workload, "status": ran})
    async with running(nova) as (provider, _):
        for _ in range(3):
            reported = await provider.apply(before)
            assert reported.synchronized.reason == "Replacing"
            assert reported.observed is not None
            assert reported.observed["provisioning"]["state"] == "deprovisioning"
        assert nova.runs("small-0") == "http://images.example/os", "its end would not be known"
    noted = dataclasses.replace(other, workload={**other.workload, "status": {"phase": "Provisioning"}})
    async with running(nova) as (provider, _):
        nova.proxy.answer = once(refused(503, "x"), "create")
        with pytest.raises(ProviderError):
            await applied(provider, noted, lambda: False)
        assert nova.instances() == []
    async with running(nova) as (provider, _):
        await applied(provider, noted, lambda: nova.runs("small-0") == "http://images.example/new")


async def test_a_creation_whose_second_half_fails_is_found_again(nova: NovaCloud) -> None:
    """Fail the second half of a creation, in which Libcloud asks for the server that it has
    ordered."""
    async with running(nova) as (provider, _):
        request = claim("w", only(provider))
        nova.proxy.answer = once(refused(500, "x"), "look")
        with pytest.raises(ProviderError):
            await provider.apply(request)
        await applied(provider, request, lambda: provider.applied(request) is not None)
        assert nova.proxy.asked.count("create") == 1


async def test_two_creations_at_once_leave_one_machine(nova: NovaCloud) -> None:
    """Let two replicas look, find nothing, and make one machine each: Nova excludes neither. The
    older one stays, whichever replica looks first."""
    async with running(nova) as (first, _), running(nova) as (second, _):
        request = claim("w", only(first))
        nova.proxy.meet["create"] = asyncio.Barrier(2)
        await asyncio.gather(first.apply(request), second.apply(request))
        assert nova.proxy.asked.count("create") == 2
        del nova.proxy.meet["create"]
        await applied(second, request, lambda: second.applied(request) is not None)
        [left] = nova.instances()
        await applied(first, request, lambda: first.applied(request) is not None)
        assert [item.id for item in nova.instances()] == [left.id]
        await released(first, request)
        assert nova.instances() == []


async def test_a_slot_is_not_given_up_while_a_creation_may_still_come_true(nova: NovaCloud) -> None:
    nova.time(doubt=3600.0)
    async with running(nova) as (provider, _):
        request = claim("w", only(provider))
        nova.proxy.answer = once(refused(504, "gateway timeout"), "create")
        with pytest.raises(ProviderError):
            await provider.apply(request)
        assert not (await provider.release(request)).done
        tags = {"slot-uid": request.source.uid, "slot": "small/0", "workload-uid": request.workload_uid}
        nova.launch("small-0", {f"workload.metal3.io/{key}": value for key, value in tags.items()})
        assert not (await provider.release(request)).done
        await eventually(lambda: nova.instances() == [])
    async with running(nova) as (provider, _):
        await released(provider, request)

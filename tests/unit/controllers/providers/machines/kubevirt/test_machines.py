"""Follow a VirtualMachine: disks, power, reboots, addresses, and what its owner does to it."""

from __future__ import annotations

from contextlib import asynccontextmanager
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import pytest

from controllers.providers.base import ApplyRequest, Provider, ProviderError, ProviderHost
from controllers.providers.testing import applied, claim, released, running
from tests.unit.controllers.fakeapi import eventually
from tests.unit.controllers.providers.machines.kubevirt.simulation import DV, NAMESPACE, SECRETS, VM, KubeVirt, flavor

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Mapping

IMAGE = "http://images.example/os"


def host(provider: Provider, name: str = "small-0") -> ProviderHost:
    return next(host for host in provider.hosts() if host.source.name == name)


def request(provider: Provider, name: str = "w", *, annotations: Mapping[str, str] | None = None, **spec: Any) -> ApplyRequest:
    return replace(claim(name, host(provider).source, **spec), annotations=annotations or {})


@asynccontextmanager
async def booted(source: KubeVirt, **spec: Any) -> AsyncIterator[tuple[Provider, ApplyRequest]]:
    """Yield a provider, with a Workload whose machine runs and is known to run."""
    async with running(source) as (provider, _):
        wanted = request(provider, **spec)
        await applied(provider, wanted, lambda: host(provider).report["status"]["provisioning"]["state"] == "provisioned")
        await eventually(lambda: host(provider).report["status"]["poweredOn"])
        yield provider, wanted


async def test_a_free_machine_looks_like_a_server(source: KubeVirt) -> None:
    source.set(flavors=[flavor(labels={"kind": "vm"}, nics=[{"name": "eth0"}, {"name": "eth1", "network": "storage"}])])
    async with running(source) as (provider, _):
        found = host(provider)
        nics = found.report["status"]["hardware"]["nics"]
        assert found.available
        assert found.report["labels"] == {"kind": "vm"}
        assert [nic["name"] for nic in nics] == ["eth0", "eth1"]
        assert found.report["spec"]["bootMACAddress"] == nics[0]["mac"]
        assert source.api.all(VM) == []


async def test_a_running_machine_has_its_promised_macs_and_its_addresses(source: KubeVirt) -> None:
    source.set(flavors=[flavor(nics=[{"name": "eth0"}, {"name": "eth1", "network": "team/storage", "binding": "sriov"}])])
    async with running(source) as (provider, _):
        promised = [nic["mac"] for nic in host(provider).report["status"]["hardware"]["nics"]]
        wanted = request(provider)
        await applied(provider, wanted, lambda: host(provider).report["status"]["hardware"]["nics"][1].get("ip"))
        nics = host(provider).report["status"]["hardware"]["nics"]
        assert [nic["mac"] for nic in nics] == promised
        assert len({nic["ip"] for nic in nics}) == 2
        template = source.vm()["spec"]["template"]["spec"]
        assert template["domain"]["devices"]["interfaces"][1] == {"name": "eth1", "sriov": {}, "macAddress": promised[1]}
        assert template["networks"] == [{"name": "eth0", "pod": {}}, {"name": "eth1", "multus": {"networkName": "team/storage"}}]


async def test_everything_made_is_deleted_with_its_machine(source: KubeVirt) -> None:
    async with booted(source):
        owner = {"apiVersion": "kubevirt.io/v1", "kind": "VirtualMachine", "name": source.vm()["metadata"]["name"]}
        for made in (*source.api.all(DV), *source.api.all(SECRETS)):
            [reference] = made["metadata"]["ownerReferences"]
            assert reference == {**owner, "uid": source.vm()["metadata"]["uid"]}


async def test_a_container_disk_needs_no_volume(source: KubeVirt) -> None:
    async with booted(source, image="containerdisk://registry/os:1") as (provider, wanted):
        assert source.api.all(DV) == []
        assert source.vm()["spec"]["template"]["spec"]["volumes"][0] == {"name": "root", "containerDisk": {"image": "registry/os:1"}}
        await released(provider, wanted)
        assert source.leftovers() == []


async def test_nothing_is_installed_while_it_is_to_be_off(source: KubeVirt) -> None:
    async with running(source) as (provider, _):
        reported = await provider.apply(request(provider, online=False))
        assert reported.synchronized.status is True
        assert reported.observed is not None
        assert reported.observed["provisioning"]["state"] == "available"
        assert source.api.all(DV) == []


async def test_power(source: KubeVirt) -> None:
    async with booted(source) as (provider, wanted):
        await provider.apply(request(provider, online=False))
        await eventually(lambda: source.vmi() is None)
        await eventually(lambda: not host(provider).report["status"]["poweredOn"])
        assert host(provider).report["status"]["provisioning"]["state"] == "provisioned"
        await provider.apply(wanted)
        await eventually(lambda: source.runs("small-0") == IMAGE)


async def test_a_reboot_happens_once(source: KubeVirt) -> None:
    async with booted(source) as (provider, _):
        before = (source.vmi() or {})["metadata"]["uid"]
        asked = request(provider, annotations={"reboot.metal3.io": ""})
        done: tuple[str, ...] = ()
        for _ in range(200):
            done = (await provider.apply(asked)).consumed_annotations
            if done:
                break
        assert done == ("reboot.metal3.io",)
        after = (source.vmi() or {})["metadata"]["uid"]
        assert after != before
        await provider.apply(asked)
        await provider.apply(request(provider))
        assert (source.vmi() or {})["metadata"]["uid"] == after
        assert "workload.metal3.io/rebooted" not in source.vm()["metadata"]["annotations"]


async def test_a_reboot_annotation_with_a_suffix_holds_it_off(source: KubeVirt) -> None:
    async with booted(source) as (provider, wanted):
        held = request(provider, annotations={"reboot.metal3.io/remediation": '{"mode": "hard"}'})
        assert (await provider.apply(held)).consumed_annotations == ()
        await eventually(lambda: source.vmi() is None)
        assert (await provider.apply(held)).consumed_annotations == ()
        assert source.vmi() is None
        await provider.apply(wanted)
        await eventually(lambda: source.runs("small-0") == IMAGE)


async def test_a_reboot_of_what_is_off_is_done_already(source: KubeVirt) -> None:
    async with running(source) as (provider, _):
        asked = request(provider, annotations={"reboot.metal3.io": ""}, online=False)
        assert (await provider.apply(asked)).consumed_annotations == ("reboot.metal3.io",)


async def test_another_checksum_of_what_runs_is_no_reason_to_install_it_again(source: KubeVirt) -> None:
    async with booted(source) as (provider, wanted):
        [before] = source.api.all(DV)
        wanted.workload["spec"]["image"]["checksum"] = "0" * 32
        await provider.apply(replace(wanted, version="other"))
        assert [disk["metadata"]["uid"] for disk in source.api.all(DV)] == [before["metadata"]["uid"]]


async def test_a_replaced_image_is_reported_as_replacing(source: KubeVirt) -> None:
    async with booted(source) as (provider, _):
        source.simulation.hold = True
        reported = await provider.apply(request(provider, image="http://images.example/new"))
        assert reported.synchronized.reason == "Replacing"
        assert reported.observed is not None
        assert reported.observed["provisioning"]["state"] == "deprovisioning"


async def test_what_the_owner_deletes_is_gone_and_not_made_again(source: KubeVirt) -> None:
    async with booted(source) as (provider, wanted):
        source.request_deletion("small-0")
        reported = await provider.apply(wanted)
        assert (reported.bound.status, reported.bound.reason) == (False, "HostGone")
        assert "delete this Workload" in reported.bound.message
        await eventually(lambda: source.find("small-0") is None)
        assert (await provider.apply(wanted)).bound.reason == "HostGone"
        assert source.find("small-0") is None
        await released(provider, wanted)
        await provider.apply(claim("next", host(provider).source))
        assert source.find("small-0") is not None


@pytest.mark.parametrize("phase", ["Running", "Stopped", "Lost"])
async def test_a_vanished_machine_is_not_made_again_after_a_restart(source: KubeVirt, phase: str) -> None:
    async with running(source) as (provider, _):
        wanted = request(provider)
        wanted.workload["status"] = {"phase": phase}
        assert (await provider.apply(wanted)).bound.reason == "HostGone"
        assert source.api.all(VM) == []


async def test_manual_edits_of_a_virtual_machine(source: KubeVirt) -> None:
    async with booted(source) as (provider, wanted):
        source.edit({"spec": {"runStrategy": "Halted", "template": {"spec": {"domain": {"cpu": {"cores": 8}}}}}})
        await provider.apply(wanted)
        assert source.vm()["spec"]["runStrategy"] == "Always"
        assert source.vm()["spec"]["template"]["spec"]["domain"]["cpu"] == {"cores": 8}, "sizes are the owner's business"
        source.edit({"metadata": {"annotations": {"workload.metal3.io/flavor": "{nonsense"}}})
        assert (await provider.apply(wanted)).bound.status is True
        source.edit({"metadata": {"labels": {"workload.metal3.io/workload-uid": None}}})
        assert (await provider.apply(wanted)).bound.reason == "HostTaken"
        await eventually(lambda: host(provider).reason == "InUse")


async def test_a_secret_that_is_changed_or_deleted_is_put_right(source: KubeVirt) -> None:
    async with booted(source, secrets={"userData": {"userData": b"x"}}) as (provider, wanted):
        [before] = source.api.all(SECRETS)
        source.api.edit(SECRETS, before["metadata"]["name"], {"data": {"user-data": "eA==eA==", "more": "eA=="}}, NAMESPACE)
        await provider.apply(wanted)
        assert source.api.all(SECRETS)[0]["data"] == before["data"]
        source.api.remove(SECRETS, before["metadata"]["name"], NAMESPACE)
        await provider.apply(wanted)
        assert source.api.all(SECRETS)[0]["data"] == before["data"]


async def test_retain_leaves_the_machine_to_its_owner(source: KubeVirt) -> None:
    async with booted(source) as (provider, _):
        kept = request(provider, reclaimPolicy="Retain")
        for _ in range(2):
            assert (await provider.release(kept)).done
        assert source.runs("small-0") == IMAGE
        assert len(source.api.all(DV)) == len(source.api.all(SECRETS)) == 1
        await eventually(lambda: host(provider).reason == "Quarantined")
        assert "delete the VirtualMachine" in host(provider).message
        assert (await provider.apply(claim("next", host(provider).source))).bound.reason == "HostTaken"
        source.request_deletion("small-0")
        await eventually(lambda: host(provider).available)


async def test_what_the_owner_has_taken_over_is_not_cleaned_up(source: KubeVirt) -> None:
    async with booted(source) as (provider, wanted):
        source.edit({"metadata": {"labels": {"workload.metal3.io/workload-uid": None}}})
        assert (await provider.release(wanted)).done
        assert source.runs("small-0") == IMAGE
        assert len(source.api.all(DV)) == 1


async def test_a_disk_of_an_earlier_machine_is_not_taken_for_its_own(source: KubeVirt) -> None:
    async with booted(source) as (provider, _):
        [left] = source.api.all(DV)
        await provider.release(request(provider, reclaimPolicy="Retain"))
        source.request_deletion("small-0")
        await eventually(lambda: host(provider).available)
        again = claim("next", host(provider).source)
        assert (await provider.apply(again)).synchronized.reason == "Replacing"
        assert source.api.all(DV) == []
        await applied(provider, again, lambda: source.runs("small-0") == IMAGE)
        [disk] = source.api.all(DV)
        assert disk["metadata"]["name"] == left["metadata"]["name"]
        assert disk["metadata"]["ownerReferences"][0]["uid"] == source.vm()["metadata"]["uid"]


async def test_flavors_changed_in_use_do_not_touch_machines(source: KubeVirt) -> None:
    async with booted(source) as (provider, wanted):
        before = host(provider).report["status"]["hardware"]
        for changed, reason in (
            ([flavor(memory="8Gi")], "FlavorChanged"),
            ([flavor(capacity=0)], "BeyondCapacity"),
            ([flavor("other")], "FlavorRemoved"),
        ):
            source.offer(*changed)
            assert host(provider).reason == reason
            assert host(provider).report["status"]["hardware"] == before
            assert (await provider.apply(wanted)).synchronized.status is True
        await released(provider, wanted)
        await eventually(lambda: [found.source.name for found in provider.hosts()] == ["other-0"])
        assert (await provider.apply(wanted)).bound.reason == "HostGone"


async def test_a_class_that_points_elsewhere_says_so(source: KubeVirt) -> None:
    async with booted(source) as (_, wanted):
        source.set(namespace="others")
        async with running(source) as (provider, _):
            for call in (provider.apply, provider.release):
                with pytest.raises(ProviderError, match=r"namespace vms.*others.*set them back"):
                    await call(wanted)


async def test_two_classes_share_a_namespace_and_no_machine(source: KubeVirt) -> None:
    async with booted(source) as (first, wanted):
        source.set(identity="elsewhere")
        async with running(source) as (second, _):
            assert host(second).available
            other = claim("other", host(second).source)
            await second.apply(other)
            assert len(source.api.all(VM)) == 2
            await released(second, other)
        assert (await first.apply(wanted)).bound.status is True


async def test_the_advice_how_to_free_a_host_names_its_virtual_machine(source: KubeVirt) -> None:
    async with booted(source) as (provider, _):
        assert host(provider).to_free == f"delete the VirtualMachine {source.vm()['metadata']['name']}"


async def test_the_classs_host_selector_chooses_among_flavors(source: KubeVirt) -> None:
    source.set(flavors=[flavor(), flavor("gpu", labels={"gpu": "yes"})])
    source.spec = {**source.spec, "hostSelector": {"matchLabels": {"gpu": "yes"}}}
    async with running(source) as (provider, _):
        assert [found.source.name for found in provider.hosts()] == ["gpu-0"]

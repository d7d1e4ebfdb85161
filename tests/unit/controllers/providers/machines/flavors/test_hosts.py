"""Check slots as hosts. They never change, are free until a claim creates a machine there, and
never lose an existing machine."""

from __future__ import annotations

import re
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from hypothesis import given
from hypothesis import strategies as st

from apiserver.apis.host import HostReport
from controllers.providers.base import Consumer
from controllers.providers.machines.flavors import (
    Flavor,
    Machine,
    Slot,
    mac_address,
    offered_slots,
    slot_name,
    slot_uid,
    synthetic_host,
    was_provisioned,
)
from controllers.scheduler.fit import candidate, requirements_of, unfit_reason
from tests.unit.controllers.clusters import workload

if TYPE_CHECKING:
    from collections.abc import Iterable

    from controllers.providers.base import ProviderHost

OURS = Consumer("Workload", "team-a", "w", "uid-w")


def synthetic_hosts(
    place: str,
    flavors: Iterable[Flavor],
    machines: Iterable[Machine],
    *,
    namespace: str = "",
    manufacturer: str = "",
    macs: bool = True,
) -> dict[str, ProviderHost]:
    """Return all hosts by uid: the offered slots, and those that hold a machine. The arguments are
    those of `synthetic_host`."""
    offered = {flavor.name: flavor for flavor in flavors}
    taken = {machine.slot: machine for machine in machines}
    hosts = {}
    for slot in sorted({*offered_slots(offered.values()), *taken}):
        flavor = offered.get(slot.flavor)
        host = synthetic_host(place, slot, flavor, taken.get(slot), namespace=namespace, manufacturer=manufacturer, macs=macs)
        assert host is not None
        hosts[host.source.uid] = host
    return hosts


def flavor(name: str = "small", **fields: Any) -> Flavor:
    return Flavor.decode({"name": name, "cpu": 2, "memory": "4Gi", "disk": "40Gi", "capacity": 2, **fields})


flavors = st.lists(
    st.builds(
        flavor,
        name=st.sampled_from(["a", "b", "a-1"]),
        cpu=st.integers(1, 8),
        capacity=st.integers(0, 3),
        labels=st.sampled_from([{}, {"kind": "vm"}]),
        nics=st.sampled_from([[], [{"name": "eth0"}], [{"name": "eth0"}, {"name": "eth1"}]]),
    ),
    max_size=3,
    unique_by=lambda made: made.name,
)
machines = st.lists(
    st.builds(
        Machine,
        slot=st.builds(Slot, st.sampled_from(["a", "b", "gone"]), st.integers(0, 4)),
        consumer=st.sampled_from([OURS, Consumer("VirtualMachine", "x", "stranger")]),
        made_from=st.sampled_from([None, flavor("a", cpu=1), flavor("b", memory="8Gi")]),
        state=st.sampled_from(["available", "provisioning", "provisioned", "deprovisioning"]),
        powered_on=st.booleans(),
        nics=st.sampled_from([(), ({"ip": "10.0.0.5"},), ({"mac": "02:00:00:00:00:01", "ip": ""},)]),
        error=st.sampled_from(["", "the quota is exceeded"]),
        problem=st.sampled_from([None, ("QuotaExceeded", "raise it")]),
    ),
    max_size=5,
    unique_by=lambda machine: machine.slot,
)


@given(flavors, machines, st.booleans())
def test_each_slot_is_one_host_and_no_machine_is_lost(offered: list[Flavor], there: list[Machine], macs: bool) -> None:
    hosts = synthetic_hosts("c", offered, there, namespace="vms", manufacturer="KubeVirt", macs=macs)
    wanted = {Slot(made.name, index) for made in offered for index in range(made.capacity)} | {machine.slot for machine in there}
    assert {host.source.name for host in hosts.values()} == {slot_name(slot) for slot in wanted}
    assert all(uid == host.source.uid for uid, host in hosts.items())
    taken = {slot_uid("c", machine.slot) for machine in there}
    for uid, host in hosts.items():
        HostReport.decode(host.report)
        assert host.available == (uid not in taken)
        assert (host.consumer is None) == host.available
        assert host.available or (host.reason and host.message)


@given(flavors, machines, flavors)
def test_what_the_class_says_now_does_not_touch_machines(before: list[Flavor], there: list[Machine], after: list[Flavor]) -> None:
    there = [replace(machine, made_from=machine.made_from or flavor(machine.slot.flavor)) for machine in there]
    first, second = synthetic_hosts("c", before, there), synthetic_hosts("c", after, there)
    for machine in there:
        uid = slot_uid("c", machine.slot)
        assert first[uid].report["status"] == second[uid].report["status"]


@given(st.lists(st.tuples(st.sampled_from(["p", "q"]), st.sampled_from(["a", "a-1", "b"]), st.integers(0, 20)), min_size=2, unique=True))
def test_identities_differ(places: list[tuple[str, str, int]]) -> None:
    uids = [slot_uid(place, Slot(name, index)) for place, name, index in places]
    addresses = [mac_address(uid, nic) for uid in uids for nic in range(2)]
    assert len(set(uids)) == len(uids)
    assert len(set(addresses)) == len(addresses)
    assert all(re.fullmatch(r"[0-9a-f][26ae](:[0-9a-f]{2}){5}", address) for address in addresses)


def test_identities_stay() -> None:
    # Hosts are identified by these values. Another value would take every claimed machine away from
    # its Workload.
    assert slot_uid("c", Slot("small", 0)) == "3f049135-5bd2-573e-ba90-e8a641344bcb"
    assert mac_address("3f049135-5bd2-573e-ba90-e8a641344bcb", 0) == "1e:0a:bd:57:45:73"


def test_a_free_host_fits_what_its_flavor_promises() -> None:
    [host] = synthetic_hosts("c", [flavor(capacity=1, labels={"kind": "vm"})], []).values()
    found = candidate({"metadata": {"name": "h"}, "spec": {}, "status": {"report": host.report}})

    def fits(**spec: Any) -> bool:
        wanted = workload("w", **spec)
        wanted["metadata"]["uid"] = "u"
        return unfit_reason(found, requirements_of(wanted)) is None

    enough = {"architecture": "x86_64", "cpuCount": 2, "ram": "4Gi", "storage": "40Gi", "nics": 1}
    assert fits(hostSelector={"matchLabels": {"kind": "vm"}}, requirements=enough)
    assert not fits(hostSelector={"matchLabels": {"kind": "metal"}})
    for more in ({"cpuCount": 3}, {"ram": "5Gi"}, {"storage": "41Gi"}, {"nics": 2}, {"architecture": "aarch64"}):
        assert not fits(requirements=more), more


def test_the_owner_learns_when_the_class_continues_without_a_machine() -> None:
    machine = Machine(Slot("small", 1), OURS, flavor(), "provisioned")

    def reason(*offered: Flavor, **changes: Any) -> tuple[str, str]:
        host = synthetic_hosts("c", offered, [replace(machine, **changes)])[slot_uid("c", machine.slot)]
        return host.reason, host.message

    assert reason(flavor())[0] == "Claimed"
    assert reason()[0] == "FlavorRemoved"
    assert reason(flavor(capacity=1))[0] == "BeyondCapacity"
    changed = reason(flavor(cpu=4))
    assert changed[0] == "FlavorChanged"
    assert "cpu 2 → 4" in changed[1]
    assert reason(flavor(cpu=4), problem=("QuotaExceeded", "raise it")) == ("QuotaExceeded", "raise it")
    assert reason(flavor(), consumer=Consumer("VirtualMachine", "x", "y"))[0] == "InUse"


def test_a_machine_is_made_again_only_before_anything_ran_on_it() -> None:
    made = workload("w")
    assert not was_provisioned(made)
    assert not was_provisioned(made | {"status": {"phase": "Provisioning", "conditions": []}})
    assert was_provisioned(made | {"status": {"phase": "Running"}})
    assert was_provisioned(made | {"status": {"phase": "Failed", "conditions": [{"type": "Provisioned", "status": "True"}]}})

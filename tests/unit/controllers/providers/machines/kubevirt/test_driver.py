"""Take steps while KubeVirt acts in any order. A machine reaches the last desired
state, and no disk is deleted under a running one."""

from __future__ import annotations

import itertools
from typing import TYPE_CHECKING, Any, cast

from hypothesis import given, settings
from hypothesis import strategies as st

from apiserver.client.objects import name_of
from apiserver.registry.generic.patch import merge_patch
from controllers.providers.base import Source
from controllers.providers.machines.driver import Timings
from controllers.providers.machines.flavors import Slot, held_off, slot_uid
from controllers.providers.machines.instance import REBOOTED
from controllers.providers.machines.kubevirt import names
from controllers.providers.machines.kubevirt.cluster import MachineCluster
from controllers.providers.machines.kubevirt.driver import Boot, KubeVirt
from controllers.providers.machines.kubevirt.images import root_disk
from controllers.providers.machines.kubevirt.manifest import installed_image, virtual_machine
from controllers.providers.machines.kubevirt.parameters import MachineFlavor, Parameters
from controllers.providers.machines.kubevirt.report import VirtualMachine, is_running
from controllers.providers.machines.kubevirt.seed import Seed
from controllers.providers.machines.steps import DesiredState, Step, consumed_annotations, next_step
from controllers.providers.testing import claim
from hack.kubevirt.reconcile import Action, ObservedState, import_status, next_action

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine

    from apiserver.client.client import Client

Object = dict[str, Any]

SLOT = Slot("small", 0)
FLAVOR = MachineFlavor.decode({"name": "small", "cpu": 2, "memory": "4Gi", "disk": "40Gi", "capacity": 1})
PARAMETERS = Parameters(namespace="vms", flavors=[FLAVOR])
SEED = Seed({}, {"name": "firstboot", "secret": {"secretName": "boot"}})


class Cluster(MachineCluster):
    """Simulate a cluster of one machine, its instance and its disks, without a network."""

    def __init__(self) -> None:
        request = claim("w", Source("vms", "small-0", slot_uid("p", SLOT)))
        self.vm: Object = virtual_machine(request, SLOT, FLAVOR, PARAMETERS)
        self.vm["metadata"]["uid"] = "vm"
        self.vmi: Object | None = None
        self.disks: dict[str, Object] = {}
        self._uids = itertools.count()
        self._driver = KubeVirt(PARAMETERS, cast("Client", None), Timings())
        self._driver._cluster = self

    async def patch(self, machine: Object, patch: Object) -> Object:
        self.vm = merge_patch(self.vm, patch)
        return self.vm

    async def make_disk(self, disk: Object) -> Object:
        return self.disks.setdefault(name_of(disk), disk)

    async def delete_disk(self, name: str) -> bool:
        assert self.vmi is None, "a disk is deleted under an instance"
        self.disks.pop(name, None)
        return True

    async def end_instance(self, name: str, uid: str) -> None:
        assert self.vmi is not None
        assert self.vmi["metadata"]["uid"] == uid
        self.vmi = merge_patch(self.vmi, {"metadata": {"deletionTimestamp": "now"}})

    @property
    def seen(self) -> VirtualMachine:
        """Return the machine as the provider sees it."""
        return VirtualMachine.of(self.vm, self.vmi)

    def provider(self, desired: DesiredState) -> bool:
        """Let the provider take one step. Return False if there is none, or if it changed
        nothing."""
        before, driver = self.seen, self._driver
        calls: dict[Step, Callable[[], Coroutine[Any, Any, Any]]] = {
            Step.INSTALL: lambda: driver.install(before, desired, FLAVOR),
            Step.ERASE: lambda: driver.erase(before),
            Step.START: lambda: driver.start(before),
            Step.STOP: lambda: driver.stop(before),
            Step.REBOOT: lambda: driver.reboot(before),
            Step.NOTE_BOOTED: lambda: driver.tag(before, {names.BOOTED: "true"}),
            Step.NOTE_REMOVING: lambda: driver.tag(before, {names.REMOVING: "true"}),
            Step.FORGET_REBOOT: lambda: driver.untag(before, REBOOTED),
        }
        if (step := next_step(before, desired)) is not None and step is not Step.WAIT:
            done(calls[step]())
        return self.seen != before

    def kubevirt(self) -> bool:
        """Let KubeVirt take one turn. Return False if there is nothing to do."""
        for name, disk in self.disks.items():
            if (status := import_status(disk)) is not None:
                self.disks[name] = {**disk, "status": status}
                return True
        volumes = {
            volume["dataVolume"]["name"]: self.disks.get(volume["dataVolume"]["name"], {})
            for volume in self.vm["spec"]["template"]["spec"].get("volumes") or ()
            if "dataVolume" in volume
        }
        action = next_action(ObservedState(self.vm, self.vmi, volumes, {"boot"}))
        if action is not None:
            self._do(action)
        return action is not None

    def _do(self, action: Action) -> None:
        match action.what, action.verb:
            case "vm", _:
                self.vm = merge_patch(self.vm, action.body)
            case _, "create":
                self.vmi = merge_patch(action.body, {"metadata": {"uid": f"vmi-{next(self._uids)}"}})
            case _, "delete":
                self.vmi = merge_patch(self.vmi, {"metadata": {"deletionTimestamp": "now"}})
            case _:
                self.vmi = merge_patch(self.vmi, action.body)
        if self.vmi is not None and self.vmi["metadata"].get("deletionTimestamp") and not self.vmi["metadata"]["finalizers"]:
            self.vmi = None

    def settle(self, desired: DesiredState) -> None:
        """Continue both until neither has anything to do."""
        for _ in range(100):
            if not (self.provider(desired) | self.kubevirt()):
                return
        raise AssertionError("it does not come to rest")


def done(call: Coroutine[Any, Any, Any]) -> None:
    """Run a coroutine that waits for nothing to its end."""
    try:
        call.send(None)
    except StopIteration:
        return
    raise AssertionError("it waits")


def desired(url: str | None, *, online: bool = True, held: bool = False, annotations: tuple[str, ...] = ()) -> DesiredState:
    disk = root_disk({"image": {"url": url}}, verify=False) if url is not None and not held else None
    notes = dict.fromkeys(annotations, "")
    if disk is None:
        return DesiredState(online, held, annotations=notes)
    return DesiredState(online, held, disk.image, Boot(disk, SEED), notes)


desired_states = st.builds(
    desired,
    st.sampled_from([None, "http://images.example/a", "http://images.example/b", "containerdisk://c"]),
    online=st.booleans(),
    held=st.sampled_from([False, False, True]),
    annotations=st.sampled_from([(), (), ("reboot.metal3.io",), ("reboot.metal3.io/remediation",)]),
)
turns = st.lists(st.booleans(), max_size=12)
"""Which side acts: the provider, or KubeVirt."""
moments = st.lists(st.tuples(desired_states, turns, st.booleans()), min_size=1, max_size=5)
"""A desired state, the sides that act then, and whether all comes to rest before the next one."""


@settings(max_examples=150, deadline=None)
@given(moments)
def test_a_machine_converges_to_the_last_desired_state(history: list[tuple[DesiredState, list[bool], bool]]) -> None:
    cluster = Cluster()
    for wanted, whose, rests in history:
        for providers in whose:
            cluster.provider(wanted) if providers else cluster.kubevirt()
        if rests:
            cluster.settle(wanted)
    last = history[-1][0]
    cluster.settle(last)
    image, running = installed_image(cluster.vm), is_running(cluster.vmi)
    if last.held:
        assert image is None or running == (last.online and not held_off(last.annotations))
        return
    if last.image is None:
        assert (image, cluster.vmi, cluster.disks) == (None, None, {})
    elif last.online:
        assert image == last.image
        assert running == (not held_off(last.annotations))
        assert len(cluster.disks) == (last.boot.disk.source is not None), "no other disk is left"
    else:
        assert not running
        assert image in (None, last.image)
    assert not consumed_annotations(cluster.seen, desired(None))
    assert names.REMOVING not in cluster.vm["metadata"]["annotations"]


@settings(max_examples=60, deadline=None)
@given(st.lists(st.booleans(), max_size=40))
def test_one_reboot_is_one_new_instance(whose: list[bool]) -> None:
    cluster = Cluster()
    cluster.settle(desired("http://images.example/a"))
    assert cluster.vmi is not None
    before, asked = cluster.vmi["metadata"]["uid"], desired("http://images.example/a", annotations=("reboot.metal3.io",))
    seen = {before}
    for providers in whose:
        cluster.provider(asked) if providers else cluster.kubevirt()
        seen |= {cluster.vmi["metadata"]["uid"]} if cluster.vmi else set()
    cluster.settle(asked)
    assert consumed_annotations(cluster.seen, asked) == ("reboot.metal3.io",)
    seen |= {cluster.vmi["metadata"]["uid"]}
    assert len(seen) == 2
    cluster.settle(desired("http://images.example/a"))
    assert cluster.vmi["metadata"]["uid"] in seen - {before}

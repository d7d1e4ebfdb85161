"""Adopt hosts that run for their owner or for CAPM3, and give them back, with the command killed
after every write. Nothing happens to the machines."""

from __future__ import annotations

import copy
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any

import pytest

from controllers import kinds
from controllers.adoptionoptions import Options, Summary
from controllers.providers.baremetalhost import names
from controllers.providers.baremetalhost.adopter import Adopter
from controllers.providers.baremetalhost.adoptionrecord import Adoption
from controllers.resumable import Blocked
from tests.unit.controllers.clusters import BMH, SECRETS, bmh, secret
from tests.unit.controllers.managementclusters import (
    NAMESPACE,
    VIEWS,
    Hardware,
    Killed,
    ManagementCluster,
    MortalClient,
    eventually,
    management_clusters,
)
from tests.unit.controllers.reporters import Lines

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from pathlib import Path

pytestmark = pytest.mark.timeout(300)

IMAGE = {"url": "http://images.example/os", "checksum": "0" * 32}
PAUSED = "baremetalhost.metal3.io/paused"
MACHINE = {
    "apiVersion": "infrastructure.cluster.x-k8s.io/v1beta2",
    "kind": "Metal3Machine",
    "namespace": NAMESPACE,
    "name": "m0",
}
OWNER = {"apiVersion": MACHINE["apiVersion"], "kind": "Metal3Machine", "name": "m0", "uid": "u-m0", "controller": True}


@asynccontextmanager
async def clusters(folder: Path, namespace: str = "metal3") -> AsyncIterator[tuple[Hardware, ManagementCluster]]:
    async with management_clusters(folder) as maker:
        hardware = await maker.hardware()
        cluster = await maker.cluster("site")
        await cluster.add_class("metal", "metal3.io/baremetalhost", hardware.api.kubeconfig, parameters={"namespace": namespace})
        yield hardware, cluster


def runs(hardware: Hardware, name: str = "h1", namespace: str = "metal3", **spec: Any) -> None:
    """Create a host that runs what its owner has put on it."""
    made = bmh(name, **{"online": True, "image": dict(IMAGE), "automatedCleaningMode": "disabled", **spec})
    made["metadata"]["namespace"] = namespace
    made["status"] |= {"poweredOn": True, "provisioning": {**made["status"]["provisioning"], "state": "provisioned", "image": dict(IMAGE)}}
    hardware.api.put(BMH, made)


def capm3(hardware: Hardware, name: str = "h1", **spec: Any) -> None:
    """Create a host that a Metal3Machine of a paused Cluster has."""
    boot = {"userData": {"name": "m0-user", "namespace": NAMESPACE}, "metaData": {"name": "m0-meta", "namespace": NAMESPACE}}
    runs(hardware, name, NAMESPACE, consumerRef=dict(MACHINE), **{**boot, **spec})
    marks = {"labels": {"cluster.x-k8s.io/cluster-name": "c1"}, "annotations": {PAUSED: "metal3.io/capm3"}, "ownerReferences": [OWNER]}
    hardware.api.edit(BMH, name, {"metadata": marks}, NAMESPACE)


async def adopt(
    cluster: ManagementCluster, hardware: Hardware, *hosts: str, lives: int = 0, said: Lines | None = None, **options: Any
) -> Summary:
    """Run the command once."""
    left = [lives]
    clients = [MortalClient(cluster.config("admin", "system:masters")), MortalClient(hardware.api.kubeconfig)]
    for client in clients:
        client.lives = left
    async with clients[0] as management, clients[1] as machines:
        class_ = await management.get(kinds.CLASSES, "metal")
        wanted = Options(**{"namespace": NAMESPACE, "hosts": hosts, "timeout": 60.0, **options})
        return await Adopter(management, machines, class_, wanted, said if said is not None else Lines()).run()


def real(hardware: Hardware, namespace: str = "metal3", name: str = "h1") -> dict[str, Any]:
    return copy.deepcopy(hardware.api.get(BMH, name, namespace))


def unmarked(bmh: dict[str, Any]) -> dict[str, Any]:
    """Return what an adoption may not change: all but our marks and the consumer."""
    metadata = bmh["metadata"]
    kept = {
        "labels": {key: value for key, value in metadata["labels"].items() if not key.startswith(names.OURS)},
        "annotations": {key: value for key, value in metadata["annotations"].items() if not key.startswith((names.OURS, PAUSED))},
    }
    return {"metadata": kept, "spec": {key: value for key, value in bmh["spec"].items() if key != "consumerRef"}, "status": bmh["status"]}


async def known(cluster: ManagementCluster, name: str = "h1") -> bool:
    """Return whether the host is reported."""
    hosts = (await cluster.admin.list_all(kinds.HOSTS))[0]
    return any(host["spec"]["source"]["name"] == name and (host.get("status") or {}).get("report") for host in hosts)


async def test_a_single_host_there_and_back_killed_after_every_write(tmp_path: Path) -> None:
    async with clusters(tmp_path) as (hardware, cluster):
        hardware.api.put(SECRETS, secret("boot", "metal3", userData="#cloud-config"))
        runs(hardware, userData={"name": "boot", "namespace": "metal3"})
        before = real(hardware)
        await eventually(lambda: known(cluster))
        lives, killed = 0, [True, True]
        while any(killed):
            lives += 1
            for way, undo in enumerate((False, True)):
                killed[way] = False
                try:
                    done = await adopt(cluster, hardware, "h1", lives=lives, workload="web", copy_secrets=True, undo=undo)
                except Killed:
                    killed[way] = True
                    done = await adopt(cluster, hardware, "h1", workload="web", copy_secrets=True, undo=undo)
                assert (done.done, done.failed) == (["h1"], []), f"after {lives} writes, undo: {undo}"
                assert unmarked(real(hardware)) == unmarked(before), f"after {lives} writes, undo: {undo}"
                if undo:
                    assert await cluster.workloads() == []
                    assert "consumerRef" not in real(hardware)["spec"]
                    assert real(hardware)["metadata"]["annotations"] == before["metadata"]["annotations"]
                    assert real(hardware)["metadata"]["labels"] == before["metadata"]["labels"]
                else:
                    workload = await cluster.workload("web")
                    assert (workload["status"]["phase"], workload["status"]["host"]["name"]) == ("Running", "h1")
                    assert (workload["spec"]["image"], workload["spec"]["userData"]) == (IMAGE, {"name": "boot"})
        assert hardware.bmo.log == [], "nothing was installed"
        assert lives > 3
        assert [item["metadata"]["name"] for item in hardware.api.all(SECRETS)] == ["boot"], "no copy is left there"


async def test_an_adopted_host_is_the_tenants_like_any_other(tmp_path: Path) -> None:
    async with clusters(tmp_path) as (hardware, cluster):
        runs(hardware, userData={"name": "boot", "namespace": "metal3"})
        hardware.api.put(SECRETS, secret("boot", "metal3", userData="x"))
        await eventually(lambda: known(cluster))
        await adopt(cluster, hardware, "h1")
        assert "userData" not in (await cluster.workload("h1"))["spec"], "the owner's secrets are not the tenant's"
        changed = {"spec": {"image": {**IMAGE, "url": "http://images.example/other"}, "updatePolicy": "Recreate"}}
        await cluster.admin.patch(kinds.WORKLOADS, "h1", changed, NAMESPACE)

        async def installed() -> bool:
            return hardware.bmo.log == [("h1", "http://images.example/other")]

        await eventually(installed)
        spec = real(hardware)["spec"]
        assert "userData" not in spec, "what is installed next is the Workload's"
        assert spec["automatedCleaningMode"] == "metadata", "the class's"
        assert names.ADOPTION not in real(hardware)["metadata"]["annotations"]
        undone = await adopt(cluster, hardware, "h1", undo=True)
        assert undone.failed == ["h1"], "it cannot be as it was any more"
        await cluster.admin.delete(kinds.WORKLOADS, "h1", NAMESPACE)

        async def free() -> bool:
            return "consumerRef" not in real(hardware)["spec"] and hardware.runs() is None

        await eventually(free)


async def test_a_release_wipes_an_adopted_host_as_its_class_says(tmp_path: Path) -> None:
    async with clusters(tmp_path) as (hardware, cluster):
        runs(hardware)
        await eventually(lambda: known(cluster))
        await adopt(cluster, hardware, "h1")
        hardware.bmo.hold = True
        await cluster.admin.delete(kinds.WORKLOADS, "h1", NAMESPACE)

        async def emptied() -> bool:
            return "image" not in real(hardware)["spec"]

        await eventually(emptied)
        assert real(hardware)["spec"]["automatedCleaningMode"] == "metadata", "not disabled, as its owner had it"


async def taken_over(cluster: ManagementCluster) -> dict[str, Any]:
    """Write as a Metal3Machine does after its move, and return the view when the host is taken."""
    await cluster.patch_view({"metadata": {"ownerReferences": [{**OWNER, "uid": "u-moved"}], "annotations": {PAUSED: None}}})

    async def running() -> bool:
        [workload] = await cluster.workloads()
        return bool(workload["status"]["phase"] == "Running")

    await eventually(running)
    return await cluster.view()


async def test_a_namespace_of_capm3_there_and_back_killed_after_every_write(tmp_path: Path) -> None:
    async with clusters(tmp_path, NAMESPACE) as (hardware, cluster):
        capm3(hardware)
        for name in ("m0-user", "m0-meta"):
            await cluster.secret(name, value="x", metaData="a: b")
        before = real(hardware, NAMESPACE)
        await eventually(lambda: known(cluster))
        lives, killed = 0, [True, True]
        while any(killed):
            lives += 1
            for way, undo in enumerate((False, True)):
                killed[way] = False
                try:
                    done = await adopt(cluster, hardware, lives=lives, undo=undo)
                except Killed:
                    killed[way] = True
                    done = await adopt(cluster, hardware, undo=undo)
                assert done.failed == []
                if undo:
                    assert await cluster.workloads() == []
                    assert real(hardware, NAMESPACE)["spec"] == before["spec"]
                    assert not any(key.startswith(names.OURS) for key in real(hardware, NAMESPACE)["metadata"]["annotations"])
                    hardware.api.edit(BMH, "h1", {"metadata": {"annotations": {PAUSED: "metal3.io/capm3"}}}, NAMESPACE)
                    continue
                view = await cluster.view()
                assert view["metadata"]["uid"] == before["metadata"]["uid"], "the Nodes have it in a label"
                assert view["metadata"]["labels"]["cluster.x-k8s.io/cluster-name"] == "c1"
                assert (view["spec"]["consumerRef"], view["spec"]["image"]) == (MACHINE, IMAGE)
                assert view["spec"]["userData"] == {"name": "m0-user", "namespace": NAMESPACE}
                assert view["status"]["provisioning"]["state"] == "provisioned"
                assert "ownerReferences" not in real(hardware, NAMESPACE)["metadata"], "garbage collection would delete the host"
                view = await taken_over(cluster)
                assert view["spec"]["consumerRef"] == MACHINE
                assert unmarked(real(hardware, NAMESPACE)) == unmarked(before)
                assert PAUSED not in real(hardware, NAMESPACE)["metadata"]["annotations"], "CAPM3 resumes the view only"
                assert (await adopt(cluster, hardware)).done == ["h1"]
                refused = Lines()
                assert (await adopt(cluster, hardware, undo=True, said=refused)).failed == ["h1"]
                assert "not paused" in refused[0]
                await cluster.patch_view({"metadata": {"annotations": {PAUSED: "metal3.io/capm3"}}})
        assert hardware.bmo.log == []
        assert lives > 2


async def test_an_unused_mark_is_removed(tmp_path: Path) -> None:
    async with clusters(tmp_path, NAMESPACE) as (hardware, cluster):
        capm3(hardware)
        await eventually(lambda: known(cluster))
        said = Lines()
        assert (await adopt(cluster, hardware, "h1", workload="web", said=said)).failed == ["h1"]
        assert "leave out --name" in said.pop()
        dry = await adopt(cluster, hardware, dry_run=True, said=said)
        assert (dry.waiting, names.ADOPTION in real(hardware, NAMESPACE)["metadata"]["annotations"]) == (["h1"], False)
        assert "would be adopted" in said[0]
        assert (await adopt(cluster, hardware)).waiting == ["h1"]
        assert (await adopt(cluster, hardware, undo=True, dry_run=True)).waiting == ["h1"]
        assert names.ADOPTION in real(hardware, NAMESPACE)["metadata"]["annotations"]
        assert (await adopt(cluster, hardware, undo=True)).done == ["h1"]
        assert names.ADOPTION not in real(hardware, NAMESPACE)["metadata"]["annotations"]

        async def hidden() -> bool:
            return (await cluster.admin.list_all(VIEWS, NAMESPACE))[0] == []

        await eventually(hidden)


async def test_obstacles_to_an_adoption_are_reported_first(tmp_path: Path) -> None:
    async with clusters(tmp_path) as (hardware, cluster):
        hardware.bmo.hold = True
        runs(hardware, "bad")
        hardware.api.edit(BMH, "bad", {"status": {"errorType": "power management error", "errorMessage": "no BMC"}}, "metal3")
        runs(hardware, "nosecret", userData={"name": "none", "namespace": "metal3"})
        await eventually(lambda: known(cluster, "nosecret"))
        before = [real(hardware, name=name) for name in ("bad", "nosecret")]
        said = Lines()
        assert (await adopt(cluster, hardware, "bad", "nosecret", copy_secrets=True, said=said)).failed == ["bad", "nosecret"]
        assert "power management error" in said[0]
        assert "metal3/none does not exist" in said[1]
        with pytest.raises(Blocked, match="no real host none"):
            await adopt(cluster, hardware, "none")
        await cluster.admin.patch(kinds.CLASSES, "metal", {"spec": {"allowedNamespaces": {"names": ["team-b"]}}})
        with pytest.raises(Blocked, match=r"add it to spec\.allowedNamespaces"):
            await adopt(cluster, hardware, "nosecret")
        assert [real(hardware, name=name) for name in ("bad", "nosecret")] == before


async def test_a_write_of_the_controllers_at_the_wrong_moment_stops_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    async with clusters(tmp_path, NAMESPACE) as (hardware, cluster):
        capm3(hardware)
        await eventually(lambda: known(cluster))
        request, changed = MortalClient.request, list[str]()

        async def change_first(self: MortalClient, method: str, path: str, **more: Any) -> dict[str, Any]:
            if method == "DELETE" and "/hosts/" in path and not changed:
                changed.append(path)
                name = path.rsplit("/", 1)[1].partition("?")[0]
                await cluster.admin.patch(kinds.HOSTS, name, {"metadata": {"labels": {"changed": "now"}}})
            return await request(self, method, path, **more)

        monkeypatch.setattr(MortalClient, "request", change_first)
        assert (await adopt(cluster, hardware)).waiting == ["h1"]
        assert changed


async def test_a_claim_that_is_handed_back_ends_by_itself(tmp_path: Path) -> None:
    async with clusters(tmp_path, NAMESPACE) as (hardware, cluster):
        capm3(hardware)
        for name in ("m0-user", "m0-meta"):
            await cluster.secret(name, value="x", metaData="a: b")
        await eventually(lambda: known(cluster))
        await adopt(cluster, hardware)
        await taken_over(cluster)
        await cluster.patch_view({"metadata": {"annotations": {PAUSED: "metal3.io/capm3"}}})
        with pytest.raises(Killed):
            await adopt(cluster, hardware, undo=True, lives=1)
        assert real(hardware, NAMESPACE)["spec"]["consumerRef"] == MACHINE

        async def ended() -> bool:
            return await cluster.workloads() == []

        await eventually(ended)
        assert (await adopt(cluster, hardware, undo=True)).done == ["h1"]
        assert names.HANDED_BACK not in real(hardware, NAMESPACE)["metadata"]["annotations"]
        assert hardware.bmo.log == []


async def test_a_workload_that_its_tenant_creates_first_gets_the_host(tmp_path: Path) -> None:
    async with clusters(tmp_path) as (hardware, cluster):
        runs(hardware)
        await eventually(lambda: known(cluster))
        await cluster.create("web", hostSelector={"matchLabels": {"a": "b"}})
        assert (await adopt(cluster, hardware, "h1", workload="web")).done == ["h1"]
        assert (await cluster.workload("web"))["status"]["host"]["name"] == "h1"
        assert hardware.bmo.log == []


async def test_no_mark_on_a_real_host_ends_a_workload_that_has_another_machine(tmp_path: Path) -> None:
    async with clusters(tmp_path) as (hardware, cluster):
        for name in ("h1", "h2"):
            hardware.api.put(BMH, bmh(name))
        await eventually(lambda: known(cluster))
        await cluster.create("db", hostSelector={"matchLabels": {}}, image=IMAGE)

        async def has_a_host() -> bool:
            return bool(((await cluster.workload("db")).get("status") or {}).get("host"))

        await eventually(has_a_host)
        workload = await cluster.workload("db")
        mine = workload["status"]["host"]["name"]
        other = {"h1": "h2", "h2": "h1"}[mine]
        annotations = {names.HANDED_BACK: workload["metadata"]["uid"]}
        hardware.api.edit(BMH, other, {"metadata": {"annotations": annotations}}, "metal3")
        said = Lines()
        for options in ({"dry_run": True}, {}):
            assert (await adopt(cluster, hardware, undo=True, said=said, **options)).failed == [other]
            assert f"names the Workload {NAMESPACE}/db, which has another machine" in said.pop()
        namespace = await cluster.admin.get(kinds.NAMESPACES, NAMESPACE)
        identity = real(hardware, name=mine)["metadata"]["annotations"].get(names.MANAGEMENT, "")
        record = Adoption(identity, NAMESPACE, namespace["metadata"]["uid"], "db").encode()
        annotations = {names.HANDED_BACK: None, names.ADOPTION: record}
        hardware.api.edit(BMH, other, {"metadata": {"annotations": annotations}}, "metal3")
        await adopt(cluster, hardware, undo=True, said=said)
        assert "deletionTimestamp" not in (await cluster.workload("db"))["metadata"]
        assert names.ADOPTION not in real(hardware, name=other)["metadata"]["annotations"]


async def test_credentials_are_never_copied_to_a_tenant(tmp_path: Path) -> None:
    async with clusters(tmp_path) as (hardware, cluster):
        hardware.api.put(SECRETS, secret("h1-bmc", "metal3", password="x"))
        hardware.api.put(SECRETS, secret("c1-kubeconfig", "metal3", value="x"))
        hardware.api.put(SECRETS, secret("elsewhere", "kube-system", userData="x"))
        for name, namespace in (("h1-bmc", "metal3"), ("c1-kubeconfig", "metal3"), ("elsewhere", "kube-system")):
            runs(hardware, userData={"name": name, "namespace": namespace}, bmc={"address": "", "credentialsName": "h1-bmc"})
            await eventually(lambda: known(cluster))
            said = Lines()
            assert (await adopt(cluster, hardware, "h1", copy_secrets=True, said=said)).failed == ["h1"]
            assert f"{namespace}/{name}" in said[-1]
            assert (await cluster.admin.find(kinds.SECRETS, name, NAMESPACE)) is None

"""Check what a Workload leaves behind where the owner has intervened: copied secrets, and a
charge."""

from __future__ import annotations

from tests.unit.controllers.clusters import BMH, HOSTS, SECRETS, WORKLOADS, TwoClusters, controllers, secret, workload
from tests.unit.controllers.fakeapi import Failure, eventually


async def install(clusters: TwoClusters) -> str:
    """Run a Workload with first-boot data, and return the name of its Host."""
    clusters.management.put(SECRETS, secret("boot", "team-a", userData="#cloud-config"))
    clusters.management.put(WORKLOADS, workload("web", userData={"name": "boot"}))
    await eventually(lambda: clusters.phase("web") == "Running")
    assert clusters.hardware.all(SECRETS)
    return clusters.host_object("h1")


async def test_copied_secrets_go_with_the_real_host(clusters: TwoClusters) -> None:
    async with controllers(clusters):
        name = await install(clusters)
        clusters.hardware.remove(BMH, "h1", "metal3")
        await eventually(lambda: clusters.management.get(HOSTS, name)["status"]["reason"] == "HostGone")
        await eventually(lambda: clusters.hardware.all(SECRETS) == [])
        await eventually(lambda: clusters.phase("web") == "Lost")


async def test_copied_secrets_are_deleted_with_the_workload_though_its_host_went_unseen(clusters: TwoClusters) -> None:
    async with controllers(clusters):
        name = await install(clusters)
    clusters.hardware.remove(BMH, "h1", "metal3")
    clusters.management.edit(HOSTS, name, {"spec": {"claimRef": None, "view": None}})
    clusters.management.edit(WORKLOADS, "web", {"status": {"host": None, "phase": "Lost"}}, "team-a")
    async with controllers(clusters):
        await eventually(lambda: clusters.management.find(HOSTS, name) is None)
        assert clusters.hardware.all(SECRETS), "the Workload has them still"
        clusters.request_deletion("web")
        await eventually(lambda: clusters.management.find(WORKLOADS, "web", "team-a") is None)
        assert clusters.hardware.all(SECRETS) == []


async def test_copied_secrets_stay_with_a_host_that_was_taken_back(clusters: TwoClusters) -> None:
    async with controllers(clusters):
        name = await install(clusters)
        clusters.management.edit(WORKLOADS, "web", {"status": {"host": None, "phase": "Lost"}}, "team-a")
        clusters.management.edit(HOSTS, name, {"spec": {"claimRef": None, "view": None}})
        await eventually(lambda: clusters.management.get(HOSTS, name)["status"].get("reason") == "Orphaned")
        clusters.request_deletion("web")
        await eventually(lambda: clusters.management.find(WORKLOADS, "web", "team-a") is None)
        assert clusters.hardware.all(SECRETS), "the real host names them"
        clusters.hardware.edit(BMH, "h1", {"spec": {"image": None, "consumerRef": None}}, "metal3")
        await eventually(lambda: clusters.hardware.all(SECRETS) == [])


async def test_a_source_that_is_away_keeps_no_workload_from_ending(clusters: TwoClusters) -> None:
    async with controllers(clusters):
        name = await install(clusters)
        clusters.management.edit(WORKLOADS, "web", {"status": {"host": None, "phase": "Lost"}}, "team-a")
        clusters.management.edit(HOSTS, name, {"spec": {"claimRef": None, "view": None}})
        clusters.hardware.remove(BMH, "h1", "metal3")
        await eventually(lambda: clusters.management.find(HOSTS, name) is None)
        clusters.hardware.fail = lambda verb, path: Failure(503, "ServiceUnavailable", "away")
        clusters.request_deletion("web")
        await eventually(lambda: clusters.management.find(WORKLOADS, "web", "team-a") is None)


async def test_a_charge_ends_whatever_else_is_written_meanwhile(clusters: TwoClusters) -> None:
    charge = {"namespace": "team-a", "name": "web", "uid": "gone", "unhealthy": False}
    async with controllers(clusters):
        await eventually(lambda: clusters.management.all(HOSTS)[0]["spec"].get("offers") is not None)
        name = clusters.host_object("h1")

        def somebody_writes(verb: str, path: str) -> None:
            if verb == "PATCH" and path.endswith(f"/hosts/{name}"):
                clusters.management.fail = lambda verb, path: None
                clusters.management.edit(HOSTS, name, {"metadata": {"annotations": {"owner": "was-here"}}})

        # A report that the host is available would end the charge by itself.
        clusters.hardware.edit(BMH, "h1", {"metadata": {"annotations": {"baremetalhost.metal3.io/paused": ""}}}, "metal3")
        await eventually(lambda: not clusters.management.get(HOSTS, name)["status"]["available"])
        clusters.management.fail = somebody_writes
        clusters.management.edit(HOSTS, name, {"spec": {"chargedTo": charge}})
        await eventually(lambda: "chargedTo" not in clusters.management.get(HOSTS, name)["spec"])
        assert clusters.management.get(HOSTS, name)["metadata"]["annotations"] == {"owner": "was-here"}
        assert not clusters.management.conflicts

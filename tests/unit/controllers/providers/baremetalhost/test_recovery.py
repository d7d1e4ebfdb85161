"""Check what a recovery shows, creates and refuses, without a server that binds Workloads."""

from __future__ import annotations

from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any

import orjson
import pytest

from apiserver.client.client import Client
from controllers.providers.baremetalhost import names
from controllers.providers.baremetalhost.recovery import Recoverer, check_classes
from controllers.recovery import Options, Summary
from controllers.resumable import Blocked
from tests.unit.controllers.clusters import BMH, CLASSES, HOSTS, WORKLOADS, TwoClusters, bmh, controllers, two_clusters, workload
from tests.unit.controllers.fakeapi import Failure, eventually
from tests.unit.controllers.reporters import Lines

if TYPE_CHECKING:
    from collections.abc import AsyncIterator


@pytest.mark.parametrize(
    ("present", "wanted", "word"),
    [(set(), set(), "create the classes"), ({"metal"}, {"metl"}, "metl: correct --class"), ({"metal"}, {"metal", "b", "a"}, "a, b")],
)
def test_a_class_that_does_not_exist_is_no_success(present: set[str], wanted: set[str], word: str) -> None:
    with pytest.raises(Blocked, match=word):
        check_classes(present, wanted)


def test_classes_that_exist_are_recovered() -> None:
    check_classes({"metal"}, set())
    check_classes({"metal", "vms"}, {"metal"})


@asynccontextmanager
async def lost(**spec: Any) -> AsyncIterator[TwoClusters]:
    """Yield clusters whose store has lost the Workload "web" and its Host, with controllers."""
    async with two_clusters() as clusters:
        clusters.hardware.put(BMH, bmh("h1"))
        async with controllers(clusters):
            clusters.management.put(WORKLOADS, workload("web", **spec))
            await eventually(lambda: clusters.phase("web") == "Running")
        clusters.management.remove(WORKLOADS, "web", "team-a")
        clusters.management.remove(HOSTS, clusters.host_object("h1"))
        async with controllers(clusters):
            await eventually(lambda: reason(clusters) == "Orphaned")
            yield clusters


def reason(clusters: TwoClusters) -> str:
    host = clusters.management.find(HOSTS, clusters.host_object("h1"))
    return str(((host or {}).get("status") or {}).get("reason"))


async def recover(clusters: TwoClusters, **options: Any) -> tuple[Summary, str]:
    """Run the recovery. Return its result and its output."""
    lines = Lines()
    async with Client(clusters.management.kubeconfig) as management:
        summary = await Recoverer(management, Options(**{"timeout": 0.0, **options}), lines).run()
    return summary, "\n".join(lines)


def forge(clusters: TwoClusters, **record: Any) -> None:
    """Write a record, which every user can who may write to the hardware cluster."""
    found = orjson.loads(clusters.host("h1")["metadata"]["annotations"][names.RECORD])
    annotation = {names.RECORD: orjson.dumps({**found, **record}).decode()}
    clusters.hardware.edit(BMH, "h1", {"metadata": {"annotations": annotation}}, "metal3")


async def test_a_dry_run_shows_what_would_be_created() -> None:
    async with lost() as clusters:
        summary, printed = await recover(clusters, dry_run=True)
        assert summary.waiting == ["team-a/web"]
        for words in ("metal3/h1", "class metal", "image http://images.example/os.qcow2"):
            assert words in printed
        assert names.RECOVER not in clusters.host("h1")["metadata"]["annotations"]


async def test_a_forged_record_gives_no_other_class_and_installs_nothing() -> None:
    async with lost() as clusters:
        forge(clusters, spec={"className": "gold", "image": {"url": "https://evil.example/os"}})
        _, printed = await recover(clusters)
        made = clusters.workload("web")["spec"]
        assert (made["className"], made["image"]["url"]) == ("metal", "http://images.example/os.qcow2")
        assert "names the class gold" in printed


async def test_a_host_that_the_class_does_not_select_is_not_given_back() -> None:
    async with lost() as clusters:
        clusters.management.edit(CLASSES, "metal", {"spec": {"hostSelector": {"matchLabels": {"size": "xl"}}}})
        summary, printed = await recover(clusters)
        assert summary.failed == ["team-a/web"]
        assert "does not select it" in printed
        mark = {names.RECOVER: clusters.host("h1")["metadata"]["labels"][names.WORKLOAD_UID]}
        clusters.hardware.edit(BMH, "h1", {"metadata": {"annotations": mark, "labels": {"seen": "yes"}}}, "metal3")
        await eventually(lambda: "seen" in str(clusters.management.get(HOSTS, clusters.host_object("h1"))["status"]["report"]))
        assert reason(clusters) == "Orphaned", "a mark that anybody can write holds it for nobody"


async def test_one_refused_workload_keeps_no_other_from_its_host() -> None:
    async with lost() as clusters:

        def refuse(verb: str, path: str) -> Failure | None:
            return Failure(422, "Invalid", "spec.x: no") if verb == "POST" and path.endswith("/workloads") else None

        clusters.management.fail = refuse
        summary, printed = await recover(clusters)
        assert (summary.failed, summary.waiting) == (["team-a/web"], [])
        assert "--no-create" in printed


async def test_a_workload_that_two_hosts_name_gets_neither() -> None:
    """Otherwise, a user who may write to the hardware cluster could give a tenant a forged host."""
    async with lost() as clusters:
        genuine = clusters.host("h1")
        forged = bmh("h2", consumerRef=genuine["spec"]["consumerRef"], image=genuine["spec"]["image"])
        forged["metadata"]["labels"] |= genuine["metadata"]["labels"]
        forged["metadata"]["annotations"] |= genuine["metadata"]["annotations"]
        clusters.hardware.put(BMH, forged)
        await eventually(lambda: len(clusters.management.all(HOSTS)) == 2)
        summary, printed = await recover(clusters)
        assert summary.failed == ["team-a/web"] * 2
        assert "(metal3/h1, metal3/h2)" in printed
        assert clusters.management.all(WORKLOADS) == []
        assert names.RECOVER not in clusters.host("h1")["metadata"]["annotations"]

"""Follow the life of an installation over SQLite from a release's files alone, as
docs/installing.md describes it, on control planes without anything of the project. Its commands run
as they are written. The tests build on each other, in this order. test_ha.py follows that of
several replicas."""

from __future__ import annotations

import json
import shlex
import threading
from typing import TYPE_CHECKING

import pytest

from tests.integration.objects import workload
from tests.integration.running import ADMIN, OWNER, ROOT, eventually
from tests.release.installation import (
    BLOCK,
    GROUP,
    HOSTS,
    SERVER,
    SYSTEM,
    TENANT,
    Installation,
    bare_metal_hosts,
    commands,
    nothing_is_left,
    prepared,
    section,
    steps,
    versions,
)

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from tests.release.network import Network
    from tests.release.oci import Image

PAUSED = "baremetalhost.metal3.io/paused"


@pytest.fixture(scope="module")
def installation(network: Network, image: Image, release: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Installation]:
    """Install as the guide says, and yield the installation."""
    with prepared(tmp_path_factory.mktemp("install"), image, release) as made:
        made.follow(commands("Install"), {"kubectl apply -f install.yaml": made.roll_out})
        yield made


def test_a_tenants_workload_runs(installation: Installation) -> None:
    installation.kubectl("create", "-f", "-", stdin=workload("web"))
    installation.kubectl("wait", "workload/web", "--for=jsonpath={.status.phase}=Running", "--timeout=120s")
    installation.kubectl("wait", "workload/web", "--for=condition=Ready", "--timeout=60s")
    assert len(installation.cluster.items(ADMIN, f"hosts.{GROUP}")) == HOSTS


def test_while_no_replica_answers_a_namespace_stays_and_the_guide_says_as_what(installation: Installation) -> None:
    cluster, node = installation.cluster, installation.node
    node.stop(SERVER)
    cluster.kubectl(ADMIN, "create", "namespace", "unrelated")
    cluster.kubectl(ADMIN, "delete", "namespace", "unrelated", "--wait=false")
    condition = "NamespaceDeletionDiscoveryFailure"
    cluster.kubectl(ADMIN, "wait", "namespace/unrelated", f"--for=condition={condition}", "--timeout=60s")
    guide = (ROOT / "docs" / "installing.md").read_text()
    assert guide.index("stops the deletion of every namespace") < guide.index(condition) < guide.index("\n## Install\n")
    node.roll_out(SYSTEM, SERVER)
    cluster.kubectl(ADMIN, "wait", "namespace/unrelated", "--for=delete", "--timeout=120s")


def test_an_upgrade_writes_nothing_to_what_runs(installation: Installation) -> None:
    before = versions(installation)
    installation.run(commands("Upgrade")[0])
    installation.roll_out()
    installation.kubectl("wait", "workload/web", "--for=condition=Ready", "--timeout=60s")
    installation.kubectl("create", "-f", "-", stdin=workload("second"))
    installation.kubectl("wait", "workload/second", "--for=jsonpath={.status.phase}=Running", "--timeout=120s")
    after = versions(installation)
    host = installation.cluster.get(ADMIN, "workload", "-n", TENANT, "web")["status"]["host"]["name"]
    kept = {name for name in before if name in ("Workload web", f"BareMetalHost {host}")}
    assert len(kept) == 2
    assert {name: after[name] for name in kept} == {name: before[name] for name in kept}


class Counter(threading.Thread):
    """Writes numbers to a Workload, one after the other. `written`: the last acknowledged one."""

    def __init__(self, installation: Installation, name: str) -> None:
        super().__init__()
        self.installation, self.workload, self.written, self.ended = installation, name, 0, threading.Event()

    def run(self) -> None:
        """Write until the end of the block."""
        while not self.ended.is_set():
            self.installation.kubectl("label", "workload", self.workload, f"counter={self.written + 1}", "--overwrite")
            self.written += 1

    def __enter__(self) -> Counter:
        self.start()
        return self

    def __exit__(self, *error: object) -> None:
        self.ended.set()
        self.join()


def test_a_store_that_was_lost_comes_back_from_its_backup(installation: Installation) -> None:
    cluster, node = installation.cluster, installation.node
    volume = node.folder / "volumes" / SERVER
    installation.kubectl("create", "-f", "-", stdin=workload("waiting"))  # no host is free
    with Counter(installation, "waiting") as counter:
        eventually(lambda: counter.written > 2)
        least = counter.written
        installation.follow(steps("A backup at once"), {" create job ": lambda: node.complete(SYSTEM, "before-upgrade")})
        most = counter.written + 1
        eventually(lambda: counter.written > most)
    installation.kubectl("create", "-f", "-", stdin=workload("younger"))
    before = versions(installation)

    # The server runs, and so has the database.
    installation.run("kubectl create -f restore.yaml")
    with pytest.raises(AssertionError, match=r"store\.db is in use by process"):
        node.complete(SYSTEM, "metal3-workloads-restore")
    installation.run("kubectl delete -f restore.yaml")

    def lost() -> None:
        installation.stop()
        for file in volume.iterdir():
            file.unlink()

    happens = {
        "--replicas=0": lost,
        "create -f restore.yaml": lambda: node.complete(SYSTEM, "metal3-workloads-restore"),
        "--replicas=1": installation.roll_out,
    }
    installation.follow(steps("Restoring"), happens)
    for name in ("web", "second"):
        installation.kubectl("wait", f"workload/{name}", "--for=condition=Ready", "--timeout=60s")
    workloads = {item["metadata"]["name"]: item for item in cluster.items(ADMIN, "workloads", "-A")}
    assert workloads.keys() == {"web", "second", "waiting"}
    assert least <= int(workloads["waiting"]["metadata"]["labels"]["counter"]) <= most
    after = versions(installation)
    machines = {name for name in before if name.startswith("BareMetalHost ")}
    assert len(machines) == HOSTS
    assert {name: after[name] for name in machines} == {name: before[name] for name in machines}
    assert {host["status"]["provisioning"]["state"] for host in bare_metal_hosts(installation)} == {"provisioned"}
    installation.kubectl("delete", "workload", "waiting", "--timeout=60s")


def test_what_a_restore_has_moved_aside_is_deleted_as_the_guide_says(installation: Installation) -> None:
    volume = installation.node.folder / "volumes" / SERVER
    (volume / "store.db.replaced").write_bytes(b"an earlier database")
    (line,) = steps("After a restore")
    done = installation.node.pods[SERVER][0].execute(*shlex.split(line.partition(" -- ")[2]))
    assert done.returncode == 0, done.stderr
    assert not (volume / "store.db.replaced").exists()


def test_an_uninstallation_that_waits_says_for_what_and_continues_in_both_ways(installation: Installation) -> None:
    cluster = installation.cluster
    bare = {item["spec"]["consumerRef"]["name"]: item["metadata"]["name"] for item in bare_metal_hosts(installation)}
    for name in bare.values():
        cluster.kubectl(OWNER, "annotate", "baremetalhost", "-n", "metal3", name, f"{PAUSED}=")
    sets, delete, progress, wait = commands("Uninstall")[:4]
    installation.run(sets)
    installation.run(delete)
    eventually(lambda: installation.run(progress).count("paused") == 2)
    with pytest.raises(AssertionError, match="timed out"):
        installation.run(wait.replace("30m", "2s"))
    cluster.kubectl(OWNER, "annotate", "baremetalhost", "-n", "metal3", bare["web"], f"{PAUSED}-")
    (claimed,) = (
        item["metadata"]["name"] for item in cluster.items(ADMIN, f"hosts.{GROUP}") if item["spec"]["source"]["name"] == bare["second"]
    )
    (give_up,) = BLOCK.findall(section("installing.md", "When a Workload does not disappear"))
    installation.run(give_up.replace("HOST", claimed))
    installation.run(wait)
    host = ("baremetalhost", "-n", "metal3", bare["second"])
    assert cluster.get(OWNER, *host)["status"]["provisioning"]["state"] == "provisioned", "the machine is as it was"
    eventually(lambda: "clear spec.image" in cluster.get(ADMIN, f"hosts.{GROUP}", claimed)["status"]["message"])
    # What the message says, and what the owner does once the machine may be emptied.
    freed = {"spec": {"image": None, "customDeploy": None, "consumerRef": None}, "metadata": {"annotations": {PAUSED: None}}}
    cluster.kubectl(OWNER, "patch", *host, "--type=merge", "-p", json.dumps(freed))
    eventually(lambda: cluster.get(OWNER, *host)["status"]["provisioning"]["state"] == "available")
    eventually(lambda: cluster.get(ADMIN, f"hosts.{GROUP}", claimed)["status"]["available"])


def test_uninstalled_in_order_nothing_is_left(installation: Installation) -> None:
    installation.follow(commands("Uninstall"), {"kubectl delete -f install.yaml": installation.stop})
    nothing_is_left(installation)

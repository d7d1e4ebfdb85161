"""Follow the life of an installation from a release's files alone, as docs/installing.md describes
it, on control planes without anything of the project. Its commands run as they are written. The
tests build on each other, in this order."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
import threading
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from tests.integration import running
from tests.integration.objects import workload
from tests.integration.running import ADMIN, OWNER, ROOT, Running, eventually
from tests.release.kubelet import Kubelet

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence

    from tests.release.oci import Image

SYSTEM, TENANT = "metal3-workloads-system", "tenant"
SERVER, CONTROLLERS = "metal3-workloads-apiserver", "metal3-workloads-controllers"
HOSTS = 2
GROUP = "workload.metal3.io"
COMMAND = re.compile(r"^ *\$ (.+)$", re.MULTILINE)
BLOCK = re.compile(r"^```sh\n(.*?)^```", re.DOTALL | re.MULTILINE)


def section(page: str, title: str) -> str:
    """A section of a page."""
    text = (ROOT / "docs" / page).read_text()
    found = re.search(rf"^##+ {title}\n(.*?)(?=^##|\Z)", text, re.DOTALL | re.MULTILINE)
    assert found is not None
    return found[1]


def commands(title: str) -> list[str]:
    """Return the commands of a section of the guide."""
    return COMMAND.findall(section("installing.md", title))


def steps(title: str) -> list[str]:
    """Return the commands of a section about operating, without those that only show a log."""
    blocks = "".join(BLOCK.findall(section("operating.md", title)))
    return [line for line in blocks.splitlines() if " logs " not in line]


class Installation:
    """Hold a cluster, the node that runs its pods, and a folder with the release's files."""

    def __init__(self, cluster: Running, image: Image, files: Path) -> None:
        self.cluster, self.files = cluster, files
        self.node = Kubelet(cluster, image)

    def follow(self, lines: Sequence[str], happens: Mapping[str, Callable[[], object]]) -> None:
        """Run commands. `happens` maps a part of a command to what a cluster with nodes would do
        after it."""
        for command in lines:
            self.run(command)
            for part, then in happens.items():
                if part in command:
                    then()

    def run(self, command: str) -> str:
        """Run one command in the folder of the files, and return its output."""
        environment = {
            "PATH": f"{self.cluster.tools}:{os.environ['PATH']}",
            "HOME": str(self.cluster.root),
            "KUBECONFIG": self.cluster.kubeconfig(ADMIN),
            "HARDWARE": self.cluster.kubeconfig(OWNER),
        }
        argv = ["bash", "-euo", "pipefail", "-c", command]
        done = subprocess.run(argv, cwd=self.files, env=environment, capture_output=True, text=True, timeout=300, check=False)
        assert done.returncode == 0, f"{command}: {done.stderr}{done.stdout}"
        return done.stdout

    def start(self) -> None:
        """Run the pods, as the Deployment controller, kube-scheduler and the kubelet do."""
        for name in (SERVER, CONTROLLERS):
            self.node.run(SYSTEM, name)

    def stop(self) -> None:
        """Stop the pods, as these do for Deployments that are deleted or recreated."""
        for name in (CONTROLLERS, SERVER):
            self.node.stop(name)

    def replace(self) -> None:
        """Replace the pods, as a rollout with the strategy Recreate does."""
        self.stop()
        self.start()

    def kubectl(self, *arguments: str, stdin: Any = None) -> str:
        """Run kubectl as the tenant."""
        return self.cluster.kubectl(ADMIN, "--as", TENANT, "-n", TENANT, *arguments, stdin=stdin)


@pytest.fixture(scope="module")
def installation(network: None, image: Image, release: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Installation]:
    """Install as the guide says, and yield the installation."""
    folder = tmp_path_factory.mktemp("install")
    shutil.copytree(release, folder / "files")
    made = None
    try:
        cluster = running.start(folder / "cluster", "--server", "off", "--overlay", "none", "--tenants", "", "--hosts", str(HOSTS))
        made = Installation(cluster, image, folder / "files")
        with simulated_bmo(cluster):
            made.follow(commands("Install"), {"kubectl apply -f install.yaml": made.start})
            yield made
    finally:
        if made is not None:
            made.node.close()
        running.stop(folder / "cluster")


def simulated_bmo(cluster: Running) -> subprocess.Popen[bytes]:
    """Start the process that drives the hosts of the hardware cluster."""
    program = Path(sys.executable).with_name("metal3-workloads")
    argv = [str(program), "simulate-bmo", "--kubeconfig", cluster.kubeconfig(OWNER), "--namespace", "metal3", "--speed", "0.05"]
    return Simulated(argv, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)


class Simulated(subprocess.Popen[bytes]):
    """End the process with its block."""

    def __exit__(self, *error: object) -> None:
        self.terminate()
        super().__exit__(None, None, None)


def bare_metal_hosts(installation: Installation) -> list[dict[str, Any]]:
    return installation.cluster.items(OWNER, "baremetalhosts", "-n", "metal3")


def versions(installation: Installation) -> dict[str, str]:
    """Return the version of every object that says what runs on which machine."""
    items = [
        *installation.cluster.items(ADMIN, "workloads", "-A"),
        *installation.cluster.items(ADMIN, f"hosts.{GROUP}"),
        *bare_metal_hosts(installation),
    ]
    return {f"{item['kind']} {item['metadata']['name']}": item["metadata"]["resourceVersion"] for item in items}


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
    node.run(SYSTEM, SERVER)
    cluster.kubectl(ADMIN, "wait", "namespace/unrelated", "--for=delete", "--timeout=120s")


def test_an_upgrade_writes_nothing_to_what_runs(installation: Installation) -> None:
    before = versions(installation)
    installation.run(commands("Upgrade")[0])
    installation.replace()
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
        "--replicas=1": installation.start,
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


def test_uninstalled_in_order_nothing_is_left(installation: Installation) -> None:
    cluster = installation.cluster
    installation.follow(commands("Uninstall"), {"kubectl delete -f install.yaml": installation.stop})
    for host in bare_metal_hosts(installation):
        assert "consumerRef" not in host["spec"]
        assert not [name for name in (*host["metadata"].get("annotations", {}), *host["metadata"].get("finalizers", ())) if GROUP in name]
        assert host["status"]["provisioning"]["state"] == "available"
    assert not [item for item in cluster.items(OWNER, "secrets", "-n", "metal3") if GROUP in str(item["metadata"].get("labels"))]
    names = [item["metadata"]["name"] for item in cluster.items(ADMIN, "apiservices")]
    assert not [name for name in names if "metal3.io" in name]
    for kind in ("clusterroles", "clusterrolebindings", "namespaces"):
        assert cluster.items(ADMIN, kind, "-l", "app.kubernetes.io/part-of=metal3-workloads") == []
    assert cluster.items(ADMIN, "rolebindings", "-n", "kube-system", "-l", "app.kubernetes.io/part-of=metal3-workloads") == []
    cluster.kubectl(ADMIN, "delete", "namespace", TENANT, "--timeout=60s")
    eventually(lambda: SYSTEM not in cluster.kubectl(ADMIN, "get", "namespaces", "-o", "name"))

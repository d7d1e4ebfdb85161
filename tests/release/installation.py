"""Run the guides' commands as an operator does: with the files of a release, on control planes in
which nothing of the project is installed."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tests.integration import running
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
    """Return a section of a page."""
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
    """A cluster, the node that runs its pods, and a folder with the release's files."""

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

    def roll_out(self) -> None:
        """Run the pods that the Deployments want, in the place of those that run, as the Deployment
        controller, kube-scheduler and the kubelet do. Old pods may still be ending afterwards."""
        for name in (SERVER, CONTROLLERS):
            self.node.roll_out(SYSTEM, name)

    def stop(self) -> None:
        """Stop the pods, as the Deployment controller and the kubelet do for Deployments that are
        deleted or scaled to zero."""
        self.terminate()
        self.node.settle()

    def terminate(self) -> None:
        """Ask the pods to end, and do not wait for that."""
        for name in (CONTROLLERS, SERVER):
            self.node.terminate(name)

    def kubectl(self, *arguments: str, stdin: Any = None) -> str:
        """Run kubectl as the tenant."""
        return self.cluster.kubectl(ADMIN, "--as", TENANT, "-n", TENANT, *arguments, stdin=stdin)


@contextmanager
def prepared(folder: Path, image: Image, release: Path, hosts: int = HOSTS) -> Iterator[Installation]:
    """Yield an installation before its first command: control planes with simulated hardware, a
    node, and a copy of the release's files."""
    shutil.copytree(release, folder / "files")
    made = None
    try:
        cluster = running.start(folder / "cluster", "--server", "off", "--overlay", "none", "--tenants", "", "--hosts", str(hosts))
        made = Installation(cluster, image, folder / "files")
        with simulated_bmo(cluster):
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
    """Return the resourceVersion of every object that states what runs on which machine."""
    items = [
        *installation.cluster.items(ADMIN, "workloads", "-A"),
        *installation.cluster.items(ADMIN, f"hosts.{GROUP}"),
        *bare_metal_hosts(installation),
    ]
    return {f"{item['kind']} {item['metadata']['name']}": item["metadata"]["resourceVersion"] for item in items}


def nothing_is_left(installation: Installation) -> None:
    """Assert that no object of the project is left in either cluster, and that namespaces can be
    deleted."""
    cluster = installation.cluster
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

"""Check what the image contains, and run both Deployments of the manifests from it beside a real
kube-apiserver."""

from __future__ import annotations

import json
import os
import re
import subprocess
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
import yaml

from hack.release.pins import pinned
from tests.integration import running
from tests.integration.running import ADMIN, ROOT, Running, eventually
from tests.release.kubelet import Kubelet

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.release.network import Network
    from tests.release.oci import Image

SYSTEM = "metal3-workloads-system"
SERVER, CONTROLLERS = "metal3-workloads-apiserver", "metal3-workloads-controllers"
USER = 65532
ELF_MACHINES = {"amd64": 62, "arm64": 183}
PINS = pinned(ROOT / "requirements.txt")
SBOM = "usr/share/metal3-workloads/sbom.cdx.json"


def files(image: Image, folder: str = "") -> Iterator[Path]:
    """Yield the regular files of an image."""
    for parent, _, names in os.walk(image.root / folder):
        yield from (path for name in names if (path := Path(parent, name)).is_file() and not path.is_symlink())


def head(path: Path) -> bytes:
    """Return the beginning of a file, which for an ELF file names the machine."""
    with path.open("rb") as file:
        return file.read(20)


def test_an_image_has_the_pinned_packages_and_no_others(images: dict[str, Image]) -> None:
    for arch, image in images.items():
        bill = json.loads((image.root / SBOM).read_text())
        assert (bill["bomFormat"], bill["metadata"]["component"]["name"]) == ("CycloneDX", "metal3-workloads")
        assert {part["name"]: part["version"] for part in bill["components"]} == PINS, arch
        assert all(part["purl"] == f"pkg:pypi/{part['name']}@{part['version']}" for part in bill["components"])
        library = next((image.root / "opt/metal3-workloads/lib").glob("python3.*/site-packages"))
        there = {path.name.partition("-")[0].lower().replace("_", "-") for path in library.glob("*.dist-info")}
        assert there == {*PINS, "metal3-workloads"}


def test_each_architecture_has_its_own_machine_code(images: dict[str, Image]) -> None:
    assert set(images) == set(ELF_MACHINES)
    for arch, image in images.items():
        code = {path: content for path in files(image) if (content := head(path))[:4] == b"\x7fELF"}
        assert len(code) > 100
        assert [path for path, begin in code.items() if int.from_bytes(begin[18:20], "little") != ELF_MACHINES[arch]] == []


def test_an_image_has_no_shell_no_pip_and_nothing_setuid(images: dict[str, Image]) -> None:
    for image in images.values():
        names = {path.name for path in files(image)}
        assert not names & {"sh", "bash", "dash", "busybox", "pip", "pip3", "gcc", "apt", "apt-get"}
        assert [path for path in files(image) if path.stat().st_mode & 0o6000] == []


def test_an_image_has_nothing_of_the_checkout_but_the_product(image: Image) -> None:
    assert not any((image.root / name).exists() for name in ("src", "build", "out"))
    for folder in ("tests", "hack"):
        assert not list(image.root.glob(f"opt/metal3-workloads/lib/python3.*/site-packages/{folder}"))


def test_its_labels_and_settings(images: dict[str, Image]) -> None:
    commit = subprocess.run(["git", "rev-parse", "HEAD"], cwd=ROOT, stdout=subprocess.PIPE, text=True, check=True).stdout.strip()
    for image in images.values():
        labels = {name.removeprefix("org.opencontainers.image."): value for name, value in image.config["Labels"].items()}
        assert (labels["title"], labels["licenses"], labels["revision"]) == ("metal3-workloads", "Apache-2.0", commit)
        assert re.fullmatch(r"\d+\.\d+\.\d+", labels["version"])
        assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ", labels["created"])
        assert image.config["User"] == f"{USER}:{USER}"
        assert image.environment["METAL3_WORKLOADS_COMMIT"] == commit


def deployments(kubectl: Path, folder: str) -> list[dict[str, Any]]:
    """Return what an overlay installs."""
    made = subprocess.run([kubectl, "kustomize", ROOT / "manifests" / folder], stdout=subprocess.PIPE, check=True).stdout
    return list(yaml.safe_load_all(made))


@pytest.fixture(scope="module")
def node(network: Network, image: Image, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Kubelet]:
    """Start a cluster with the overlay for SQLite, and run both its pods."""
    folder = tmp_path_factory.mktemp("image") / "cluster"
    kubelet = None
    try:
        cluster = running.start(folder, "--server", "off", "--overlay", "none", "--tenants", "", "--hosts", "1")
        cluster.kubectl(ADMIN, "apply", "-f", "-", stdin=deployments(cluster.tools / "kubectl", "overlays/sqlite"))
        kubelet = Kubelet(cluster, image)
        kubelet.roll_out(SYSTEM, SERVER)
        kubelet.roll_out(SYSTEM, CONTROLLERS)
        yield kubelet
    finally:
        if kubelet is not None:
            kubelet.close()
        running.stop(folder)


def available(cluster: Running) -> bool:
    services = [item for item in cluster.items(ADMIN, "apiservices") if item["spec"].get("service")]
    conditions = [condition for item in services for condition in item["status"]["conditions"] if condition["type"] == "Available"]
    assert [condition["status"] for condition in conditions] == ["True", "True"], conditions
    return True


def test_both_deployments_run_as_the_manifests_say(node: Kubelet) -> None:
    eventually(lambda: available(node.cluster))
    for name in (SERVER, CONTROLLERS):
        pod = node.pod(name)
        assert pod.ready()
        status = dict(line.split(":\t", 1) for line in Path(f"/proc/{pid(node, name)}/status").read_text().splitlines() if ":\t" in line)
        assert set(status["Uid"].split()) == set(status["Gid"].split()) == {str(USER)}
        assert (status["CapEff"], status["CapBnd"], status["NoNewPrivs"]) == ("0" * 16, "0" * 16, "1")


def pid(node: Kubelet, name: str) -> int:
    """Return the pid of the container's first process, as the node sees it."""
    pod = node.pod(name)
    state = subprocess.run(["runc", "--root", str(pod.folder / "runc"), "state", pod.name], stdout=subprocess.PIPE, check=True).stdout
    return int(json.loads(state)["pid"])


def test_nothing_but_volumes_can_be_written(node: Kubelet) -> None:
    pod = node.pod(SERVER)
    for path, writable in (("/tmp/x", True), ("/var/lib/metal3-workloads/x", True), ("/x", False), ("/opt/metal3-workloads/x", False)):
        done = pod.execute("python", "-c", f"open({path!r}, 'w')")
        assert (done.returncode == 0) == writable, done.stderr
        assert writable or "Read-only file system" in done.stderr


def test_an_image_prints_the_commit_that_it_was_built_from(node: Kubelet) -> None:
    commit, date = (node.image.environment[f"METAL3_WORKLOADS_{name}"] for name in ("COMMIT", "DATE"))
    said = node.pod(SERVER).execute("metal3-workloads", "--version").stdout
    assert node.pod(SERVER).execute("kubectl-metal3", "--version").stdout == said
    assert "--timeout\t" in node.pod(SERVER).execute("kubectl_complete-metal3", "drain", "--ti").stdout
    assert commit in said
    assert date in said
    token = node.pod(CONTROLLERS).execute("python", "-c", "print(open('/var/run/secrets/kubernetes.io/serviceaccount/token').read())")
    script = (
        "import json, ssl, sys, urllib.request\n"
        "request = urllib.request.Request('https://127.0.0.1:6443/version', headers={'Authorization': 'Bearer ' + sys.argv[1].strip()})\n"
        "print(urllib.request.urlopen(request, context=ssl._create_unverified_context()).read().decode())"
    )
    answer = node.pod(SERVER).execute("python", "-c", script, token.stdout)
    assert answer.returncode == 0, answer.stderr
    info = json.loads(answer.stdout)
    assert (info["gitCommit"], info["buildDate"]) == (commit, date)


def test_tenants_kinds_are_served_through_kube_apiserver(node: Kubelet) -> None:
    eventually(lambda: available(node.cluster))
    resources = node.cluster.kubectl(ADMIN, "api-resources", "-o", "name").split()
    assert {"workloads.workload.metal3.io", "baremetalhosts.metal3.io"} <= set(resources)
    assert node.cluster.items(ADMIN, "workloads", "-A") == []


def test_a_restart_keeps_what_was_stored(node: Kubelet) -> None:
    made = {
        "apiVersion": "workload.metal3.io/v1alpha1",
        "kind": "Workload",
        "metadata": {"name": "kept", "namespace": "default"},
        "spec": {"image": {"url": "https://images.example.com/a.iso", "format": "live-iso"}},
    }
    node.cluster.kubectl(ADMIN, "create", "-f", "-", stdin=made)
    node.stop(SERVER)
    node.roll_out(SYSTEM, SERVER)
    eventually(lambda: available(node.cluster))
    assert node.cluster.get(ADMIN, "workload", "kept", "-n", "default")["metadata"]["name"] == "kept"
    node.cluster.kubectl(ADMIN, "delete", "workload", "kept", "-n", "default")

"""Follow the life of a highly available installation, from a release's files alone and on control
planes without anything of the project: two replicas over etcd are installed, upgraded, killed, lose
their store twice (first with a snapshot of it, then without) and are uninstalled, while a tenant's
machines run. The guides' commands run as they are written. The tests are one story: they build on each other, in this order."""

from __future__ import annotations

import itertools
import shlex
import shutil
import ssl
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
import yaml

from hack.realcluster.pki import LOOPBACK, Authority
from tests.integration.etcdserver import EtcdServer
from tests.integration.objects import workload
from tests.integration.running import ADMIN, OWNER, eventually
from tests.release.conftest import IMAGE, released
from tests.release.installation import (
    BLOCK,
    CONTROLLERS,
    GROUP,
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
from tests.release.kubelet import say
from tests.release.load import Load

if TYPE_CHECKING:
    import subprocess
    from collections.abc import Iterator

    from tests.release.kubelet import Pod
    from tests.release.network import Network
    from tests.release.oci import Image

HOSTS = 4
NEXT_DIGEST = "sha256:" + "fedcba9876543210" * 4
NAMESPACES = itertools.count()


@dataclass
class Story:
    """An installation, and the etcd of its operator."""

    installation: Installation
    etcd: EtcdServer

    def run(self, lines: list[str], **happens: Any) -> None:
        """Run the guide's commands for the file of this installation."""
        self.installation.follow([line.replace("install.yaml", "install-ha.yaml") for line in lines], happens)

    def leader(self) -> Pod:
        """Return the pod that leads the controllers."""
        holder = self.installation.cluster.get(ADMIN, "lease", "-n", SYSTEM, CONTROLLERS)["spec"]["holderIdentity"]
        (pod,) = (pod for pod in self.installation.node.pods[CONTROLLERS] if holder.startswith(f"{pod.name}_"))
        return pod

    def wait_running(self, *names: str) -> None:
        for name in names:
            self.installation.kubectl("wait", f"workload/{name}", "--for=jsonpath={.status.phase}=Running", "--timeout=120s")
            self.installation.kubectl("wait", f"workload/{name}", "--for=condition=Ready", "--timeout=60s")

    def namespaces_are_deleted(self) -> None:
        """Check that a namespace can be deleted."""
        name = f"unrelated-{next(NAMESPACES)}"
        self.installation.cluster.kubectl(ADMIN, "create", "namespace", name)
        self.installation.cluster.kubectl(ADMIN, "delete", "namespace", name, "--timeout=90s")

    def machines(self) -> dict[str, Any]:
        """Return what each real host runs, for which Workload, and since when."""
        found = {}
        for host in bare_metal_hosts(self.installation):
            spec, status = host["spec"], host["status"]
            started = ((status.get("operationHistory") or {}).get("provision") or {}).get("start")
            found[host["metadata"]["name"]] = (spec.get("consumerRef"), spec.get("image"), status["provisioning"]["state"], started)
        return found

    def hosts(self) -> dict[str, str]:
        """Return the host of each running Workload."""
        found = self.installation.cluster.items(ADMIN, "workloads", "-n", TENANT)
        return {item["metadata"]["name"]: item["status"]["host"]["name"] for item in found if item["status"].get("phase") == "Running"}

    def get(self, name: str) -> dict[str, Any]:
        """Return a Workload."""
        return self.installation.cluster.get(ADMIN, "workload", "-n", TENANT, name)

    def version(self, name: str) -> int:
        """Return the revision of a Workload's last write."""
        return int(self.get(name)["metadata"]["resourceVersion"])

    def of_web(self) -> dict[str, str]:
        """Return the versions of the Workload `web` and of its real host."""
        names = {"Workload web", f"BareMetalHost {self.hosts()['web']}"}
        found = {name: version for name, version in versions(self.installation).items() if name in names}
        assert len(found) == len(names)
        return found


def own_etcd(folder: Path, files: Path) -> EtcdServer:
    """Return an etcd that accepts client certificates only, and write what a client needs beside the release's files."""
    authority = Authority("etcd-ca")
    pair = authority.client("metal3-workloads").write(folder / "client")
    served = authority.server("etcd", LOOPBACK).write(folder / "server")
    (files / "ca.crt").write_bytes(authority.certificate)
    shutil.copyfile(pair.certificate, files / "tls.crt")
    shutil.copyfile(pair.key, files / "tls.key")
    context = ssl.create_default_context(cadata=authority.certificate.decode())
    context.load_cert_chain(pair.certificate, pair.key)
    tls = [f"--trusted-ca-file={files / 'ca.crt'}", f"--cert-file={served.certificate}", f"--key-file={served.key}"]
    return EtcdServer(folder, flags=["--client-cert-auth", *tls], scheme="https", context=context)


@pytest.fixture(scope="module")
def story(network: Network, image: Image, release: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Story]:
    """Install as the guide says, and yield the installation."""
    folder = tmp_path_factory.mktemp("ha")
    with prepared(folder, image, release, HOSTS) as installation:
        say("two control planes without anything of the project are ready")
        (folder / "etcd").mkdir()
        etcd = own_etcd(folder / "etcd", installation.files)
        try:
            etcd.start()
            installation.node.reachable.append(etcd.client_port)
            made = Story(installation, etcd)
            install(made)
            yield made
        finally:
            etcd.kill()


def install(story: Story) -> None:
    """Follow the guide from nothing to the first class."""
    say("installing")
    endpoints = story.etcd.endpoint.removeprefix("https://")
    for line in commands("Prepare etcd"):
        story.installation.run(line.replace("etcd-0.example.com:2379,etcd-1.example.com:2379,etcd-2.example.com:2379", endpoints))
    story.run(commands("Install"), **{"kubectl apply -f install-ha.yaml": story.installation.roll_out})


def test_two_replicas_of_each_program_run_and_one_leads(story: Story) -> None:
    for name in (SERVER, CONTROLLERS):
        pods = story.installation.node.pods[name]
        assert len(pods) == 2
        assert all(pod.ready() for pod in pods)
    assert story.leader().ready()
    services = story.installation.cluster.items(ADMIN, "endpointslices", "-n", SYSTEM)
    assert {len(item["endpoints"]) for item in services} == {2}


def test_a_tenants_workloads_run(story: Story) -> None:
    for name in ("web", "counted"):
        story.installation.kubectl("create", "-f", "-", stdin=workload(name))
    story.wait_running("web", "counted")
    story.namespaces_are_deleted()


def test_an_upgrade_loses_nothing_and_writes_nothing_to_what_runs(story: Story, tmp_path: Path) -> None:
    installation = story.installation
    next_release = released(tmp_path / "dist", NEXT_DIGEST)
    before, old = story.of_web(), [*installation.node.pods[SERVER], *installation.node.pods[CONTROLLERS]]
    with Load(installation.cluster, TENANT, "counted") as load:
        for file in next_release.iterdir():
            shutil.copyfile(file, installation.files / file.name)
        say("upgrading: a rolling update of both Deployments")
        story.run(commands("Upgrade"), **{"kubectl apply": installation.roll_out})
        eventually(lambda: load.watches > 1)  # the replica that it began at ends its watches
        load.go_on()
        story.namespaces_are_deleted()
    load.check()
    say(f"{len(load.written)} writes, {len(load.failures)} failures {load.failures}, the watch was opened {load.watches} times")
    assert not {pod.name for pod in old} & {pod.name for name in (SERVER, CONTROLLERS) for pod in installation.node.pods[name]}
    for name in (SERVER, CONTROLLERS):
        spec = installation.cluster.get(ADMIN, "deployment", "-n", SYSTEM, name)["spec"]["template"]["spec"]
        assert [container["image"] for container in spec["containers"]] == [f"{IMAGE}@{NEXT_DIGEST}"]
    assert story.of_web() == before
    story.wait_running("web", "counted")


def test_a_killed_replica_of_the_server_loses_nothing(story: Story) -> None:
    installation = story.installation
    node, before = installation.node, story.of_web()
    with Load(installation.cluster, TENANT, "counted") as load:
        for _ in range(2):
            say("killing a replica of the API server")
            node.fail(SYSTEM, SERVER, node.pods[SERVER][0])
            load.go_on()
            story.namespaces_are_deleted()
            say("another takes its place")
            node.replace(SYSTEM, SERVER)
            load.go_on()
    load.check()
    say(f"{len(load.written)} writes, {len(load.failures)} failures {load.failures}, the watch was opened {load.watches} times")
    assert load.watches > 1
    assert story.of_web() == before


def test_a_snapshot_is_restored_and_what_it_does_not_know_is_recovered(story: Story) -> None:
    """Lose the store with a snapshot that is older than the last writes. No machine may notice."""
    installation = story.installation
    snapshot = saved(story)
    installation.kubectl("create", "-f", "-", stdin=workload("newer"))
    installation.kubectl("label", "workload", "web", "written=later")
    story.wait_running("newer")
    machines, hosts, last = story.machines(), story.hosts(), story.version("newer")
    say("the data of etcd is lost, and restored from the snapshot")
    story.etcd.kill()
    story.etcd.restore(snapshot, *snapshot_options())
    story.etcd.start()
    available(story)
    eventually(lambda: sorted(story.hosts()) == ["counted", "web"], seconds=120)
    assert "written" not in (story.get("web")["metadata"].get("labels") or {})

    made = yaml.safe_load((installation.files / "class.yaml").read_text())
    name = made["metadata"]["name"]
    closed = '{"spec": {"allowedNamespaces": null}}'
    installation.cluster.kubectl(ADMIN, "patch", "workloadclass", name, "--type=merge", "-p", closed)
    eventually(lambda: orphaned(story) == [hosts["newer"]], seconds=120)
    recover(story)
    installation.run("kubectl apply -f class.yaml")
    eventually(lambda: story.hosts() == hosts, seconds=120)
    story.wait_running(*hosts)
    assert story.machines() == machines
    assert story.version("newer") > last, "a revision that a client has seen is not used again"


def saved(story: Story) -> Path:
    """Take a backup as the guide says, and return its file on the volume of the backups."""
    node = story.installation.node
    done = {" create job ": lambda: node.complete(SYSTEM, "before-upgrade")}
    story.installation.follow([line for line in steps("Backups of etcd") if "kubectl" in line][:3], done)
    (file,) = (node.folder / "volumes" / "metal3-workloads-etcd-backups").glob("metal3-workloads-*.snapshot")
    return file


def snapshot_options() -> list[str]:
    """Return the options of etcdutl that the guide gives."""
    (block,) = (block for block in BLOCK.findall(section("storage.md", "Restoring a snapshot")) if "etcdutl" in block)
    return shlex.split(block.replace("\\\n", " ").replace("...", ""))[4:]


def recover(story: Story) -> list[str]:
    """Run the guide's commands in a pod of the controllers, and return what they say."""
    say("recovering")
    owner = Path(story.installation.cluster.kubeconfig(ADMIN)).read_text()
    return [in_a_pod(story, line, owner) for line in steps("When the store is lost") if " exec " in line]


def test_a_killed_leader_is_succeeded(story: Story) -> None:
    node, before, leader = story.installation.node, story.of_web(), story.leader()
    say("killing the leading controllers")
    node.fail(SYSTEM, CONTROLLERS, leader)
    story.installation.kubectl("create", "-f", "-", stdin=workload("late"))
    story.wait_running("late")
    assert story.leader().name != leader.name
    assert story.of_web() == before
    node.replace(SYSTEM, CONTROLLERS)


def lose_the_store(story: Story) -> None:
    """Delete etcd's data. The kubelet restarts the servers, because they fail their liveness probe by then."""
    node = story.installation.node
    say("waiting for the replicas from before the upgrade: kube-apiserver keeps unused connections for 90 s")
    node.settle()
    say("the data of etcd is lost")
    story.etcd.kill()
    shutil.rmtree(story.etcd.folder / story.etcd.name)
    story.etcd.start()
    for pod in list(node.pods[SERVER]):
        eventually(partial(failing, pod), seconds=90)
        node.fail(SYSTEM, SERVER, pod)
    node.replace(SYSTEM, SERVER)
    node.roll_out(SYSTEM, CONTROLLERS)
    available(story)
    assert story.installation.cluster.items(ADMIN, "workloads", "-A") == []


def failing(pod: Pod) -> bool:
    return not pod.probe("livenessProbe")


def available(story: Story) -> None:
    """Wait until kube-apiserver has reached the API server again."""
    (command,) = (line for line in commands("Install") if "condition=Available" in line)
    story.installation.run(command)


def test_the_lost_store_is_recovered_from_the_marks_on_the_hosts(story: Story) -> None:
    """Follow the guide, with the commands in a pod of the controllers."""
    installation = story.installation
    machines, hosts = story.machines(), story.hosts()
    assert len(hosts) == HOSTS
    lose_the_store(story)

    made = yaml.safe_load((installation.files / "class.yaml").read_text())
    admitted = made["spec"].pop("allowedNamespaces")
    assert admitted
    installation.cluster.kubectl(ADMIN, "create", "-f", "-", stdin=made)
    eventually(lambda: sorted(orphaned(story)) == sorted(hosts.values()), seconds=120)
    reported = recover(story)
    assert [text.count("would get") for text in reported if "would get" in text] == [HOSTS], reported
    installation.run("kubectl apply -f class.yaml")
    eventually(lambda: story.hosts() == hosts, seconds=120)
    story.wait_running(*hosts)
    assert story.machines() == machines


def orphaned(story: Story) -> list[str]:
    found = story.installation.cluster.items(ADMIN, f"hosts.{GROUP}")
    return [host["spec"]["source"]["name"] for host in found if (host.get("status") or {}).get("reason") == "Orphaned"]


def in_a_pod(story: Story, line: str, stdin: str) -> str:
    """Run the command of a `kubectl exec` in a pod of the controllers, and return its output."""
    command = shlex.split(line.partition(" -- ")[2].partition(" < ")[0])
    done: subprocess.CompletedProcess[str] = story.installation.node.pods[CONTROLLERS][0].execute(*command, stdin=stdin)
    assert done.returncode == 0, f"{line}: {done.stdout}{done.stderr}"
    return done.stdout


def test_uninstalled_in_order_nothing_is_left(story: Story) -> None:
    say("uninstalling")
    story.run(commands("Uninstall"), **{"kubectl delete -f install-ha.yaml": story.installation.terminate})
    nothing_is_left(story.installation)
    left = story.installation.cluster.items(OWNER, "baremetalhosts", "-n", "metal3")
    assert len(left) == HOSTS

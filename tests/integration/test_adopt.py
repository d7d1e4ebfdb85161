"""Adopt a namespace of CAPM3 on real control planes, and give it back: its machines notice
nothing."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from hack.demos import capi
from tests.integration import running
from tests.integration.running import ADMIN, OWNER, ROOT, Running, eventually

if TYPE_CHECKING:
    from collections.abc import Iterator

NAMESPACE, MACHINE = "metal3", "machine"
BMH, WORKLOADS = "baremetalhosts.metal3.io", "workloads.workload.metal3.io"
PAUSED = "baremetalhost.metal3.io/paused"
OURS = "workload.metal3.io/"


@pytest.fixture(scope="module")
def cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    """Start a hardware cluster in which CAPM3 has a host, and a management cluster beside it."""
    folder = tmp_path_factory.mktemp("cluster") / "adopt"
    try:
        cluster = running.start(folder, "--hosts", "3", "--tenants", "a")
        cluster.kubectl(ADMIN, "create", "namespace", NAMESPACE)
        binding = ["rolebinding", "controllers-read-secrets", "--clusterrole=metal3-workloads-secrets"]
        cluster.kubectl(ADMIN, "create", *binding, "-n", NAMESPACE, "--serviceaccount=metal3-workloads-system:metal3-workloads-controllers")
        for who in (OWNER, ADMIN):
            capi.install(cluster, who)
        yield cluster
    finally:
        running.stop(folder)


def acts(cluster: Running, who: str, scenario: str) -> str:
    """Let CAPM3's stand-in do its part. Return the host's name."""
    program = subprocess.run([ROOT / "tests/consumer/build"], stdout=subprocess.PIPE, text=True, check=True).stdout.strip()
    what = [f"--namespace={NAMESPACE}", f"--scenario={scenario}", f"--machine={MACHINE}", "--disk-format=qcow2"]
    argv = [program, f"--kubeconfig={cluster.kubeconfig(who)}", *what, *(["--real-hosts"] if who == OWNER else [])]
    done = subprocess.run(argv, capture_output=True, text=True, check=False, timeout=300)
    assert done.returncode == 0, f"{done.stderr}after\n{done.stdout}"
    return next(str(step["host"]) for step in map(json.loads, done.stdout.splitlines()) if "host" in step)


def adopt(cluster: Running, *arguments: str) -> subprocess.CompletedProcess[str]:
    program = Path(sys.executable).with_name("metal3-workloads")
    argv = [str(program), "adopt", "--kubeconfig", cluster.kubeconfig(ADMIN), "--namespace", NAMESPACE, *arguments]
    return subprocess.run(argv, capture_output=True, text=True, check=False, timeout=180)


def pause(cluster: Running, who: str, host: str) -> None:
    """Write what CAPM3 writes when its Cluster is paused."""
    cluster.kubectl(who, "annotate", BMH, host, "-n", NAMESPACE, f"{PAUSED}=metal3.io/capm3", "--overwrite")


class Witness:
    """A watch of the real host, from the beginning of the test to its end."""

    def __init__(self, cluster: Running, host: str) -> None:
        argv = [str(cluster.tools / "kubectl"), "--kubeconfig", cluster.kubeconfig(OWNER), "get", BMH, host, "-n", NAMESPACE]
        seen = "S:.status.provisioning.state,P:.status.poweredOn,O:.spec.online,I:.spec.image.url,H:.status.operationHistory"
        self._process = subprocess.Popen(
            [*argv, "-o", f"custom-columns={seen}", "--no-headers", "--watch"], stdout=subprocess.PIPE, text=True
        )

    def end(self) -> set[str]:
        """Return the states that the host had."""
        self._process.terminate()
        out, _ = self._process.communicate(timeout=60)
        return {" ".join(line.split()) for line in out.splitlines()}


def untouched(cluster: Running, host: str) -> dict[str, Any]:
    """Return the real host without marks and the consumer."""
    real = cluster.get(OWNER, BMH, host, "-n", NAMESPACE)
    status = {key: real["status"].get(key) for key in ("provisioning", "operationHistory", "poweredOn", "errorCount")}
    return {"spec": {key: value for key, value in real["spec"].items() if key != "consumerRef"}, "status": status}


def test_a_namespace_is_adopted_and_given_back_with_no_host_touched(cluster: Running) -> None:
    host = acts(cluster, OWNER, "settle")
    capi.make(cluster, OWNER, NAMESPACE, MACHINE, host)
    owner = cluster.get(OWNER, capi.MACHINE, MACHINE, "-n", NAMESPACE)
    reference = {"apiVersion": owner["apiVersion"], "kind": owner["kind"], "name": MACHINE, "uid": owner["metadata"]["uid"]}
    owned = json.dumps({"metadata": {"ownerReferences": [reference]}})
    cluster.kubectl(OWNER, "patch", BMH, host, "-n", NAMESPACE, "--type=merge", "-p", owned)  # as earlier versions of CAPM3 did
    before, real = untouched(cluster, host), cluster.get(OWNER, BMH, host, "-n", NAMESPACE)
    witness = Witness(cluster, host)
    try:
        refused = adopt(cluster)
        assert (refused.returncode, "spec.allowedNamespaces" in refused.stderr) == (1, True), refused.stderr
        allowed = json.dumps({"spec": {"allowedNamespaces": {"names": ["a", NAMESPACE]}}})
        cluster.kubectl(ADMIN, "patch", "workloadclass", "metal", "--type=merge", "-p", allowed)
        dry = adopt(cluster, "--dry-run")
        assert (dry.returncode, "1 would be adopted" in dry.stdout) == (0, True), dry.stdout + dry.stderr
        assert cluster.get(OWNER, BMH, host, "-n", NAMESPACE) == real
        done = adopt(cluster)
        assert done.returncode == 0, done.stdout + done.stderr

        view = cluster.get(ADMIN, BMH, host, "-n", NAMESPACE)
        assert view["metadata"]["uid"] == real["metadata"]["uid"]
        assert view["spec"]["consumerRef"] == real["spec"]["consumerRef"]
        capi.move(cluster, OWNER, ADMIN, NAMESPACE, MACHINE)
        assert acts(cluster, ADMIN, "keep") == host
        [workload] = cluster.items(ADMIN, WORKLOADS, "-n", NAMESPACE)
        name = workload["metadata"]["name"]
        cluster.kubectl(ADMIN, "wait", f"{WORKLOADS}/{name}", "-n", NAMESPACE, "--for=condition=Ready", "--timeout=60s")
        assert "1 adopted" in adopt(cluster).stdout
        assert cluster.get(OWNER, BMH, host, "-n", NAMESPACE)["spec"]["consumerRef"]["kind"] == "Workload"
        assert untouched(cluster, host) == before

        pause(cluster, ADMIN, host)
        undone = adopt(cluster, "--undo")
        assert undone.returncode == 0, undone.stdout + undone.stderr
        assert cluster.items(ADMIN, WORKLOADS, "-n", NAMESPACE) == []
        capi.move(cluster, ADMIN, OWNER, NAMESPACE, MACHINE)
        assert acts(cluster, OWNER, "keep") == host
        after = cluster.get(OWNER, BMH, host, "-n", NAMESPACE)
        assert after["spec"] == real["spec"]
        marks = [*after["metadata"].get("labels", {}), *after["metadata"].get("annotations", {})]
        assert not any(mark.startswith(OURS) for mark in marks), marks
        eventually(lambda: cluster.try_kubectl(ADMIN, "get", BMH, host, "-n", NAMESPACE).returncode != 0)
        assert untouched(cluster, host) == before
    finally:
        states = witness.end()
    assert len(states) == 1, states
    copies = [item["metadata"]["name"] for item in cluster.items(OWNER, "secrets", "-n", NAMESPACE, "-l", f"{OURS}workload-uid")]
    assert copies == []

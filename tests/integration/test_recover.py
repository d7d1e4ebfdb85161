"""Delete the store under a running fleet: nothing is wiped, and each Workload gets its machine
back."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from tests.integration import running
from tests.integration.objects import secret, workload
from tests.integration.running import ADMIN, OWNER, Running, eventually

if TYPE_CHECKING:
    from collections.abc import Iterator

FLEET = {"a": ("web", "plain"), "b": ("db",)}
MARK = "workload.metal3.io/recover"


@pytest.fixture(scope="module")
def fleet(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    """Start three Workloads that run on three of five hosts."""
    folder = tmp_path_factory.mktemp("cluster") / "recover"
    try:
        cluster = running.start(folder, "--hosts", "5", "--tenants", "a,b")
        for tenant, names in FLEET.items():
            cluster.kubectl(tenant, "apply", "-f", "-", stdin=manifests(names))
        for tenant, names in FLEET.items():
            for name in names:
                cluster.kubectl(tenant, "wait", f"workload/{name}", "--for=condition=Ready", "--timeout=180s")
        yield cluster
    finally:
        running.stop(folder)


def manifests(names: tuple[str, ...]) -> list[dict[str, Any]]:
    """Return what a tenant applies."""
    boot = [secret(f"{name}-boot", value="#!/bin/sh\n") for name in names if name != "plain"]
    return [*boot, *(workload(name, **({} if name == "plain" else {"userData": {"name": f"{name}-boot"}})) for name in names)]


def machines(cluster: Running) -> dict[str, Any]:
    """Return what each real host runs, for which consumer, and when it was installed."""
    found = {}
    for host in cluster.items(OWNER, "baremetalhosts", "-n", "metal3"):
        spec, status = host["spec"], host["status"]
        started = ((status.get("operationHistory") or {}).get("provision") or {}).get("start")
        found[host["metadata"]["name"]] = (spec.get("consumerRef"), spec.get("image"), status["provisioning"]["state"], started)
    return found


def hosts_of(cluster: Running) -> dict[str, str]:
    """Return the host on which each Workload runs."""
    found = {}
    for tenant, names in FLEET.items():
        for item in cluster.items(tenant, "workloads"):
            if item["metadata"]["name"] in names and (item["status"].get("phase") == "Running"):
                found[f"{tenant}/{item['metadata']['name']}"] = item["status"]["host"]["name"]
    return found


def lose_the_store(cluster: Running) -> None:
    """Kill the server, delete its database, and start it again."""
    os.kill(cluster.description["apiserver"]["pids"][0], signal.SIGKILL)
    files = list((cluster.root / "data").glob("store.db*"))
    assert files
    for file in files:
        file.unlink()
    running.restart(cluster, "apiserver")

    def gone() -> bool:
        answer = cluster.try_kubectl(ADMIN, "get", "workloadclasses,workloads", "-A", "-o", "name")
        return answer.returncode == 0 and not answer.stdout

    eventually(gone)
    running.restart(cluster, "controllers")


def recover(cluster: Running, *arguments: str) -> subprocess.CompletedProcess[str]:
    """Run the command as the owner."""
    program = Path(sys.executable).with_name("metal3-workloads")
    command = [str(program), "recover", "--kubeconfig", cluster.kubeconfig(ADMIN), *arguments]
    return subprocess.run(command, capture_output=True, text=True, timeout=180, check=False)


def orphaned(cluster: Running) -> list[str]:
    return [
        host["spec"]["source"]["name"] for host in cluster.items(ADMIN, "hosts") if (host.get("status") or {}).get("reason") == "Orphaned"
    ]


def test_each_workload_gets_its_machine_back(fleet: Running) -> None:
    before, had = machines(fleet), hosts_of(fleet)
    assert len(had) == 3
    class_ = fleet.get(ADMIN, "workloadclass", "metal")
    lose_the_store(fleet)

    empty = {"apiVersion": class_["apiVersion"], "kind": "WorkloadClass", "metadata": {"name": "metal"}}
    empty["metadata"]["annotations"] = class_["metadata"]["annotations"]
    spec = {key: value for key, value in class_["spec"].items() if key != "allowedNamespaces"}
    fleet.kubectl(ADMIN, "create", "-f", "-", stdin={**empty, "spec": spec})
    eventually(lambda: sorted(orphaned(fleet)) == sorted(had.values()), seconds=180)
    reported = recover(fleet, "--dry-run")
    assert (reported.returncode, reported.stdout.count("would get")) == (0, 3), reported.stderr
    assert machines(fleet) == before

    done = recover(fleet, "--namespace", "a", "--timeout", "0")
    assert done.returncode == 0, done.stdout + done.stderr
    done = recover(fleet, "--namespace", "b", "--no-create")
    assert done.returncode == 0, done.stdout + done.stderr
    fleet.kubectl("b", "apply", "-f", "-", stdin=manifests(FLEET["b"]))  # as GitOps does; the class admits no namespace yet
    admitted = {"spec": {"allowedNamespaces": class_["spec"]["allowedNamespaces"]}}
    fleet.kubectl(ADMIN, "patch", "workloadclass", "metal", "--type=merge", "-p", json.dumps(admitted))

    eventually(lambda: hosts_of(fleet) == had, seconds=180)
    eventually(lambda: MARK not in json.dumps([host["metadata"] for host in fleet.items(OWNER, "bmh", "-n", "metal3")]), seconds=60)
    assert machines(fleet) == before, "nothing was installed, or given to anybody else"
    assert recover(fleet).stdout.splitlines()[-1].startswith("0 recovered, 0 waiting")
    eventually(lambda: only_copies_of_the_new(fleet))

    for tenant, names in FLEET.items():
        fleet.kubectl(tenant, "apply", "-f", "-", stdin=manifests(names))
    for tenant, names in FLEET.items():
        for name in names:
            fleet.kubectl(tenant, "wait", f"workload/{name}", "--for=condition=Ready", "--timeout=60s")
    assert (hosts_of(fleet), machines(fleet)) == (had, before)


def copies(cluster: Running) -> list[dict[str, Any]]:
    return cluster.items(OWNER, "secrets", "-n", "metal3", "-l", "workload.metal3.io/workload-uid")


def only_copies_of_the_new(cluster: Running) -> bool:
    """Return whether the copied secrets of the lost Workloads are gone, and those of their
    successors are there."""
    found = {item["metadata"]["name"]: item["metadata"] for item in copies(cluster)}
    uids = {item["metadata"]["uid"] for tenant in FLEET for item in cluster.items(tenant, "workloads")}
    old = {name: metadata for name, metadata in found.items() if metadata["labels"]["workload.metal3.io/workload-uid"] not in uids}
    assert not old, old
    return bool(found)

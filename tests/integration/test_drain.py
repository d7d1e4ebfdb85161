"""Take a host out of service on real control planes, while its tenant uses it."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from tests.integration.objects import workload
from tests.integration.running import ADMIN, OWNER, Running, eventually

if TYPE_CHECKING:
    from collections.abc import Iterator

BMH = "baremetalhosts.metal3.io"
PROGRAM = str(Path(sys.executable).with_name("metal3-workloads"))


def command(cluster: Running, *arguments: str, who: str = ADMIN) -> list[str]:
    return [PROGRAM, *arguments, "--kubeconfig", cluster.kubeconfig(who)]


def run(cluster: Running, *arguments: str, who: str = ADMIN) -> subprocess.CompletedProcess[str]:
    return subprocess.run(command(cluster, *arguments, who=who), capture_output=True, text=True, check=False, timeout=120)


@pytest.fixture
def used(tenants: Running) -> Iterator[tuple[Running, str]]:
    """Yield the cluster, and the name of a host that tenant a's Workload `w` runs on."""
    tenants.kubectl("a", "apply", "-f", "-", stdin=workload("w"))
    tenants.kubectl("a", "wait", "workload/w", "--for=condition=Ready", "--timeout=90s")
    host = tenants.get("a", "workload", "w")["status"]["host"]["name"]
    try:
        yield tenants, host
    finally:
        assert run(tenants, "uncordon", *names(tenants)).returncode == 0


def names(cluster: Running) -> list[str]:
    return [host["spec"]["source"]["name"] for host in cluster.items(ADMIN, "hosts.workload.metal3.io")]


def shown(cluster: Running, host: str) -> dict[str, Any]:
    return next(one for one in cluster.items(ADMIN, "hosts.workload.metal3.io") if one["spec"]["source"]["name"] == host)


def test_a_host_is_drained_when_its_tenant_releases_it(used: tuple[Running, str]) -> None:
    cluster, host = used
    real = cluster.get(OWNER, BMH, host, "-n", "metal3")["spec"]
    refused = run(cluster, "drain", host, who="a")
    assert (refused.returncode, "Forbidden" in refused.stderr) == (1, True), refused.stderr
    held = run(cluster, "drain", host, "--timeout", "2", "-o", "json")
    assert held.returncode == 1, held.stderr
    [row] = json.loads(held.stdout)
    assert (row["host"], row["state"], row["workload"]) == (host, "Held", "a/w")
    assert "the tenant of a deletes the Workload w" in row["to_free"]
    assert cluster.get(OWNER, BMH, host, "-n", "metal3")["spec"] == real, "nothing was asked of the machine"
    cluster.kubectl("a", "wait", "workload/w", "--for=condition=Ready", "--timeout=5s")
    assert "Bound,SchedulingDisabled" in cluster.kubectl(ADMIN, "get", "hosts.workload.metal3.io", shown(cluster, host)["metadata"]["name"])

    with subprocess.Popen(command(cluster, "drain", host, "--timeout", "90"), stdout=subprocess.PIPE, text=True) as waiting:
        try:
            cluster.kubectl("a", "delete", "workload", "w", "--timeout=90s")
            out, _ = waiting.communicate(timeout=120)
        finally:
            waiting.kill()
    assert (waiting.returncode, "Drained" in out) == (0, True), out
    eventually(lambda: cluster.try_kubectl("a", "get", BMH, host).returncode != 0)
    assert "SchedulingDisabled" in run(cluster, "fleet").stdout

    cluster.kubectl("a", "apply", "-f", "-", stdin=workload("w", hostRef={"name": host}))
    cluster.kubectl("a", "wait", "workload/w", "--for=condition=Bound=False", "--timeout=60s")
    assert run(cluster, "uncordon", host).returncode == 0
    cluster.kubectl("a", "wait", "workload/w", "--for=condition=Ready", "--timeout=90s")
    events = cluster.kubectl(ADMIN, "get", "events", "-n", "default", "-o", "jsonpath={.items[*].reason}")
    assert {"Cordoned", "Uncordoned"} <= set(events.split())


def test_free_hosts_are_taken_from_everybody_at_once(tenants: Running) -> None:
    every = names(tenants)
    try:
        done = run(tenants, "drain", *every, "--timeout", "60")
        assert done.returncode == 0, done.stderr
        eventually(lambda: all(not tenants.items(tenant, BMH) for tenant in ("a", "b")))
        eventually(lambda: tenants.get(ADMIN, "workloadclass", "metal")["status"]["hosts"]["free"] == 0)
        missing = run(tenants, "drain", every[0], "nowhere")
        assert (missing.returncode, "there is no host nowhere" in missing.stderr) == (1, True)
    finally:
        assert run(tenants, "uncordon", *every).returncode == 0
    eventually(lambda: len(tenants.items("a", BMH)) == len(every))

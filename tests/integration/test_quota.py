"""Cover quotas of machines on a real kube-apiserver: it accepts their names, its quota controller
leaves their use alone, and no tenant exceeds them."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest

from tests.integration import running
from tests.integration.objects import workload
from tests.integration.running import ADMIN, Answer, Running, eventually
from tests.integration.test_admission import MERGE, WORKLOADS, ask
from tests.integration.test_view import BMH, consumer
from tests.integration.webhooks import applied

HOSTS, MEMORY = (f"metal.workloadclass.workload.metal3.io/{resource}" for resource in ("hosts", "memory"))
CPU, COUNT, PODS = "workload.metal3.io/cpu", "count/workloads.workload.metal3.io", "pods"
LONG = "c" * 64


def quota(hard: dict[str, str], **spec: Any) -> dict[str, Any]:
    metadata = {"name": "machines", "namespace": "a"}
    return {"apiVersion": "v1", "kind": "ResourceQuota", "metadata": metadata, "spec": {"hard": hard, **spec}}


def used(cluster: Running) -> dict[str, str]:
    """Return the use in the quota's status."""
    found: dict[str, str] = cluster.get(ADMIN, "resourcequota", "machines", "-n", "a").get("status", {}).get("used", {})
    return found


def tried(cluster: Running, hard: dict[str, str], **spec: Any) -> str:
    """Return what kube-apiserver says about a quota."""
    done = cluster.try_kubectl(ADMIN, "create", "--dry-run=server", "-f", "-", stdin=quota(hard, **spec))
    return done.stdout + done.stderr


def test_kube_apiserver_takes_the_names_of_every_class(tenants: Running) -> None:
    assert "created" in tried(tenants, {f"{LONG}.a.workloadclass.workload.metal3.io/hosts": "1", CPU: "64", MEMORY: "1Ti"})
    assert "must be no more than 63" in tried(tenants, {f"metal.requests.workload.metal3.io/{LONG}": "1"})
    assert "must be greater than or equal to 0" in tried(tenants, {HOSTS: "-1"})


def test_a_quota_with_scopes_limits_no_machines(tenants: Running) -> None:
    scoped = {"scopeSelector": {"matchExpressions": [{"scopeName": "PriorityClass", "operator": "Exists"}]}}
    with applied(tenants, ADMIN, quota({HOSTS: "0"}, **scoped)):
        eventually(lambda: "hard" in tenants.get(ADMIN, "resourcequota", "machines", "-n", "a").get("status", {}))
        tenants.kubectl("a", "create", "-f", "-", stdin=workload("unlimited", image=None))
        assert used(tenants) == {}


def test_creations_and_claims_stay_within_a_quota_whose_use_survives(tenants: Running) -> None:
    with applied(tenants, ADMIN, quota({HOSTS: "2", MEMORY: "1Pi", CPU: "10k", COUNT: "9", PODS: "3"})):
        eventually(lambda: {HOSTS, MEMORY, CPU, COUNT, PODS} <= used(tenants).keys())
        names = [host["metadata"]["name"] for host in tenants.items("a", BMH)]

        def write(number: int) -> Answer:
            if number % 2:
                return ask(tenants, "POST", WORKLOADS, workload(f"many-{number}", image=None))
            name = names[number // 2 % len(names)]
            path = f"/apis/metal3.io/v1alpha1/namespaces/a/baremetalhosts/{name}"
            return ask(tenants, "PATCH", path, {"spec": {"consumerRef": consumer(f"m-{name}", "a")}}, **MERGE)

        with ThreadPoolExecutor(12) as pool:
            answers = list(pool.map(write, range(12)))
        refused = [answer.json()["message"] for answer in answers if answer.code == 403]
        assert (len(tenants.items("a", "workloads")), len(refused)) == (2, 10), [(answer.code, answer.body) for answer in answers]
        words = f"exceeded quota: machines, requested: {HOSTS}=1, used: {HOSTS}=2, limited: {HOSTS}=2"
        assert [message for message in refused if not message.endswith(f" is forbidden: {words}")] == []

        def real() -> bool:
            """Return whether the use is what the two hosts have."""
            has = [obj.get("status", {}).get("host", {}).get("name") for obj in tenants.items("a", "workloads")]
            taken = [host for host in tenants.items("a", BMH) if host["metadata"]["name"] in has]
            cpus = sum(host["status"]["hardware"]["cpu"]["count"] for host in taken)
            found = used(tenants)
            return len(taken) == 2 and (found[HOSTS], found[CPU], found[COUNT]) == ("2", str(cpus), "2") and found[MEMORY].endswith("Gi")

        eventually(real)
        # The quota controller writes the status again when the quota changes, and its spec is ours.
        tenants.kubectl(ADMIN, "patch", "resourcequota", "machines", "-n", "a", "-p", '{"spec": {"hard": {"pods": "4"}}}')
        eventually(lambda: tenants.get(ADMIN, "resourcequota", "machines", "-n", "a")["status"]["hard"]["pods"] == "4")
        assert real()
        running.restart(tenants, "apiserver", "--kill")
        eventually(lambda: tenants.try_kubectl("a", "get", "workloads").returncode == 0)
        eventually(lambda: ask(tenants, "POST", WORKLOADS, workload("more", image=None)).code == 403)
        assert real()
        tenants.kubectl("a", "delete", "workloads", "--all", "--wait=true", "--timeout=90s")
        eventually(lambda: used(tenants)[HOSTS] == used(tenants)[CPU] == used(tenants)[MEMORY] == "0", seconds=90)
        assert "0     2" in tenants.kubectl("a", "describe", "resourcequota", "machines")


@pytest.mark.parametrize("size", ["1", "9e999"])
def test_a_class_that_is_changed_counts_in_the_new_one(tenants: Running, size: str) -> None:
    other = "elsewhere.workloadclass.workload.metal3.io/hosts"
    with applied(tenants, ADMIN, quota({other: "1", HOSTS: "0"})):
        eventually(lambda: {HOSTS, other} <= used(tenants).keys())
        spec = {"className": "elsewhere", "image": None, "requirements": {"ram": size}}
        tenants.kubectl("a", "create", "-f", "-", stdin=workload("waits", **spec))
        eventually(lambda: used(tenants) == {HOSTS: "0", other: "1"})
        done = tenants.try_kubectl("a", "patch", "workload", "waits", "--type=merge", "-p", '{"spec": {"className": "metal"}}')
        assert f"requested: {HOSTS}=1, used: {HOSTS}=0, limited: {HOSTS}=0" in done.stderr
        tenants.kubectl("a", "delete", "workload", "waits")
        eventually(lambda: used(tenants) == {HOSTS: "0", other: "0"})

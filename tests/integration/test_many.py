"""Create as many Workloads as hosts, from two tenants at once: each Workload gets a host of its
own, and no host is left over."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING

import pytest

from tests.integration import running
from tests.integration.objects import workload
from tests.integration.running import ADMIN, OWNER, Running, eventually

if TYPE_CHECKING:
    from collections.abc import Iterator

HOSTS = 200
# This suits two busy cores: most of the work is the simulated operator's and the hardware
# cluster's.
SECONDS = 300
TENANTS = ("a", "b")


@pytest.fixture(scope="module")
def large(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    """Start a cluster with HOSTS hosts."""
    folder = tmp_path_factory.mktemp("cluster") / "large"
    try:
        yield running.start(folder, "--hosts", str(HOSTS), "--tenants", ",".join(TENANTS), "--fsync", "off", "--inspected")
    finally:
        running.stop(folder)


def test_two_tenants_fill_all_hosts(large: Running) -> None:
    wanted = [workload(f"w-{number}") for number in range(HOSTS // 2)]
    with ThreadPoolExecutor(2) as pool:
        list(pool.map(lambda tenant: large.kubectl(tenant, "create", "-f", "-", stdin=wanted), TENANTS))

    def all_running() -> bool:
        for tenant in TENANTS:
            phases = [item.get("status", {}).get("phase") for item in large.items(tenant, "workloads")]
            assert phases == ["Running"] * (HOSTS // 2), {phase: phases.count(phase) for phase in set(phases)}
        return True

    eventually(all_running, seconds=SECONDS, poll=1)
    uids = [item["status"]["host"]["uid"] for tenant in TENANTS for item in large.items(tenant, "workloads")]
    assert len(set(uids)) == HOSTS

    records = {host["spec"]["source"]["name"]: host for host in large.items(ADMIN, "hosts.workload.metal3.io")}
    claims = {(record["spec"]["claimRef"]["namespace"], record["spec"]["claimRef"]["name"]) for record in records.values()}
    assert claims == {(tenant, f"w-{number}") for tenant in TENANTS for number in range(HOSTS // 2)}
    for real in large.items(OWNER, "baremetalhosts", "-n", "metal3"):
        assert real["spec"]["image"] == wanted[0]["spec"]["image"]
        assert real["status"]["provisioning"]["state"] == "provisioned"

    with ThreadPoolExecutor(2) as pool:
        list(pool.map(lambda tenant: large.kubectl(tenant, "delete", "workloads", "--all", "--wait=false"), TENANTS))

    def all_gone() -> bool:
        left = {tenant: len(large.items(tenant, "workloads")) for tenant in TENANTS}
        assert not any(left.values()), f"Workloads left: {left}"
        return True

    eventually(all_gone, seconds=SECONDS, poll=1)
    for real in large.items(OWNER, "baremetalhosts", "-n", "metal3"):
        assert "consumerRef" not in real["spec"]
        assert real["status"]["provisioning"]["state"] == "available"

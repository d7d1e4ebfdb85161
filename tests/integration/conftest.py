"""Provide real clusters for the tests of this folder: one for most of them, and others with special
settings on request."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from tests.integration import running
from tests.integration.running import ADMIN, OWNER, Running, eventually

if TYPE_CHECKING:
    from collections.abc import Iterator

HOSTS = 6
TENANTS = ("a", "b")
HERE = Path(__file__).parent


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Mark all tests here as real, and allow more time than for unit tests."""
    for item in items:
        if HERE in item.path.parents:
            item.add_marker(pytest.mark.real)
            item.add_marker(pytest.mark.timeout(running.UP_SECONDS + 600))


@pytest.fixture(scope="session")
def cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    """Yield the cluster that tests share: HOSTS hosts, tenants a and b.

    Tests must not leave a Workload behind (see `tenants`)."""
    folder = tmp_path_factory.mktemp("cluster") / "shared"
    try:
        yield running.start(folder, "--hosts", str(HOSTS), "--tenants", ",".join(TENANTS))
    finally:
        running.stop(folder)


@pytest.fixture
def tenants(cluster: Running) -> Iterator[Running]:
    """Yield the shared cluster without objects of the tenants, before and after: every host is free
    and offered to both."""
    tidy(cluster)
    yield cluster
    tidy(cluster)


def tidy(cluster: Running) -> None:
    """Delete all sets and Workloads, and wait until every host is clean and offered again."""
    for tenant in TENANTS:
        cluster.kubectl(tenant, "delete", "workloadsets,workloads", "--all", "--wait=false")
    eventually(lambda: all_free(cluster), seconds=90)


def all_free(cluster: Running) -> bool:
    """Return whether no host has a consumer, in the hardware cluster and in both tenants' views."""
    for host in cluster.items(OWNER, "baremetalhosts", "-n", "metal3"):
        assert "consumerRef" not in host["spec"], f"{host['metadata']['name']} is still used"
        assert host["status"]["provisioning"]["state"] == "available", host["metadata"]["name"]
    for tenant in TENANTS:
        assert not cluster.items(tenant, "workloads"), f"tenant {tenant} has Workloads"
        views = cluster.items(tenant, "baremetalhosts.metal3.io")
        assert len(views) == len(cluster.items(ADMIN, "hosts.workload.metal3.io")), f"tenant {tenant} is offered {len(views)} hosts"
        assert not any("consumerRef" in view["spec"] for view in views)
    return True

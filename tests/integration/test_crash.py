"""Kill processes with SIGKILL: acknowledged writes are stored completely afterwards, and
controllers continue where they were."""

from __future__ import annotations

import threading
import urllib.error
from typing import TYPE_CHECKING

import pytest

from tests.integration import running
from tests.integration.objects import workload
from tests.integration.running import ADMIN, Running, eventually

if TYPE_CHECKING:
    from collections.abc import Iterator

PATH = "/apis/workload.metal3.io/v1alpha1/namespaces/a/workloads"
BEFORE_THE_CRASH = 50


@pytest.fixture(scope="module", params=["sqlite", "etcd"])
def server_alone(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    """Start a cluster without controllers, on each storage."""
    folder = tmp_path_factory.mktemp("cluster") / "crash"
    try:
        settings = ("--storage", request.param, "--hosts", "0", "--bmo", "none", "--controllers", "off", "--tenants", "a")
        yield running.start(folder, *settings)
    finally:
        running.stop(folder)


def ready(cluster: Running) -> bool:
    """Return whether the API server answers."""
    try:
        return cluster.direct("/readyz", identity=cluster.admin_identity()).code == 200
    except (urllib.error.URLError, ConnectionError):
        return False


def test_acknowledged_writes_survive_and_are_whole(server_alone: Running) -> None:
    cluster, identity = server_alone, server_alone.tenant_identity("a")
    acknowledged: list[str] = []
    tried: list[str] = []
    enough = threading.Event()

    def write(writer: int) -> None:
        try:
            while True:
                name = f"w-{writer}-{len(tried)}"
                tried.append(name)
                if cluster.direct(PATH, identity=identity, method="POST", body=workload(name)).code == 201:
                    acknowledged.append(name)
                if len(acknowledged) >= BEFORE_THE_CRASH:
                    enough.set()
        except (urllib.error.URLError, ConnectionError):
            return

    writers = [threading.Thread(target=write, args=(number,)) for number in range(4)]
    for writer in writers:
        writer.start()
    assert enough.wait(60)
    running.restart(cluster, "apiserver", "--kill")
    for writer in writers:
        writer.join(60)
    eventually(lambda: ready(cluster), seconds=90)

    items = {item["metadata"]["name"]: item for item in cluster.direct(PATH, identity=identity).json()["items"]}
    assert set(acknowledged) <= set(items) <= set(tried)
    wanted = workload("any")["spec"]["image"]
    assert all(item["spec"]["image"] == wanted and item["metadata"]["uid"] for item in items.values())


def test_controllers_continue_after_a_crash(tenants: Running) -> None:
    names = [f"crash-{number}" for number in range(3)]
    tenants.kubectl("a", "create", "-f", "-", stdin=[workload(name) for name in names])
    running.restart(tenants, "controllers", "--kill")
    running.restart(tenants, "simulated-bmo", "--kill")
    for name in names:
        tenants.kubectl("a", "wait", f"workload/{name}", "--for=jsonpath={.status.phase}=Running", "--timeout=90s")
    claims = [host["spec"]["claimRef"]["name"] for host in tenants.items(ADMIN, "hosts.workload.metal3.io") if host["spec"].get("claimRef")]
    assert sorted(claims) == names


def test_watches_and_writes_continue_after_the_server_restarts(tenants: Running) -> None:
    tenants.kubectl("a", "create", "-f", "-", stdin=workload("before"))
    running.restart(tenants, "apiserver", "--kill")
    eventually(lambda: ready(tenants), seconds=90)
    eventually(lambda: tenants.try_kubectl("a", "create", "-f", "-", stdin=workload("after")).returncode == 0, seconds=60)
    for name in ("before", "after"):
        tenants.kubectl("a", "wait", f"workload/{name}", "--for=jsonpath={.status.phase}=Running", "--timeout=90s")

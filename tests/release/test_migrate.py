"""Migrate from one replica over SQLite to several over an etcd, as docs/installing.md says, while a
tenant's machine runs."""

from __future__ import annotations

from typing import TYPE_CHECKING

from tests.integration.objects import workload
from tests.integration.running import ADMIN
from tests.release.installation import (
    SERVER,
    SYSTEM,
    commands,
    prepared,
    versions,
)
from tests.release.test_ha import own_etcd

if TYPE_CHECKING:
    from pathlib import Path

    from tests.release.network import Network
    from tests.release.oci import Image


def test_one_replica_becomes_several_and_nothing_that_runs_changes(network: Network, image: Image, release: Path, tmp_path: Path) -> None:
    with prepared(tmp_path, image, release) as installation:
        cluster, node = installation.cluster, installation.node
        (tmp_path / "etcd").mkdir()
        etcd = own_etcd(tmp_path / "etcd", installation.files)
        try:
            etcd.start()
            node.reachable.append(etcd.client_port)
            installation.follow(commands("Install"), {"kubectl apply -f install.yaml": installation.roll_out})
            installation.kubectl("create", "-f", "-", stdin=workload("web"))
            installation.kubectl("wait", "workload/web", "--for=condition=Ready", "--timeout=120s")
            before = versions(installation)
            named = "etcd-0.example.com:2379,etcd-1.example.com:2379,etcd-2.example.com:2379"
            _, *prepare = commands("Prepare etcd")
            installation.follow([line.replace(named, etcd.endpoint.removeprefix("https://")) for line in prepare], {})
            happens = {
                "--replicas=0": installation.stop,
                "create -f migrate.yaml": lambda: node.complete(SYSTEM, "metal3-workloads-migrate"),
                "apply -f install-ha.yaml": installation.roll_out,
            }
            installation.follow(commands("From one replica to several"), happens)
            assert len(node.pods[SERVER]) == 2
            installation.kubectl("wait", "workload/web", "--for=condition=Ready", "--timeout=60s")
            after = versions(installation)
            machines = {name for name in before if name.startswith("BareMetalHost ")}
            assert machines
            assert {name: after[name] for name in machines} == {name: before[name] for name in machines}
            installation.kubectl("create", "-f", "-", stdin=workload("second"))
            installation.kubectl("wait", "workload/second", "--for=jsonpath={.status.phase}=Running", "--timeout=120s")
            server = cluster.get(ADMIN, "deployment", "-n", SYSTEM, SERVER)["spec"]
            assert "store.db" not in str(server), "nothing of SQLite is left in the Deployment"
            assert server["strategy"]["type"] == "RollingUpdate"
        finally:
            etcd.kill()

"""Cover Reservations on a real kube-apiserver: claims of others never get what is set aside, only
the owner writes them, and hosts return at the end."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from typing import Any

import orjson

from apiserver.client.clock import timestamp
from tests.integration.conftest import HOSTS
from tests.integration.objects import workload
from tests.integration.running import ADMIN, Answer, Running, eventually
from tests.integration.test_admission import MERGE, ask
from tests.integration.test_view import BMH, consumer
from tests.integration.webhooks import applied

RESERVATIONS = "reservations.workload.metal3.io"


def reservation(hosts: int, **delta: float) -> dict[str, Any]:
    """Return a Reservation for tenant b that ends after this time."""
    return {
        "apiVersion": "workload.metal3.io/v1alpha1",
        "kind": "Reservation",
        "metadata": {"name": "launch", "namespace": "b"},
        "spec": {"className": "metal", "hosts": hosts, "endTime": timestamp(datetime.now(UTC) + timedelta(**delta))},
    }


def status(cluster: Running) -> dict[str, Any]:
    found: dict[str, Any] = cluster.get(ADMIN, RESERVATIONS, "launch", "-n", "b").get("status", {})
    return found


def ready(cluster: Running) -> str | None:
    conditions = status(cluster).get("conditions", [])
    return next((one["reason"] for one in conditions if one["type"] == "Ready"), None)


def kept(cluster: Running) -> list[dict[str, Any]]:
    """Return the specs of the Hosts that are set aside."""
    specs = [host["spec"] for host in cluster.items(ADMIN, "hosts.workload.metal3.io")]
    return [spec for spec in specs if "reservedFor" in spec]


def test_claims_that_race_with_a_reservation_share_no_host_with_it(tenants: Running) -> None:
    names = [host["metadata"]["name"] for host in tenants.items("a", BMH)]
    assert len(names) == HOSTS

    def claim(name: str) -> Answer:
        path = f"/apis/metal3.io/v1alpha1/namespaces/a/baremetalhosts/{name}"
        return ask(tenants, "PATCH", path, {"spec": {"consumerRef": consumer(f"m-{name}", "a")}}, **MERGE)

    with applied(tenants, ADMIN, reservation(HOSTS, hours=1)):
        with ThreadPoolExecutor(2) as pool:
            answers = list(pool.map(claim, names))
        assert {answer.code for answer in answers} <= {200, 404, 409}, [(answer.code, answer.body) for answer in answers]
        claimed = sum(answer.code == 200 for answer in answers)
        eventually(lambda: status(tenants).get("available") == HOSTS - claimed)
        assert all(spec.get("claimRef") is None for spec in kept(tenants)), "no claim of a took a host of b"
        assert (ready(tenants), status(tenants)["missing"]) == ("Short" if claimed else "Fulfilled", claimed)
        eventually(lambda: len(tenants.items("a", BMH)) == claimed)
        assert len(tenants.items("b", BMH)) == HOSTS - claimed
        tenants.kubectl("a", "create", "-f", "-", stdin=workload("waits", image=None))
        eventually(lambda: "NoHostFits" in tenants.kubectl("a", "get", "workload", "waits", "-o", "wide"))
        reported = tenants.kubectl("a", "get", "workload", "waits", "-o", "yaml")
        assert "reserv" not in reported
        tenants.kubectl("b", "create", "-f", "-", stdin=workload("launch", image=None))
        eventually(lambda: status(tenants).get("used") == 1)
        tenants.kubectl("a", "delete", "workloads", "--all", "--wait=false")
        eventually(lambda: ready(tenants) == "Fulfilled")
        assert all(spec.get("claimRef", {}).get("namespace") in (None, "b") for spec in kept(tenants))


def test_tenants_read_their_own_and_write_none(tenants: Running) -> None:
    with applied(tenants, ADMIN, reservation(1, hours=1)):
        eventually(lambda: ready(tenants) == "Fulfilled")
        table = tenants.kubectl("b", "get", "reservations")
        assert table.splitlines()[0].split() == ["NAME", "CLASS", "HOSTS", "USED", "AVAILABLE", "MISSING", "READY", "END", "AGE"]
        assert "Fulfilled" in table
        assert "forbidden" in tenants.try_kubectl("a", "get", "reservations", "-n", "b").stderr
        for verb in (("delete", "reservation", "launch"), ("patch", "reservation", "launch", "--type=merge", "-p", '{"spec":{"hosts":9}}')):
            assert "forbidden" in tenants.try_kubectl("b", *verb).stderr
        assert "forbidden" in tenants.try_kubectl("b", "create", "-f", "-", stdin=reservation(6, hours=9)).stderr
        assert "launch" in tenants.kubectl(ADMIN, "get", "hosts.workload.metal3.io", "-o", "yaml")


def test_hosts_return_at_the_end_and_a_workload_keeps_its_machine(tenants: Running) -> None:
    with applied(tenants, ADMIN, reservation(HOSTS, hours=1)):
        eventually(lambda: ready(tenants) == "Fulfilled")
        tenants.kubectl("b", "create", "-f", "-", stdin=workload("stays", image=None))
        eventually(lambda: status(tenants).get("used") == 1)
        # The end has to be later than the write, which takes seconds on a busy machine.
        end = reservation(HOSTS, seconds=15)["spec"]["endTime"]
        patch = {"spec": {"endTime": end}}
        tenants.kubectl(ADMIN, "patch", RESERVATIONS, "launch", "-n", "b", "--type=merge", "-p", orjson.dumps(patch).decode())
        eventually(lambda: ready(tenants) == "Expired" and not kept(tenants))
        eventually(lambda: len(tenants.items("a", BMH)) == HOSTS - 1)
        assert tenants.get("b", "workload", "stays")["status"]["host"]
        eventually(lambda: "Expired" in tenants.kubectl(ADMIN, "get", "events", "-n", "b"))

"""Delete and recreate a namespace on a real cluster, with the uids that a real kube-apiserver
gives, by which an uncleaned host is told from its next tenant's."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest

from tests.integration.objects import workload
from tests.integration.running import ADMIN, OWNER, eventually

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.integration.running import Running

NAME = "reused"


def change_class(cluster: Running, namespaces: list[str], cleaning: Any) -> None:
    patch = {"spec": {"allowedNamespaces": {"names": namespaces}, "cleaning": cleaning}}
    cluster.kubectl(ADMIN, "patch", "workloadclass", "metal", "--type=merge", "-p", json.dumps(patch))


@pytest.fixture
def reused(tenants: Running) -> Iterator[Running]:
    """Let the class offer hosts to the namespace NAME, which may leave them uncleaned."""
    change_class(tenants, ["a", "b", NAME], {"mode": "metadata", "tenantMayDisable": True})
    yield tenants
    tenants.try_kubectl(ADMIN, "delete", "namespace", NAME, "--timeout=60s")
    change_class(tenants, ["a", "b"], None)


def offered(cluster: Running) -> set[str]:
    return {host["metadata"]["name"] for host in cluster.items(ADMIN, "baremetalhosts.metal3.io", "-n", NAME)}


def begin(cluster: Running) -> str:
    cluster.kubectl(ADMIN, "create", "namespace", NAME)
    return str(cluster.get(ADMIN, "namespace", NAME)["metadata"]["uid"])


def test_the_next_namespace_of_the_name_does_not_see_the_uncleaned_host(reused: Running) -> None:
    first = begin(reused)
    made = workload("leaver", automatedCleaningMode="disabled")
    reused.kubectl(ADMIN, "apply", "-n", NAME, "-f", "-", stdin=made)
    reused.kubectl(ADMIN, "wait", "-n", NAME, "workload/leaver", "--for=jsonpath={.status.phase}=Running", "--timeout=60s")
    host = reused.get(ADMIN, "workload", "-n", NAME, "leaver")["status"]["host"]["name"]
    reused.kubectl(ADMIN, "delete", "-n", NAME, "workload", "leaver", "--timeout=60s")
    mark = reused.get(OWNER, "baremetalhost", "-n", "metal3", host)["metadata"]["annotations"]["workload.metal3.io/dirty-for"]
    assert mark.endswith(f"/{NAME}/{first}")
    eventually(lambda: host in offered(reused), seconds=30)

    reused.kubectl(ADMIN, "delete", "namespace", NAME, "--timeout=60s")
    assert begin(reused) != first
    eventually(lambda: len(offered(reused)) > 0, seconds=30)
    assert host not in offered(reused)
    stranger = workload("stranger", hostRef={"name": host})
    reused.kubectl(ADMIN, "apply", "-n", NAME, "-f", "-", stdin=stranger)
    waits = "--for=jsonpath={.status.conditions[?(@.type=='Bound')].reason}=HostNotFound"
    reused.kubectl(ADMIN, "wait", "-n", NAME, "workload/stranger", waits, "--timeout=30s")

    def status() -> Any:
        return next(item["status"] for item in reused.items(ADMIN, "hosts.workload.metal3.io") if item["spec"]["source"]["name"] == host)

    eventually(lambda: status().get("reason") == "Dirty", seconds=30)
    assert first in status()["message"]

    clean(reused, host)
    reused.kubectl(ADMIN, "wait", "-n", NAME, "workload/stranger", "--for=jsonpath={.status.phase}=Running", "--timeout=60s")


def clean(cluster: Running, host: str) -> None:
    """Clean the host as docs/operating.md asks of the owner."""

    def patch(spec: dict[str, Any], state: str) -> None:
        cluster.kubectl(OWNER, "patch", "baremetalhost", "-n", "metal3", host, "--type=merge", "-p", json.dumps({"spec": spec}))
        reached = f"--for=jsonpath={{.status.provisioning.state}}={state}"
        cluster.kubectl(OWNER, "wait", "-n", "metal3", f"baremetalhost/{host}", reached, "--timeout=60s")

    wipe = {"url": "https://images.example.com/wipe.iso", "format": "live-iso"}
    patch({"automatedCleaningMode": "metadata", "online": True, "image": wipe}, "provisioned")
    patch({"image": None, "online": False}, "available")
    cluster.kubectl(OWNER, "annotate", "baremetalhost", "-n", "metal3", host, "workload.metal3.io/dirty-for-")

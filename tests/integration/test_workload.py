"""Follow a Workload's life as its tenant and the owner of the hardware see it."""

from __future__ import annotations

import base64
from typing import TYPE_CHECKING, Any

from tests.integration.objects import IMAGE, secret, workload
from tests.integration.running import ADMIN, OWNER, eventually

if TYPE_CHECKING:
    from tests.integration.running import Running

USER_DATA = "#cloud-config\nhostname: mine\n"


def real_host_of(cluster: Running, name: str) -> dict[str, Any]:
    """Return the owner's BareMetalHost of the Host that tenant a's Workload `name` is bound to."""
    (record,) = [
        host
        for host in cluster.items(ADMIN, "hosts.workload.metal3.io")
        if host["spec"].get("claimRef", {}).get("name") == name and host["spec"]["claimRef"]["namespace"] == "a"
    ]
    return cluster.get(OWNER, "baremetalhost", "-n", "metal3", record["spec"]["source"]["name"])


def test_from_apply_to_running_to_clean(tenants: Running) -> None:
    tenants.kubectl(
        "a", "apply", "-f", "-", stdin=[secret("web-user-data", userData=USER_DATA), workload("web", userData={"name": "web-user-data"})]
    )
    tenants.kubectl("a", "wait", "workload/web", "--for=jsonpath={.status.phase}=Running", "--timeout=60s")

    mine = tenants.get("a", "workload", "web")
    conditions = {condition["type"]: condition["status"] for condition in mine["status"]["conditions"]}
    assert conditions | {"Bound": "True", "Provisioned": "True", "Ready": "True"} == conditions
    assert mine["status"]["poweredOn"] is True
    assert mine["status"]["host"]["class"] == "metal"

    view = tenants.get("a", "baremetalhost.metal3.io", mine["status"]["host"]["name"])
    assert view["metadata"]["uid"] == mine["status"]["host"]["uid"]
    assert view["status"]["provisioning"]["state"] == "provisioned"
    assert view["spec"]["image"]["url"] == IMAGE["url"]
    assert view["spec"]["bmc"] == {"address": "", "credentialsName": ""}

    real = real_host_of(tenants, "web")
    assert real["spec"]["image"] == IMAGE
    assert real["spec"]["online"] is True
    assert real["spec"]["consumerRef"]["name"]
    copied = tenants.get(OWNER, "secret", "-n", "metal3", real["spec"]["userData"]["name"])
    assert base64.b64decode(copied["data"]["userData"]).decode() == USER_DATA

    offered = {host["metadata"]["name"] for host in tenants.items("b", "baremetalhosts.metal3.io")}
    assert view["metadata"]["name"] not in offered

    tenants.kubectl("a", "delete", "workload", "web", "--timeout=60s")
    freed = tenants.get(OWNER, "baremetalhost", "-n", "metal3", real["metadata"]["name"])
    assert freed["status"]["provisioning"]["state"] == "available"
    assert "image" not in freed["spec"]
    assert "consumerRef" not in freed["spec"]
    gone = tenants.try_kubectl(OWNER, "get", "secret", "-n", "metal3", copied["metadata"]["name"])
    assert "NotFound" in gone.stderr
    eventually(lambda: len(tenants.items("b", "baremetalhosts.metal3.io")) == len(offered) + 1)


def test_powering_off_and_on(tenants: Running) -> None:
    tenants.kubectl("a", "apply", "-f", "-", stdin=workload("power"))
    tenants.kubectl("a", "wait", "workload/power", "--for=jsonpath={.status.phase}=Running", "--timeout=60s")
    tenants.kubectl("a", "patch", "workload", "power", "--type=merge", "-p", '{"spec": {"online": false}}')
    tenants.kubectl("a", "wait", "workload/power", "--for=jsonpath={.status.phase}=Stopped", "--timeout=60s")
    assert real_host_of(tenants, "power")["status"]["poweredOn"] is False
    tenants.kubectl("a", "patch", "workload", "power", "--type=merge", "-p", '{"spec": {"online": true}}')
    tenants.kubectl("a", "wait", "workload/power", "--for=jsonpath={.status.phase}=Running", "--timeout=60s")
    assert real_host_of(tenants, "power")["status"]["poweredOn"] is True


def test_requirements_choose_the_host(tenants: Running) -> None:
    wanted = workload("training", requirements={"resources": {"nvidia.com/gpu": 2}, "ram": "128Gi"})
    tenants.kubectl("a", "apply", "-f", "-", stdin=wanted)
    tenants.kubectl("a", "wait", "workload/training", "--for=condition=Bound", "--timeout=60s")
    assert real_host_of(tenants, "training")["metadata"]["labels"]["nvidia.com/gpu"] == "4"


def test_the_best_fit_is_the_smallest_that_will_do(tenants: Running) -> None:
    tenants.kubectl("a", "apply", "-f", "-", stdin=workload("modest", requirements={"cpuCount": 8, "ram": "32Gi"}))
    tenants.kubectl("a", "wait", "workload/modest", "--for=condition=Bound", "--timeout=60s")
    assert real_host_of(tenants, "modest")["metadata"]["labels"]["hardware.metal3.io/model"] == "small"


def test_a_workload_that_fits_no_host_waits_with_a_reason(tenants: Running) -> None:
    tenants.kubectl("a", "apply", "-f", "-", stdin=workload("huge", requirements={"ram": "64Ti"}))

    def reported() -> bool:
        conditions = tenants.get("a", "workload", "huge").get("status", {}).get("conditions", [])
        return any(c["type"] == "Bound" and c["status"] == "False" and c["message"] for c in conditions)

    eventually(reported, seconds=90)
    assert tenants.get("a", "workload", "huge")["status"]["phase"] == "Pending"
    assert "host" not in tenants.get("a", "workload", "huge")["status"]

"""Check that trouble is reported where users look for it, and ends when its cause is gone."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from tests.e2e.kubectl import Refused
from tests.e2e.objects import IMAGE, condition, eventually, expect_free, secret, workload

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from tests.e2e.process import Dev

FAIL = "simulator.metal3.io/fail"
NAMESPACE = "tenant-a"


@pytest.fixture(scope="module")
def running(make_dev: Callable[..., Dev]) -> Dev:
    dev = make_dev("--hosts", "4").start()
    eventually(lambda: _free(dev))
    return dev


@pytest.fixture
def dev(running: Dev) -> Iterator[Dev]:
    """Yield dev mode, and free every host afterwards."""
    yield running
    running.hardware("annotate", "bmh", "--all", f"{FAIL}-")
    running.user(NAMESPACE)("delete", "workloads", "--all", "--timeout=60s")
    eventually(lambda: _free(running))


def test_failed_provisioning_shows_and_is_tried_again(dev: Dev) -> None:
    tenant = dev.user(NAMESPACE)
    dev.hardware("annotate", "bmh", "--all", f"{FAIL}=provisioning")
    tenant.apply(workload("w"))
    tenant.wait("workload/w", "jsonpath={.status.phase}=Failed")
    found = tenant.json("get", "workload", "w")
    status, reason, message = condition(found, "Ready")
    assert status == "False"
    assert reason
    assert "redfish" not in str(found)
    assert message or found["status"]["errorMessage"]
    dev.hardware("annotate", "bmh", "--all", f"{FAIL}-")
    tenant.wait("workload/w", "jsonpath={.status.phase}=Running", seconds=60)
    assert condition(tenant.json("get", "workload", "w"), "Ready")[0] == "True"


def test_failed_power_shows_without_the_bmcs_address(dev: Dev) -> None:
    tenant = dev.user(NAMESPACE)
    tenant.apply(workload("w"))
    tenant.wait("workload/w", "jsonpath={.status.phase}=Running")
    dev.hardware("annotate", "bmh", "--all", f"{FAIL}=power")
    tenant("patch", "workload", "w", "--type=merge", "-p", '{"spec":{"online":false}}')
    eventually(lambda: _error(dev, "power"))
    assert "192.0.2." not in tenant("get", "workloads,bmh,events", "-o", "yaml")
    dev.hardware("annotate", "bmh", "--all", f"{FAIL}-")
    tenant.wait("workload/w", "jsonpath={.status.phase}=Stopped")
    tenant("patch", "workload", "w", "--type=merge", "-p", '{"spec":{"online":true}}')
    tenant.wait("workload/w", "jsonpath={.status.phase}=Running")


def test_failed_cleaning_keeps_the_host_from_others_until_it_worked(dev: Dev) -> None:
    tenant = dev.user(NAMESPACE)
    tenant.apply(workload("w"))
    tenant.wait("workload/w", "jsonpath={.status.phase}=Running")
    name = tenant.json("get", "workload", "w")["status"]["host"]["name"]
    dev.hardware("annotate", "bmh", name, f"{FAIL}=deprovisioning")
    tenant("delete", "workload", "w", "--wait=false")
    dev.hardware.wait(f"bmh/{name}", "jsonpath={.status.errorType}=provisioning error")
    assert name not in {view["metadata"]["name"] for view in dev.user("tenant-b").items("bmh")}
    dev.hardware("annotate", "bmh", name, f"{FAIL}-")
    tenant.wait("workload/w", "delete", seconds=60)
    eventually(lambda: _offered(dev, name))


def test_an_unknown_class_says_so_until_it_is_there(dev: Dev) -> None:
    tenant = dev.user(NAMESPACE)
    tenant.apply(workload("w", className="metl"))
    tenant.wait("workload/w", "jsonpath={.status.phase}=Pending")
    eventually(lambda: _says(dev, "Bound", "metl"))
    with pytest.raises(Refused, match="className"):
        tenant("patch", "workload", "w", "--type=merge", "-p", '{"spec":{"online":"yes","className":1}}')


def test_a_missing_secret_is_waited_for(dev: Dev) -> None:
    tenant = dev.user(NAMESPACE)
    tenant.apply(workload("w", userData={"name": "later"}))
    eventually(lambda: _says(dev, "Synchronized", "later"))
    tenant.apply(secret("later", userData="#cloud-config"))
    tenant.wait("workload/w", "jsonpath={.status.phase}=Running")
    host = tenant.json("get", "workload", "w")["status"]["host"]["name"]
    assert dev.hardware.json("get", "bmh", host)["spec"]["userData"]["name"] != "later"
    tenant("delete", "secret", "later")


def test_a_selector_that_matches_nothing_waits_for_a_host(dev: Dev) -> None:
    tenant = dev.user(NAMESPACE)
    tenant.apply(workload("w", hostSelector={"matchLabels": {"size": "huge"}}))
    eventually(lambda: _says(dev, "Bound", ""))
    assert tenant.json("get", "workload", "w")["status"]["phase"] == "Pending"
    dev.hardware("label", "bmh", "host-1", "size=huge", "--overwrite")
    try:
        tenant.wait("workload/w", "jsonpath={.status.phase}=Running")
        assert tenant.json("get", "workload", "w")["status"]["host"]["name"] == "host-1"
    finally:
        dev.hardware("label", "bmh", "host-1", "size=medium", "--overwrite")


@pytest.mark.parametrize(
    ("spec", "field"),
    [
        ({"image": {**IMAGE, "format": "exe"}}, "spec.image.format"),
        ({"requirements": {"ram": "lots"}}, "spec.requirements.ram"),
        ({"customDeploy": {"method": "x"}}, "image and customDeploy exclude each other"),
        ({"onlne": True}, "unknown field"),
    ],
)
def test_what_is_malformed_is_refused_with_its_field(running: Dev, spec: dict[str, Any], field: str) -> None:
    with pytest.raises(Refused, match=field.replace(".", r"\.")):
        running.user(NAMESPACE).apply(workload("w", **spec))


def _free(dev: Dev) -> None:
    expect_free(dev.owner.items("hosts"), 4)


def _says(dev: Dev, kind: str, word: str) -> None:
    status, reason, message = condition(dev.user(NAMESPACE).json("get", "workload", "w"), kind)
    assert status == "False"
    assert reason
    assert message
    assert word in message


def _error(dev: Dev, word: str) -> None:
    found = dev.user(NAMESPACE).json("get", "workload", "w")
    assert word in found["status"].get("errorMessage", "")


def _offered(dev: Dev, name: str) -> None:
    assert name in {view["metadata"]["name"] for view in dev.user("tenant-b").items("bmh")}

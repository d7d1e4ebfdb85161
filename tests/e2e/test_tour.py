"""Follow the tour that dev mode prints, step by step."""

from __future__ import annotations

import shlex
import subprocess
from threading import Timer
from typing import TYPE_CHECKING

import pytest

from tests.e2e.kubectl import Refused
from tests.e2e.objects import eventually, expect_free, workload

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from tests.e2e.process import Dev

OWNERS_ONLY = ("192.0.2.", "host-0-bmc", "bmc-admin", "asset-tag", "AT-10", "tor-1", "simulator.metal3.io")
"""What no tenant may ever see: BMC addresses, secret names, user names, annotations, switches."""


@pytest.fixture(scope="module")
def dev(make_dev: Callable[..., Dev]) -> Dev:
    return make_dev("--hosts", "4").start()


@pytest.fixture
def phases(dev: Dev) -> Iterator[Callable[[str], list[str]]]:
    """Watch Workloads from now on, and then read the phases seen, up to and including the given
    one."""
    watch = dev.user("tenant-a").watch("workloads", "--no-headers", "--output-watch-events")
    assert watch.stdout is not None
    lines, deadline = watch.stdout, Timer(60, watch.kill)
    deadline.start()

    def until(last: str) -> list[str]:
        seen: list[str] = []
        for line in lines:
            event, _, phase, *_ = line.split()
            phase = "gone" if event == "DELETED" else phase
            if not seen or seen[-1] != phase:
                seen.append(phase)
            if phase == last:
                return seen
        raise AssertionError(f"the watch ended after {seen}")

    yield until
    deadline.cancel()
    watch.kill()
    watch.wait()
    lines.close()


def test_the_tour(dev: Dev, phases: Callable[[str], list[str]]) -> None:
    tenant = dev.user("tenant-a")
    eventually(lambda: _free(dev, 4))

    tenant("apply", "-f", str(dev.folder / "secret.yaml"), "-f", str(dev.folder / "workload.yaml"))
    assert phases("Running") == ["Pending", "Bound", "Provisioning", "Running"]
    hello = tenant.json("get", "workload", "hello")
    name = hello["status"]["host"]["name"]
    assert hello["status"]["poweredOn"] is True

    view = tenant.json("get", "bmh", name)
    assert view["spec"]["bmc"] == {"address": "", "credentialsName": ""}
    assert view["spec"]["consumerRef"]["name"] == "hello"
    assert view["metadata"]["uid"] == hello["status"]["host"]["uid"]
    host = dev.hardware.json("get", "bmh", name)
    assert host["spec"]["consumerRef"]["name"] == "hello"
    assert host["spec"]["image"]["url"] == hello["spec"]["image"]["url"]
    assert host["spec"]["bmc"]["address"].startswith("redfish")
    assert host["status"]["provisioning"]["state"] == "provisioned"
    record = next(item for item in dev.owner.items("hosts") if item["spec"].get("claimRef"))
    assert record["spec"]["claimRef"]["name"] == "hello"
    # The other tenant has lost the offer, and never saw the Workload.
    assert name not in {item["metadata"]["name"] for item in dev.user("tenant-b").items("bmh")}

    tenant("delete", "workload", "hello", "--wait=false")
    assert phases("gone")[-2:] == ["Deprovisioning", "gone"]
    eventually(lambda: _free(dev, 4))
    host = dev.hardware.json("get", "bmh", name)
    assert "image" not in host["spec"]
    assert "consumerRef" not in host["spec"]
    assert host["status"]["operationHistory"]["deprovision"]["end"]
    assert {item["metadata"]["name"] for item in dev.user("tenant-b").items("bmh")} == {f"host-{number}" for number in range(4)}
    assert [item["metadata"]["name"] for item in dev.hardware.items("secrets") if not item["metadata"]["name"].endswith("-bmc")] == []


def test_every_printed_command_works(dev: Dev) -> None:
    """Run the commands that end by themselves, in their order, in a shell as a user has one."""
    kubectl = dev.owner
    lines = [line.split("  #")[0].strip() for line in dev.output.splitlines() if line.startswith("  ")]
    assert sum("kubectl" in line for line in lines) >= 8
    script = "\n".join(["set -e", *(line for line in lines if not line.rstrip().endswith("-w"))])
    script = script.replace("kubectl", f"{shlex.quote(str(kubectl.binary))} --cache-dir {shlex.quote(str(kubectl.cache))}")
    eventually(lambda: _free(dev, 4))
    done = subprocess.run(["bash", "-c", script], capture_output=True, text=True, timeout=180, check=False, env=kubectl.environment)
    assert done.returncode == 0, done.stderr
    assert "ring-2 " in done.stdout
    assert "NoHostFits" in done.stdout, "the third member says what it waits for"
    dev.user("tenant-a")("delete", "workload", "hello", "--ignore-not-found")
    dev.hardware("annotate", "bmh", "--all", "simulator.metal3.io/fail-")


def test_nothing_of_the_owners_is_shown_to_a_tenant(dev: Dev) -> None:
    tenant = dev.user("tenant-a")
    eventually(lambda: _free(dev, 4))
    seen = "".join(tenant("get", kind, "-o", "yaml") for kind in ("workloads", "bmh", "workloadclasses", "events", "secrets"))
    seen += tenant("get", "bmh", "-o", "wide") + tenant("describe", "bmh")
    assert "host-0" in seen
    assert [word for word in OWNERS_ONLY if word in seen] == []


def test_tenants_are_kept_apart(dev: Dev) -> None:
    tenant = dev.user("tenant-a")
    for arguments in (
        ("get", "hosts"),
        ("get", "workloads", "-n", "tenant-b"),
        ("get", "workloads", "-A"),
        ("get", "secrets", "-n", "metal3-workloads-system"),
        ("delete", "workloadclass", "metal"),
        ("delete", "namespace", "tenant-a"),
    ):
        with pytest.raises(Refused, match=r"Forbidden|forbidden"):
            tenant(*arguments)


def test_a_deleted_namespace_gives_its_hosts_back(dev: Dev) -> None:
    dev.owner.apply({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "tenant-c"}})
    dev.owner.apply(workload("w", namespace="tenant-c"))
    dev.owner("wait", "-n", "tenant-c", "workload/w", "--for=jsonpath={.status.phase}=Running", "--timeout=30s")
    dev.owner("delete", "namespace", "tenant-c", "--timeout=30s")
    eventually(lambda: _free(dev, 4))
    with pytest.raises(Refused, match="not found"):
        dev.owner("get", "namespace", "tenant-c")


def _free(dev: Dev, count: int) -> None:
    expect_free(dev.owner.items("hosts"), count)


def test_protobuf_and_strategic_merge_patches_of_kubectl(dev: Dev) -> None:
    """Check the forms in which kubectl sends kinds that it was built with: protobuf, and strategic
    merge patches."""
    tenant = dev.user("tenant-b")
    tenant("create", "secret", "generic", "made", "--from-literal=userData=#cloud-config", "--from-literal=empty=")
    assert tenant.json("get", "secret", "made")["data"] == {"userData": "I2Nsb3VkLWNvbmZpZw==", "empty": ""}
    tenant("create", "configmap", "made", "--from-literal=a=1")
    tenant("label", "configmap", "made", "b=2")
    tenant("patch", "configmap", "made", "-p", '{"data":{"a":"3"}}')
    assert tenant.json("get", "configmap", "made")["data"] == {"a": "3"}
    dev.owner("create", "namespace", "made")
    dev.owner("delete", "namespace", "made", "--timeout=30s")

"""Start this version over the objects that the oldest version has stored.
tests/e2e/stored/README.md describes the stored objects."""

from __future__ import annotations

import gzip
import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from tests.e2e.kubectl import Refused
from tests.e2e.objects import eventually

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.e2e.kubectl import Kubectl
    from tests.e2e.process import Dev

STORED = Path(__file__).parent / "stored"
KINDS = ("workloads", "workloadclasses", "hosts", "baremetalhosts")
PHASES = {"hello": "Running", "reserved": "Bound", "unchecked": "Pending", "host-2": "Running", "large": "Pending"}
"""The phases of the Workloads, as they were stored."""


@pytest.fixture(scope="module")
def upgraded(make_dev: Callable[..., Dev]) -> Dev:
    """Start dev mode of this version over the databases of the oldest one."""
    dev = make_dev("--hosts", "5")
    dev.folder.mkdir(mode=0o700)
    for name in ("management", "hardware"):
        (dev.folder / f"{name}.db").write_bytes(gzip.decompress((STORED / f"{name}.db.gz").read_bytes()))
    return dev.start()


def items(kubectl: Kubectl, *arguments: str) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = json.loads(kubectl("get", *arguments, "-o", "json"))["items"]
    return found


def phases(dev: Dev) -> dict[str, str]:
    return {item["metadata"]["name"]: item["status"]["phase"] for item in items(dev.owner, "workloads", "-A")}


def hosts(dev: Dev) -> dict[str, dict[str, Any]]:
    return {item["metadata"]["name"]: item for item in items(dev.hardware, "baremetalhosts", "-A")}


def consumers(dev: Dev) -> dict[str, str]:
    return {name: item["spec"]["consumerRef"]["name"] for name, item in hosts(dev).items() if "consumerRef" in item["spec"]}


def expect(found: object, wanted: object) -> None:
    assert found == wanted


def test_every_workload_keeps_its_machine_and_its_phase(upgraded: Dev) -> None:
    connected = ("wait", "workloadclass/metal", "--for=condition=Connected", "--timeout=60s")
    upgraded.owner(*connected)
    assert phases(upgraded) == PHASES
    assert consumers(upgraded) == {"host-1": "reserved", "host-2": "host-2", "host-4": "hello"}
    for name in ("host-2", "host-4"):
        found = hosts(upgraded)[name]
        assert found["status"]["provisioning"]["state"] == "provisioned"
        # The spec of the real host has not changed since the upgrade.
        assert found["metadata"]["generation"] == 4, name


def test_bindings_have_the_state_that_was_encoded_elsewhere(upgraded: Dev) -> None:
    def states() -> dict[str, Any]:
        return {item["metadata"]["name"]: item["status"].get("binding") for item in items(upgraded.owner, "workloads", "-A")}

    wanted = {name: None if phase == "Pending" else {"state": "Confirmed"} for name, phase in PHASES.items()}
    eventually(lambda: expect(states(), wanted))


def test_an_uncleaned_host_whose_mark_names_no_uid_is_offered_to_no_namespace(upgraded: Dev) -> None:
    def dirty() -> list[str]:
        hosts = items(upgraded.owner, "hosts")
        return [item["spec"]["source"]["name"] for item in hosts if item.get("status", {}).get("reason") == "Dirty"]

    eventually(lambda: expect(dirty(), ["host-0"]))
    assert "host-0" not in {item["metadata"]["name"] for item in items(upgraded.owner, "baremetalhosts", "-A")}


@pytest.mark.parametrize("kind", KINDS)
def test_every_stored_object_can_be_read_and_written(upgraded: Dev, kind: str) -> None:
    """Check also values that would be refused today: a value that an update leaves alone stays
    accepted."""
    scope = () if kind in ("workloadclasses", "hosts") else ("-A",)
    # A free host in the view accepts nothing but a claim.
    found = [item for item in items(upgraded.owner, kind, *scope) if kind != "baremetalhosts" or "consumerRef" in item["spec"]]
    assert found
    for item in found:
        metadata = item["metadata"]
        where = ("-n", metadata["namespace"]) if "namespace" in metadata else ()
        upgraded.owner("label", kind, metadata["name"], *where, "upgraded=yes")
        upgraded.owner("annotate", kind, metadata["name"], *where, "upgraded=yes", "--overwrite")
        (again,) = (new for new in items(upgraded.owner, kind, *scope) if new["metadata"]["uid"] == metadata["uid"])
        again["metadata"].pop("resourceVersion")
        upgraded.owner("replace", "-f", "-", stdin=json.dumps(again))


def test_what_stays_accepted_is_refused_in_a_new_object(upgraded: Dev) -> None:
    (old,) = (item for item in items(upgraded.owner, "workloads", "-n", "tenant-a") if item["metadata"]["name"] == "unchecked")
    new = {**old, "metadata": {"name": "new", "namespace": "tenant-a"}}
    with pytest.raises(Refused, match="Invalid value"):
        upgraded.owner("create", "-f", "-", stdin=json.dumps(new))


def test_waiting_workloads_continue_after_the_upgrade(upgraded: Dev) -> None:
    """Check that waiting Workloads continue, and that everything can be released."""
    upgraded.owner(
        "patch", "workload", "large", "-n", "tenant-b", "--type=merge", "-p", '{"spec": {"requirements": {"cpuCount": 1, "ram": null}}}'
    )
    eventually(lambda: expect(phases(upgraded)["large"], "Bound"))
    upgraded.owner("delete", "workloads", "--all", "-A", "--timeout=60s")
    eventually(lambda: expect(consumers(upgraded), {}))
    assert items(upgraded.owner, "workloads", "-A") == []

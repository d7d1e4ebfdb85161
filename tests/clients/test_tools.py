"""Send the requests of Terraform, Ansible and Velero, which must work as docs/automation.md and
docs/velero.md describe."""

from __future__ import annotations

import copy
import json
from typing import TYPE_CHECKING, Any

from tests.integration.objects import workload
from tests.integration.running import ADMIN, eventually

if TYPE_CHECKING:
    from tests.integration.running import Running

DROPPED = ("uid", "resourceVersion", "generation", "creationTimestamp", "ownerReferences")
"""What Velero removes from the metadata of an object that it restores. It keeps finalizers and
managedFields."""


def manifest(name: str) -> dict[str, Any]:
    """Return a Workload with quantities and lists, and without the fields that the server fills
    in."""
    found = workload(name, requirements={"cpuCount": 2, "ram": "4Gi"}, updatePolicy="OnDelete")
    return {**found, "metadata": {"name": name, "namespace": "a", "labels": {"made-by": "a-tool"}}}


def server_side_apply(cluster: Running, obj: dict[str, Any], manager: str) -> dict[str, Any]:
    """Apply by force as one manager, as Terraform's kubernetes_manifest does it."""
    flags = ("--server-side", "--force-conflicts", f"--field-manager={manager}", "--output=json", "--filename=-")
    return dict(json.loads(cluster.kubectl("a", "apply", *flags, stdin=obj)))


def contains(found: Any, wanted: Any) -> bool:
    """Return whether all that is wanted is found as it was sent."""
    if isinstance(wanted, dict):
        return isinstance(found, dict) and all(contains(found.get(key), value) for key, value in wanted.items())
    return bool(found == wanted)


def test_a_second_apply_of_a_manifest_changes_nothing(tenants: Running) -> None:
    wanted = manifest("terraform")
    first = server_side_apply(tenants, wanted, "Terraform")
    assert contains(first, wanted), "kubernetes_manifest reports an inconsistent result for each field that is not as it was sent"
    tenants.kubectl("a", "wait", "--for=condition=Ready", "workload/terraform", "--timeout=120s")
    settled = tenants.get("a", "workload", "terraform")
    again = server_side_apply(tenants, wanted, "Terraform")
    assert contains(again, wanted)
    assert again["metadata"]["generation"] == settled["metadata"]["generation"]
    tenants.kubectl("a", "delete", "workload", "terraform", "--timeout=120s")


def test_fields_that_the_server_fills_in_stay_when_a_tool_applies_without_them(tenants: Running) -> None:
    wanted = manifest("ansible")
    tenants.kubectl("a", "apply", "--filename=-", stdin=wanted)
    tenants.kubectl("a", "wait", "--for=condition=Ready", "workload/ansible", "--timeout=120s")
    before = tenants.get("a", "workload", "ansible")["spec"]
    tenants.kubectl("a", "apply", "--filename=-", stdin={**wanted, "spec": {**wanted["spec"], "online": False}})
    after = tenants.get("a", "workload", "ansible")["spec"]
    assert after == {**before, "online": False}
    tenants.kubectl("a", "delete", "workload", "ansible", "--timeout=120s")


def restored(obj: dict[str, Any]) -> dict[str, Any]:
    """Return the object as Velero creates it: without status, with its own labels."""
    found = copy.deepcopy({key: value for key, value in obj.items() if key != "status"})
    found["metadata"] = {key: value for key, value in found["metadata"].items() if key not in DROPPED}
    found["metadata"]["labels"] = {**found["metadata"].get("labels", {}), "velero.io/restore-name": "monday"}
    return found


def test_a_restored_workload_gets_a_machine_and_can_be_deleted(tenants: Running) -> None:
    tenants.kubectl("a", "create", "--filename=-", stdin=manifest("velero"))
    tenants.kubectl("a", "wait", "--for=condition=Ready", "workload/velero", "--timeout=120s")
    saved = tenants.get("a", "workload", "velero", "--show-managed-fields")
    assert saved["metadata"]["finalizers"], "a Workload with a host has a finalizer, which Velero restores"
    tenants.kubectl("a", "delete", "workload", "velero", "--timeout=120s")
    tenants.kubectl("a", "create", "--filename=-", stdin=restored(saved))
    tenants.kubectl("a", "wait", "--for=condition=Ready", "workload/velero", "--timeout=120s")
    tenants.kubectl("a", "delete", "workload", "velero", "--timeout=120s")


def test_a_restored_workload_that_waits_can_be_deleted(tenants: Running) -> None:
    waiting = manifest("velero-waits")
    waiting["metadata"]["finalizers"] = ["workload.metal3.io/release"]
    waiting["spec"]["requirements"] = {"cpuCount": 100_000}
    tenants.kubectl("a", "create", "--filename=-", stdin=restored(waiting))
    tenants.kubectl("a", "delete", "workload", "velero-waits", "--timeout=60s")


def test_a_view_cannot_be_restored(tenants: Running) -> None:
    views = eventually(lambda: tenants.items("a", "bmh"))
    refused = tenants.try_kubectl(ADMIN, "create", "--filename=-", stdin=restored(views[0]))
    assert refused.returncode != 0
    assert "MethodNotAllowed" in refused.stderr

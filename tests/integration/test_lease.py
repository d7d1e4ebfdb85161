"""Let a lease end on real clusters. A restart of the server and a write to the status do not change
its end; an extension does."""

from __future__ import annotations

import json

from tests.integration import running
from tests.integration.conftest import all_free
from tests.integration.objects import workload
from tests.integration.running import ADMIN, Running, eventually


def extend(cluster: Running, seconds: int) -> str:
    """Ask for another length as the tenant. Return what kubectl says."""
    patch = json.dumps({"spec": {"lease": {"durationSeconds": seconds}}})
    done = cluster.try_kubectl("a", "patch", "workload", "lent", "--type=merge", "-p", patch)
    return done.stdout + done.stderr


def test_a_lease_is_extended_survives_the_server_and_ends(tenants: Running) -> None:
    tenants.kubectl("a", "create", "-f", "-", stdin=workload("lent", image=None, lease={"durationSeconds": 3600}))
    eventually(lambda: "lease" in tenants.get("a", "workload", "lent").get("status", {}))
    before = tenants.get("a", "workload", "lent")["status"]["lease"]
    assert before["expirationTimestamp"] in tenants.kubectl("a", "get", "workloads", "-o", "wide")
    stolen = json.dumps({"status": {"lease": {"startTime": before["startTime"], "expirationTimestamp": "2099-01-01T00:00:00Z"}}})
    tenants.kubectl(ADMIN, "patch", "workload", "lent", "-n", "a", "--subresource=status", "--type=merge", "-p", stolen)
    running.restart(tenants, "apiserver", "--kill")
    eventually(lambda: tenants.get("a", "workload", "lent")["status"]["lease"] == before)
    assert "must be" in extend(tenants, 0) or "greater than" in extend(tenants, 0)
    assert "patched" in extend(tenants, 7200)
    after = tenants.get("a", "workload", "lent")["status"]["lease"]
    assert (after["startTime"], after["expirationTimestamp"] > before["expirationTimestamp"]) == (before["startTime"], True)
    eventually(lambda: "would be over already" in extend(tenants, 1))

    def shortened() -> bool:
        """Return whether the rest of the lease is a few seconds, which depends on the time so
        far."""
        return any("patched" in extend(tenants, seconds) for seconds in range(5, 600, 5))

    assert shortened()
    tenants.kubectl("a", "wait", "--for=delete", "workload/lent", "--timeout=90s")
    reasons = {event["reason"] for event in tenants.items("a", "events")}
    assert {"LeaseEnds", "LeaseEnded"} <= reasons
    eventually(lambda: all_free(tenants), seconds=90)

"""Run kopf: a tenant's operator that puts a finalizer on Workloads and follows their creation,
change and deletion."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from tests.clients.identities import service_account
from tests.integration.objects import workload
from tests.integration.running import eventually

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.integration.running import Running

OPERATOR = Path(__file__).with_name("kopf_operator.py")
WORKLOAD = "workloads.workload.metal3.io"
# kopf's own documentation asks for these beside the rights on the kind.
RIGHTS = [
    {"apiGroups": ["apiextensions.k8s.io"], "resources": ["customresourcedefinitions"], "verbs": ["list", "watch"]},
    {"apiGroups": [""], "resources": ["namespaces"], "verbs": ["list", "watch"]},
]


@pytest.fixture
def operator(tenants: Running, tmp_path: Path) -> Iterator[Path]:
    """Run the operator in tenant a's namespace, and yield its log."""
    kubeconfig, log = service_account(tenants, "a", "operator", everywhere=RIGHTS), tmp_path / "log"
    argv = [sys.executable, "-m", "kopf", "run", str(OPERATOR), "--namespace=a", "--standalone", "--log-format=json"]
    environment = {"PATH": os.environ["PATH"], "HOME": str(tmp_path), "KUBECONFIG": str(kubeconfig)}
    with log.open("w") as out, subprocess.Popen(argv, stdout=out, stderr=subprocess.STDOUT, env=environment, cwd=tmp_path) as process:
        try:
            eventually(lambda: "is at work" in log.read_text() or _ended(process, log), seconds=90)
            yield log
        finally:
            process.send_signal(signal.SIGTERM)
            process.wait(timeout=60)


def _ended(process: subprocess.Popen[bytes], log: Path) -> bool:
    assert process.poll() is None, log.read_text()
    return False


def test_an_operator_follows_a_workload(tenants: Running, operator: Path) -> None:
    tenants.kubectl("a", "apply", "-f", "-", stdin=workload("operated"))
    eventually(lambda: "created operated" in operator.read_text())
    made = eventually(lambda: _annotated(tenants, "1"))
    assert "kopf.zalando.org/KopfFinalizerMarker" in made["metadata"]["finalizers"]
    tenants.kubectl("a", "wait", f"{WORKLOAD}/operated", "--for=jsonpath={.status.phase}=Running", "--timeout=60s")
    tenants.kubectl("a", "patch", WORKLOAD, "operated", "--type=merge", "-p", json.dumps({"spec": {"online": False}}))
    eventually(lambda: "updated operated: online is False" in operator.read_text())
    tenants.kubectl("a", "delete", WORKLOAD, "operated", "--timeout=60s")
    assert "deleted operated" in operator.read_text()
    events = tenants.items("a", "events", "--field-selector=involvedObject.name=operated,reason=Operated")
    assert events[0]["involvedObject"]["uid"] == made["metadata"]["uid"]
    assert '"severity": "error"' not in operator.read_text()


def _annotated(cluster: Running, value: str) -> dict[str, object] | None:
    found = cluster.get("a", WORKLOAD, "operated")
    return found if found["metadata"].get("annotations", {}).get("example.com/operated") == value else None

"""Check that kubectl get, watch, describe, explain, events, api-resources and auth work as for a
kind of kube-apiserver itself."""

from __future__ import annotations

import json
import re
import subprocess
from typing import TYPE_CHECKING

import pytest

from apiserver.registry.workload import WORKLOADS
from tests.clients.kubectl.serverpair import GROUP, KIND, NAMESPACES, ServerPair, blank, for_twin
from tests.integration.running import eventually

if TYPE_CHECKING:
    from pathlib import Path

PATH = f"/apis/{GROUP}/v1alpha1/namespaces/ours/workloads"
SCHEMA = f"--api-version={GROUP}/v1alpha1"


@pytest.fixture(scope="module", autouse=True)
def three(pair: ServerPair) -> None:
    """Create three objects to look at, one of them with a status."""
    for name in ("web", "db", "cache"):
        pair.make(name, labels={"app": name, "tier": "test"}, userData={"name": "first-boot"})
    condition = {
        "type": "Ready",
        "status": "True",
        "reason": "Provisioned",
        "message": "It runs.",
        "lastTransitionTime": "2026-01-02T03:04:05Z",
    }
    pair.status("web", {"phase": "Running", "poweredOn": True, "conditions": [condition]})


@pytest.mark.parametrize(
    "options",
    [
        "",
        "-o wide",
        "-o yaml",
        "-o json",
        "-o name",
        "web -o yaml",
        "web -o json",
        "web db",
        "-o jsonpath={.items[*].spec.image.url}",
        "-o custom-columns=NAME:.metadata.name,PHASE:.status.phase,READY:.status.conditions[?(@.type=='Ready')].status",
        "-o go-template={{range.items}}{{.metadata.name}},{{end}}",
        "--show-labels",
        "-L app",
        "-l app=web",
        "-l app!=web,tier",
        "--field-selector metadata.name=db",
        "--sort-by .metadata.labels.app",
        "--no-headers",
        "--show-kind",
        "--chunk-size=1",
        "--server-print=false",
        "none --ignore-not-found",
        "web --subresource=status -o yaml",
    ],
)
def test_get(pair: ServerPair, options: str) -> None:
    said = pair.same("get", KIND, *options.split())
    assert ("none" in options) == (said == "")


@pytest.mark.parametrize("options", ["none", "web none"])
def test_get_of_a_missing_object(pair: ServerPair, options: str) -> None:
    said = pair.same("get", KIND, *options.split(), code=1)
    assert 'workloads.workload.metal3.io "none" not found' in said


def test_a_selector_that_is_none(pair: ServerPair) -> None:
    ours, twin = (pair.run(which, "get", KIND, "--field-selector", "spec.nothing=x") for which in NAMESPACES)
    assert ours.code == twin.code == 1
    # Our server says in addition which selectors there are.
    supported = ", ".join(sorted({"metadata.name", "metadata.namespace", *(WORKLOADS.fields or {})}))
    assert ours.err == f"{twin.err.rstrip()}; supported are: {supported}\n"


def test_watch(pair: ServerPair, tmp_path: Path) -> None:
    """Check that -w prints a row for each existing object and for every change."""
    seen = [_watched(pair, which, tmp_path / which) for which in NAMESPACES]
    assert seen[0] == seen[1]
    assert [row.split()[:2] for row in seen[0]] == [["EVENT", "NAME"], ["ADDED", "seen"], ["MODIFIED", "seen"], ["DELETED", "seen"]]


def _watched(pair: ServerPair, which: str, log: Path) -> list[str]:
    pair.make("seen") if which == "ours" else None
    kind = for_twin(KIND, which)
    command = pair.command(which, "get", kind, "-w", "--output-watch-events", "--field-selector=metadata.name=seen")
    with log.open("w") as out, subprocess.Popen(command, stdout=out, env=pair.environment()) as watch:
        try:
            eventually(lambda: "ADDED" in log.read_text(), seconds=90)
            assert pair.raw(which, "label", kind, "seen", "a=b").code == 0
            eventually(lambda: "MODIFIED" in log.read_text(), seconds=90)
            assert pair.raw(which, "delete", kind, "seen").code == 0
            eventually(lambda: "DELETED" in log.read_text(), seconds=90)
        finally:
            watch.terminate()
    return blank(log.read_text()).splitlines()


def test_describe(pair: ServerPair) -> None:
    assert "Last Transition Time:" in pair.same("describe", KIND, "web")
    pair.same("describe", KIND)
    pair.same("describe", KIND, "none", code=1)


def test_describe_and_events_show_events(pair: ServerPair) -> None:
    for which in NAMESPACES:
        assert pair.raw(which, "create", "-f", "-", stdin=for_twin(json.dumps(_event(pair, which)), which)).code == 0
    described = pair.same("describe", KIND, "db")
    assert re.search(r"Normal +HostBound +AGE +default-scheduler +It has a host", described)
    assert "HostBound" in pair.same("events", "--for", f"{KIND}/db")
    assert "HostBound" in pair.same("get", "events", "--field-selector", "involvedObject.name=db,involvedObject.kind=Workload")


def _event(pair: ServerPair, which: str) -> dict[str, object]:
    uid = pair.raw(which, "get", for_twin(KIND, which), "db", "-o", "jsonpath={.metadata.uid}").out
    involved = {"apiVersion": f"{GROUP}/v1alpha1", "kind": "Workload", "name": "db", "namespace": which, "uid": uid}
    now = subprocess.run(["date", "-u", "+%Y-%m-%dT%H:%M:%SZ"], capture_output=True, text=True, check=True).stdout.strip()
    return {
        "apiVersion": "v1", "kind": "Event", "metadata": {"name": "db.1", "namespace": which}, "involvedObject": involved,
        "reason": "HostBound", "message": "It has a host", "type": "Normal", "source": {"component": "default-scheduler"},
        "firstTimestamp": now, "lastTimestamp": now, "count": 1,
    }  # fmt: skip


@pytest.mark.parametrize("field", ["ram", "storage"])
def test_explain_of_a_quantity_says_so(pair: ServerPair, field: str) -> None:
    """Check that explain names a quantity as such. For a custom resource it prints <Object>,
    because kubectl knows no type for the field."""
    assert f"FIELD: {field} <Quantity>" in pair.raw("ours", "explain", f"workloads.spec.requirements.{field}", SCHEMA).out


@pytest.mark.parametrize("path", ["workloads.spec", "workloads.spec.image.url", "workloads.status.conditions"])
def test_explain(pair: ServerPair, path: str) -> None:
    assert "Workload" in pair.same("explain", *path.split(), SCHEMA)


def test_explain_everything(pair: ServerPair) -> None:
    ours, twin = (pair.run(which, "explain", "workloads", "--recursive", SCHEMA) for which in NAMESPACES)
    assert (ours.code, ours.out.replace("Quantity>", "Object>")) == (0, twin.out)


def test_explain_of_a_field_that_is_not_there(pair: ServerPair) -> None:
    assert 'field "nothing" does not exist' in pair.same("explain", "workloads.nothing", SCHEMA, code=1)


def test_discovery(pair: ServerPair) -> None:
    """Check that api-resources says the same of the kind. Kinds that the twin's group does not have
    are ours alone."""
    rows = [pair.run(which, "api-resources", f"--api-group={GROUP}", "-o", "wide").out.splitlines()[1:] for which in NAMESPACES]
    ours, twin = (next(_facts(row) for row in of if row.startswith("workloads ")) for of in rows)
    assert ours == twin
    pair.same("get", "--raw", f"/apis/{GROUP}")
    assert "workloads.workload.metal3.io" in pair.raw("ours", "api-resources", "--categories=all", "-o", "name").out.split()
    assert f"{GROUP}/v1alpha1" in pair.raw("ours", "api-versions").out.split()


def _facts(row: str) -> list[object]:
    """Return the columns of a row, each as a sorted list: verbs are a set."""
    return [sorted(column.split(",")) for column in row.split()]


def test_raw(pair: ServerPair) -> None:
    documents = [json.loads(pair.run(which, "get", "--raw", f"{PATH}/web").out) for which in NAMESPACES]
    for document in documents:
        # Another manager wrote the twin's initial phase.
        del document["metadata"]["managedFields"]
    assert documents[0] == documents[1]
    pair.same("get", "--raw", f"{PATH}/none", code=1)
    pair.same("get", "--raw", f"/apis/{GROUP}/v1alpha1/namespaces/ours/nothings", code=1)


def test_auth_can_i(pair: ServerPair) -> None:
    assert pair.same("auth", "can-i", "delete", KIND).strip() == "yes"
    tenant = ["--as=tenant-a", "--namespace=a"]
    listed = pair.raw("ours", "auth", "can-i", "--list", *tenant).out
    (verbs,) = [row.partition("[] ")[2] for row in listed.splitlines() if row.startswith(f"{KIND} ")]
    assert "[get list watch create update patch delete deletecollection]" in verbs
    assert pair.raw("ours", "auth", "can-i", "create", KIND, *tenant).out.strip() == "yes"
    assert pair.raw("ours", "auth", "can-i", "create", KIND, "--as=tenant-a", "--namespace=b").out.strip() == "no"
    assert pair.raw("ours", "auth", "can-i", "patch", KIND, "--subresource=status", *tenant).out.strip() == "no"

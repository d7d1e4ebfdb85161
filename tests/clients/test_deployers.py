"""Deploy a tenant's objects as Helm 3, Helm 4, Argo CD and Flux do, by the libraries that they are
made of.

Argo CD runs kubectl's own code for each of its ways to apply. The tests call kubectl with the same
field manager and options. docs/gitops.md promises what is tested here.
"""

from __future__ import annotations

import json
import subprocess
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
import yaml

from controllers.runtime.conditions import condition
from controllers.workload.stalled import STALLING_REASONS, workload_conditions
from tests.integration.objects import secret, workload
from tests.integration.running import ADMIN, ROOT, Running, eventually

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

DEPLOYERS = Path(__file__).parents[1] / "deployers"
SECONDS = 180
ARGO = ("--server-side", "--force-conflicts", "--field-manager=argocd-controller")
Object = dict[str, Any]


@pytest.fixture(scope="session")
def binary() -> Path:
    """Build the deployers, and return the path of the binary."""
    return Path(subprocess.run([DEPLOYERS / "build"], stdout=subprocess.PIPE, text=True, check=True).stdout.strip())


class Deployer:
    """Run one tool as tenant a."""

    def __init__(self, cluster: Running, binary: Path, tool: str) -> None:
        self.cluster, self.binary, self.tool = cluster, binary, tool

    def run(self, action: str, *objects: Object, **options: str) -> Any:
        """Run one command, which has to succeed, and return its output."""
        done = self.attempt(action, *objects, **options)
        assert done.returncode == 0, f"{self.tool} {action}: {done.stderr}"
        return json.loads(done.stdout)

    def attempt(self, action: str, *objects: Object, **options: str) -> subprocess.CompletedProcess[str]:
        """Run one command, and return the completed process."""
        argv = [
            *(str(self.binary), f"--kubeconfig={self.cluster.kubeconfig('a')}", "--namespace=a", "--name=shop"),
            *(f"--options={json.dumps(options)}", self.tool, action),
        ]
        environment = {"HOME": str(self.cluster.root), "HELM_CACHE_HOME": str(self.cluster.root / "helm")}
        text = json.dumps(objects)
        return subprocess.run(argv, input=text, capture_output=True, text=True, check=False, timeout=SECONDS, env=environment)


@pytest.fixture
def tool(tenants: Running, binary: Path) -> Callable[[str], Deployer]:
    """Return how to get a tool on the shared cluster."""
    return lambda name: Deployer(tenants, binary, name)


@pytest.fixture(autouse=True)
def emptied(tenants: Running) -> Iterator[None]:
    """Delete the Secrets of these tests afterwards. `tenants` deletes the Workloads."""
    yield
    tenants.kubectl("a", "delete", "secret", "shop-boot", "--ignore-not-found")
    tenants.kubectl("a", "delete", "secrets", "--selector=owner=helm")


def shop(**spec: Any) -> list[Object]:
    """Return first-boot data and a Workload that uses it, as people write them: without fields that
    have defaults."""
    boots = secret("shop-boot", userData="#cloud-config\n")
    boots["data"] = {"userData": "I2Nsb3VkLWNvbmZpZwo="}
    del boots["stringData"]
    runs = workload("shop", userData={"name": "shop-boot"}, requirements={"cpuCount": 2, "ram": "4Gi"}, **spec)
    for item in (boots, runs):
        item["metadata"]["namespace"] = "a"
    return [boots, runs]


def live(cluster: Running, kind: str = "workload", name: str = "shop") -> Object:
    return cluster.get("a", kind, name, "--show-managed-fields")


def settled(cluster: Running) -> Object:
    """Wait until the Workload runs, and return it."""
    cluster.kubectl("a", "wait", "--for=condition=Ready", "workload/shop", "--timeout=120s")
    return live(cluster)


def written(cluster: Running) -> list[tuple[str, Any]]:
    """Return what changes with every write to the Workload and to its Secret."""
    found = [live(cluster)["metadata"], live(cluster, "secret", "shop-boot")["metadata"]]
    return [(item["resourceVersion"], item.get("generation")) for item in found]


def is_gone(cluster: Running) -> bool:
    return cluster.try_kubectl("a", "get", "workload", "shop").returncode != 0


@pytest.mark.parametrize("name", ["helm3", "helm4"])
def test_a_helm_release(tenants: Running, tool: Callable[[str], Deployer], name: str) -> None:
    helm = tool(name)
    assert helm.run("install", *shop()) == {"version": 1, "status": "deployed"}
    first = settled(tenants)
    if name == "helm4":
        assert {item["type"]: item["status"] for item in first["status"]["conditions"]}["Ready"] == "True"
    before = written(tenants)
    helm.run("upgrade", *shop())
    assert written(tenants) == before, "an upgrade without a change writes nothing"

    helm.run("upgrade", *shop(updatePolicy="Recreate"))
    changed = live(tenants)
    assert changed["spec"] == {**first["spec"], "updatePolicy": "Recreate"}
    helm.run("upgrade", *shop())
    assert live(tenants)["spec"] == first["spec"], "a field that the chart leaves out again gets its default back"

    helm.run("rollback", version="3")
    assert live(tenants)["spec"] == changed["spec"]
    assert live(tenants)["metadata"]["uid"] == first["metadata"]["uid"]
    assert live(tenants)["status"]["host"] == first["status"]["host"]
    helm.run("uninstall")
    eventually(lambda: is_gone(tenants))


@pytest.mark.parametrize("options", [{}, {"force-conflicts": "true"}], ids=["as it is", "forced"])
def test_a_release_of_helm_3_is_continued_by_helm_4(tenants: Running, tool: Callable[[str], Deployer], options: dict[str, str]) -> None:
    tool("helm3").run("install", *shop(updatePolicy="Recreate"))
    tool("helm3").run("upgrade", *shop(updatePolicy="Recreate"))
    first = settled(tenants)
    helm = tool("helm4")
    helm.run("upgrade", *shop(updatePolicy="Recreate"), **options)
    assert live(tenants)["spec"] == first["spec"]
    before = written(tenants)
    helm.run("upgrade", *shop(updatePolicy="Recreate"), **options)
    assert written(tenants) == before
    helm.run("upgrade", *shop(), **options)
    assert live(tenants)["spec"] == {**first["spec"], "updatePolicy": "OnDelete"}
    helm.run("rollback", version="2", **options)
    assert live(tenants)["spec"] == first["spec"]
    helm.run("uninstall")
    eventually(lambda: is_gone(tenants))


def test_flux_applies_only_what_differs_and_prunes(tenants: Running, tool: Callable[[str], Deployer]) -> None:
    flux = tool("flux")
    assert set(flux.run("apply", *shop()).values()) == {"created"}
    flux.run("wait", *shop())
    first, before = settled(tenants), written(tenants)
    assert set(flux.run("diff", *shop()).values()) == {"unchanged"}
    assert set(flux.run("apply", *shop()).values()) == {"unchanged"}
    assert written(tenants) == before

    assert flux.run("apply", *shop(updatePolicy="Recreate"))["Workload/a/shop"] == "configured"
    flux.run("apply", *shop())
    assert live(tenants)["spec"] == first["spec"]
    labels = {**shop()[1], "metadata": {**shop()[1]["metadata"], "labels": {"tier": "front"}}}
    flux.run("apply", shop()[0], labels)
    tenants.kubectl("a", "label", "workload", "shop", "tier=back", "--overwrite")
    assert flux.run("diff", labels)["Workload/a/shop"] == "configured", "a drift of a field that Git sets is found"
    flux.run("apply", labels)
    assert live(tenants)["metadata"]["labels"]["tier"] == "front"
    flux.run("prune", *shop())
    eventually(lambda: is_gone(tenants))


def test_flux_takes_over_what_kubectl_has_applied(tenants: Running, tool: Callable[[str], Deployer]) -> None:
    tenants.kubectl("a", "apply", "--filename=-", stdin=shop(updatePolicy="Recreate"))
    first = settled(tenants)
    flux = tool("flux")
    flux.run("apply", *shop(updatePolicy="Recreate"))
    assert live(tenants)["spec"] == first["spec"]
    assert not [entry for entry in live(tenants)["metadata"]["managedFields"] if entry["manager"].startswith("kubectl")]
    before = written(tenants)
    flux.run("apply", *shop(updatePolicy="Recreate"))
    assert written(tenants) == before
    flux.run("apply", *shop())
    assert live(tenants)["spec"] == {**first["spec"], "updatePolicy": "OnDelete"}, "the former manager holds no field"
    flux.run("prune", *shop())


def test_argo_cd_syncs_by_client_side_apply_and_moves_to_server_side_apply(tenants: Running, tool: Callable[[str], Deployer]) -> None:
    argo = tool("argo")
    tenants.kubectl("a", "apply", "--filename=-", stdin=shop())
    first = settled(tenants)
    assert argo.run("diff", shop()[1], live(tenants)) == [{}], "what the server fills in is no difference"
    before = written(tenants)
    tenants.kubectl("a", "apply", "--filename=-", stdin=shop())
    assert written(tenants) == before
    tenants.kubectl("a", "label", "workload", "shop", "tier=back")
    assert argo.run("diff", shop()[1], live(tenants)) == [{}], "a field that Git does not set is no difference"
    assert argo.run("diff", shop(updatePolicy="Recreate")[1], live(tenants)) != [{}]

    for _ in range(2):
        reported = tenants.try_kubectl("a", "apply", *ARGO, "--filename=-", stdin=shop())
        assert (reported.returncode, reported.stderr) == (0, "")
    assert live(tenants)["spec"] == first["spec"]
    before = written(tenants)
    tenants.kubectl("a", "apply", *ARGO, "--filename=-", stdin=shop())
    assert written(tenants) == before
    dry = json.loads(tenants.kubectl("a", "apply", *ARGO, "--dry-run=server", "--output=json", "--filename=-", stdin=shop()[1]))
    assert dry["spec"] == live(tenants)["spec"], "Argo CD's server-side diff compares the dry run with what is there"
    tenants.kubectl("a", "apply", *ARGO, "--filename=-", stdin=shop(updatePolicy="Recreate"))
    tenants.kubectl("a", "apply", *ARGO, "--filename=-", stdin=shop())
    assert live(tenants)["spec"] == first["spec"]


def test_argo_cd_replaces(tenants: Running) -> None:
    """Send what the sync option Replace=true sends."""
    tenants.kubectl("a", "create", "--filename=-", stdin=shop(updatePolicy="Recreate"))
    first = settled(tenants)
    tenants.kubectl("a", "replace", "--filename=-", stdin=shop())
    found = live(tenants)
    assert found["spec"] == {**first["spec"], "updatePolicy": "OnDelete"}
    assert found["metadata"]["uid"] == first["metadata"]["uid"]


def test_two_managers_share_a_workload(tenants: Running, tool: Callable[[str], Deployer]) -> None:
    """Let a second manager of server-side apply own one field beside Flux."""
    flux = tool("flux")
    flux.run("apply", *shop())
    settled(tenants)
    partial = {**shop()[1], "spec": {"updatePolicy": "Recreate"}}
    tenants.kubectl("a", "apply", "--server-side", "--field-manager=ops", "--filename=-", stdin=partial)
    assert flux.run("apply", *shop())["Workload/a/shop"] == "unchanged"
    assert live(tenants)["spec"]["updatePolicy"] == "Recreate"
    without = {key: value for key, value in partial.items() if key != "spec"}
    tenants.kubectl("a", "apply", "--server-side", "--field-manager=ops", "--filename=-", stdin=without)
    assert live(tenants)["spec"]["updatePolicy"] == "OnDelete"


def test_labels_of_a_view_can_be_applied(tenants: Running, tool: Callable[[str], Deployer]) -> None:
    """Apply to a machine's BareMetalHost, which the server creates and GitOps never prunes."""
    flux = tool("flux")
    flux.run("apply", *shop())
    name = settled(tenants)["status"]["host"]["name"]
    view = {
        "apiVersion": "metal3.io/v1alpha1",
        "kind": "BareMetalHost",
        "metadata": {"name": name, "namespace": "a", "labels": {"tier": "front"}},
    }
    assert flux.run("apply", view) == {f"BareMetalHost/a/{name}": "configured"}
    assert flux.run("apply", view) == {f"BareMetalHost/a/{name}": "unchanged"}
    assert flux.run("diff", view) == {f"BareMetalHost/a/{name}": "unchanged"}
    assert live(tenants, "baremetalhosts.metal3.io", name)["metadata"]["labels"]["tier"] == "front"


def test_a_wait_ends_at_once_where_waiting_does_not_help(tenants: Running, tool: Callable[[str], Deployer]) -> None:
    for name, until in (("flux", "wait"), ("helm4", "install")):
        missing = shop(className="no-such-class")
        if name == "flux":
            tool(name).run("apply", *missing)
        ended = tool(name).attempt(until, *missing)
        assert ended.returncode != 0
        assert "no-such-class" in ended.stderr or "Failed" in ended.stderr, ended.stderr
        assert "deadline" not in ended.stderr
        tool("flux").run("prune", *missing)


def test_a_new_workload_is_not_taken_for_ready(tenants: Running, tool: Callable[[str], Deployer]) -> None:
    """Read a Workload as it is before any controller has seen it."""
    new = json.loads(tenants.kubectl("a", "create", "--dry-run=server", "--output=json", "--filename=-", stdin=shop()[1]))
    assert [answer["status"] for answer in tool("kstatus").run("compute", new)] == ["InProgress"]
    assert healths(tool("argo"), new) == ["Progressing"]


def scripts() -> dict[str, str]:
    """Return the health checks that the release ships, by kind."""
    found = yaml.safe_load((ROOT / "manifests/argocd/argocd-cm.yaml").read_text())["data"]
    return {name.rpartition("_")[2]: script for name, script in found.items()}


def healths(argo: Deployer, *objects: Object) -> list[str]:
    """Return Argo CD's health of objects of one kind."""
    answers = argo.run("health", *objects, script=scripts()[objects[0]["kind"]])
    return [answer["status"] for answer in answers]


def stated(phase: str, reason: str, *, ready: bool = False, spec: Object | None = None) -> Object:
    """Return a Workload whose condition Ready has this reason."""
    found = workload("shop", **(spec or {}))
    found["metadata"]["generation"] = 1
    conditions = workload_conditions(None, [condition("Ready", ready, reason, "said", generation=1)], "2026-01-01T00:00:00Z")
    found["status"] = {"phase": phase, "observedGeneration": 1, "conditions": conditions}
    return found


STATES: list[tuple[Object, str, str]] = [
    (stated("Pending", "NoHostFits"), "Progressing", "InProgress"),
    (stated("Pending", "HostNotFree"), "Progressing", "InProgress"),
    (stated("Bound", "SecretNotFound"), "Progressing", "InProgress"),
    (stated("Provisioning", "Provisioning"), "Progressing", "InProgress"),
    (stated("Running", "PowerChanging"), "Progressing", "InProgress"),
    (stated("Running", "SourceUnavailable"), "Progressing", "InProgress"),
    (stated("Running", "Running", ready=True), "Healthy", "Current"),
    (stated("Bound", "Reserved", ready=True), "Healthy", "Current"),
    (stated("Stopped", "PoweredOff", spec={"online": False}), "Suspended", "InProgress"),
    (stated("Failed", "ProvisioningFailed"), "Degraded", "InProgress"),
    (stated("Running", "HostError"), "Degraded", "InProgress"),
    (stated("Deprovisioning", "Deprovisioning"), "Progressing", "InProgress"),
    *((stated("Pending", reason), "Degraded", "Failed") for reason in sorted(STALLING_REASONS)),
]


def test_argo_cd_and_kstatus_read_every_state_of_a_workload(tool: Callable[[str], Deployer]) -> None:
    objects = [found for found, _, _ in STATES]
    assert healths(tool("argo"), *objects) == [argo for _, argo, _ in STATES]
    assert [answer["status"] for answer in tool("kstatus").run("compute", *objects)] == [status for _, _, status in STATES]


def set_stated(reason: str, *, ready: bool = False, final: bool = False, **spec: Any) -> Object:
    """Return a WorkloadSet whose condition Ready has this reason."""
    conditions = [condition("Ready", ready, reason, "said", generation=1)]
    if final:
        conditions.append(condition("Stalled", True, reason, "said", generation=1))
    times = [{**one, "lastTransitionTime": "2026-01-01T00:00:00Z"} for one in conditions]
    return {
        "apiVersion": "workload.metal3.io/v1alpha1",
        "kind": "WorkloadSet",
        "metadata": {"name": "db", "namespace": "a", "generation": 1},
        "spec": spec,
        "status": {"observedGeneration": 1, "conditions": times},
    }


SET_STATES: list[tuple[Object, str, str]] = [
    (set_stated("Ready", ready=True), "Healthy", "Current"),
    (set_stated("Scaling"), "Progressing", "InProgress"),
    (set_stated("Updating"), "Progressing", "InProgress"),
    (set_stated("CreationRefused"), "Degraded", "InProgress"),
    (set_stated("UpdateRefused", final=True), "Degraded", "Failed"),
    (set_stated("Paused", paused=True), "Suspended", "InProgress"),
]


def test_argo_cd_and_kstatus_read_every_state_of_a_set(tool: Callable[[str], Deployer]) -> None:
    objects = [found for found, _, _ in SET_STATES]
    assert healths(tool("argo"), *objects) == [argo for _, argo, _ in SET_STATES]
    assert [answer["status"] for answer in tool("kstatus").run("compute", *objects)] == [status for _, _, status in SET_STATES]


def reservation_stated(reason: str, **more: Any) -> Object:
    """Return a Reservation whose condition Ready has this reason."""
    return {**set_stated(reason, **more), "kind": "Reservation"}


def test_argo_cd_and_kstatus_read_every_state_of_a_reservation(tool: Callable[[str], Deployer]) -> None:
    states = [
        (reservation_stated("Fulfilled", ready=True), "Healthy", "Current"),
        (reservation_stated("Short"), "Progressing", "InProgress"),
        (reservation_stated("NotStarted"), "Suspended", "InProgress"),
        (reservation_stated("Expired", final=True), "Degraded", "Failed"),
    ]
    assert healths(tool("argo"), *(found for found, _, _ in states)) == [argo for _, argo, _ in states]
    answers = tool("kstatus").run("compute", *(found for found, _, _ in states))
    assert [answer["status"] for answer in answers] == [status for _, _, status in states]


def test_argo_cd_awaits_the_controllers_and_deletions(tool: Callable[[str], Deployer]) -> None:
    new, behind, deleted = workload("shop"), stated("Running", "Running", ready=True), stated("Deprovisioning", "Releasing")
    behind["metadata"]["generation"] = 2
    deleted["metadata"]["deletionTimestamp"] = "2026-01-01T00:00:00Z"
    assert healths(tool("argo"), new, behind, deleted) == ["Progressing"] * 3


def test_argo_cd_reads_what_the_cluster_has(tenants: Running, tool: Callable[[str], Deployer]) -> None:
    argo = tool("argo")
    waits = workload("waits", requirements={"cpuCount": 100_000})
    missing = workload("missing", className="no-such-class")
    tool("flux").run("apply", *shop())
    tenants.kubectl("a", "create", "--filename=-", stdin=[waits, missing])
    running = settled(tenants)
    tenants.kubectl("a", "wait", "--for=condition=Ready=False", "workload/waits", "workload/missing", "--timeout=60s")
    found = [running, live(tenants, name="waits"), live(tenants, name="missing")]
    assert healths(argo, *found) == ["Healthy", "Progressing", "Degraded"]
    assert set(healths(argo, *tenants.items(ADMIN, "workloadclasses"))) == {"Healthy"}
    assert set(healths(argo, *tenants.items(ADMIN, "hosts.workload.metal3.io"))) == {"Healthy"}
    assert set(healths(argo, *tenants.items("a", "baremetalhosts.metal3.io"))) == {"Healthy"}
    tenants.kubectl("a", "patch", "workload", "shop", "--type=merge", "-p", '{"spec": {"online": false}}')
    tenants.kubectl("a", "wait", "--for=jsonpath={.status.phase}=Stopped", "workload/shop", "--timeout=60s")
    eventually(lambda: healths(argo, live(tenants)) == ["Suspended"])


def test_argo_cd_reads_the_other_kinds(tool: Callable[[str], Deployer]) -> None:
    argo = tool("argo")

    def class_(**conditions: str) -> Object:
        found = [{"type": type_, "status": status, "reason": "Said", "message": "said"} for type_, status in conditions.items()]
        return {"kind": "WorkloadClass", "metadata": {"name": "metal", "generation": 1}, "status": {"conditions": found}}

    def host(**status: Any) -> Object:
        return {"kind": "Host", "metadata": {"name": "h"}, "status": status}

    def view(state: str, operational: str = "OK") -> Object:
        status = {"provisioning": {"state": state}, "operationalStatus": operational, "errorMessage": ""}
        return {"kind": "BareMetalHost", "metadata": {"name": "h"}, "status": status}

    leaves = {**class_(Connected="True", Removable="False"), "metadata": {"name": "metal", "deletionTimestamp": "2026-01-01T00:00:00Z"}}
    classes = [class_(), class_(Connected="True"), class_(Connected="False"), class_(Connected="True", Exclusive="False"), leaves]
    assert healths(argo, *classes) == ["Progressing", "Healthy", "Degraded", "Degraded", "Progressing"]
    abandoned = [{"type": "Abandoned", "status": "True", "reason": "NoWorkload", "message": "said"}]
    hosts = [
        *(host(), host(phase="Available"), host(phase="Bound"), host(phase="Unavailable", reason="Paused")),
        *(host(phase="Bound", conditions=abandoned), host(phase="Bound", errorMessage="no power")),
    ]
    assert healths(argo, *hosts) == ["Progressing", "Healthy", "Healthy", "Suspended", "Degraded", "Degraded"]
    views = [view("available"), view("provisioned"), view("provisioning"), view("provisioning", "error"), view("provisioned", "detached")]
    assert healths(argo, *views) == ["Healthy", "Healthy", "Progressing", "Degraded", "Suspended"]

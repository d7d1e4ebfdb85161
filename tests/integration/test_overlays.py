"""Run each overlay as it is rendered: its roles on a real kube-apiserver, and both programs with
its arguments."""

from __future__ import annotations

import json
import shutil
import ssl
import subprocess
import sys
import urllib.error
import urllib.request
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from tests.integration import running
from tests.integration.objects import workload
from tests.integration.running import ADMIN, Running, eventually

if TYPE_CHECKING:
    from collections.abc import Iterator

BMO, OWN = "metal3.io", "workload.metal3.io"
SYSTEM = "system:serviceaccount:metal3-workloads-system:metal3-workloads-"
READ, WRITE = ("get", "list", "watch"), ("create", "update", "patch", "delete", "deletecollection")


@dataclass(frozen=True)
class Overlay:
    """Describe a running overlay. `view` is the group that serves tenants' hosts; `other` is the
    group in which no user may have a right."""

    cluster: Running
    view: str
    other: str | None

    @property
    def hosts(self) -> str:
        return f"baremetalhosts.{self.view}"


@pytest.fixture(scope="module", params=["overlays/example", "overlays/beside-bmo"])
def overlay(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Overlay]:
    folder = tmp_path_factory.mktemp("overlay") / "cluster"
    beside = request.param.endswith("beside-bmo")
    options = ("--overlay", request.param, "--hosts", "2", "--tenants", "a", *(("--bmo-kind",) if beside else ()))
    try:
        yield Overlay(running.start(folder, *options), OWN if beside else BMO, BMO if beside else OWN)
    finally:
        running.stop(folder)
        shutil.rmtree(folder, ignore_errors=True)


def allowed(cluster: Running, user: str, verb: str, group: str, resource: str, subresource: str = "", name: str = "") -> bool:
    """Return whether RBAC allows this to a user."""
    attributes = {"group": group, "resource": resource, "subresource": subresource, "verb": verb, "namespace": "a", "name": name}
    if resource in ("apiservices", "hosts", "workloadclasses"):
        del attributes["namespace"]
    review = {
        "apiVersion": "authorization.k8s.io/v1",
        "kind": "SubjectAccessReview",
        "spec": {"user": user, "resourceAttributes": attributes},
    }
    return cluster.kubectl(ADMIN, "create", "-f", "-", "-o", "jsonpath={.status.allowed}", stdin=review) == "true"


def rights(cluster: Running, user: str, group: str, subresource: str = "") -> set[str]:
    """Return the user's verbs on BareMetalHosts of a group."""
    return {verb for verb in (*READ, *WRITE) if allowed(cluster, user, verb, group, "baremetalhosts", subresource)}


@pytest.fixture(scope="module")
def users(overlay: Overlay) -> dict[str, set[str]]:
    """Return which users get rights from the overlay, and which verbs they get on the view. Users
    with edit or view in a namespace get theirs by aggregation."""
    for role in ("edit", "view"):
        overlay.cluster.kubectl(ADMIN, "create", "rolebinding", f"{role}or", "-n", "a", f"--clusterrole={role}", f"--user={role}or")
    tenants = {*READ, *WRITE} - {"create"}
    eventually(lambda: allowed(overlay.cluster, "editor", "get", overlay.view, "baremetalhosts"))
    eventually(lambda: allowed(overlay.cluster, "viewor", "get", overlay.view, "baremetalhosts"))
    return {
        "tenant-a": tenants,
        "editor": tenants,
        "viewor": set(READ),
        f"{SYSTEM}controllers": {*READ, "patch"},
        f"{SYSTEM}apiserver": set(),
    }


def test_everybody_has_the_rights_on_the_view_and_none_on_another_kind(overlay: Overlay, users: dict[str, set[str]]) -> None:
    for user, expected in users.items():
        assert rights(overlay.cluster, user, overlay.view) == expected, user
        assert rights(overlay.cluster, user, overlay.other or "") == set(), user
        assert rights(overlay.cluster, user, overlay.other or "", "status") == set(), user


def test_the_server_may_write_no_registration_but_its_own(overlay: Overlay) -> None:
    for verb in ("get", "patch"):
        assert allowed(overlay.cluster, f"{SYSTEM}apiserver", verb, "apiregistration.k8s.io", "apiservices", name=f"v1alpha1.{OWN}")
        bmo = allowed(overlay.cluster, f"{SYSTEM}apiserver", verb, "apiregistration.k8s.io", "apiservices", name=f"v1alpha1.{BMO}")
        assert bmo == (overlay.view == BMO)


def test_a_host_that_is_named_is_taken_and_a_reboot_is_carried_out_once(overlay: Overlay) -> None:
    cluster = overlay.cluster
    cluster.kubectl("a", "apply", "-f", "-", stdin=workload("pinned", hostRef={"name": "host-1"}))
    cluster.kubectl("a", "wait", "workload/pinned", "--for=condition=Ready", "--timeout=90s")
    assert cluster.get("a", "workload", "pinned")["status"]["host"]["name"] == "host-1"
    for _ in range(2):  # the second reboot is requested once the first was removed
        cluster.kubectl("a", "annotate", overlay.hosts, "host-1", "reboot.metal3.io=")
        eventually(lambda: "reboot.metal3.io" not in cluster.get("a", overlay.hosts, "host-1")["metadata"].get("annotations", {}))
    cluster.kubectl("a", "delete", "workload", "pinned", "--timeout=90s")


def test_messages_point_at_the_view(overlay: Overlay) -> None:
    cluster = overlay.cluster
    gone = {"apiVersion": "infrastructure.cluster.x-k8s.io/v1beta1", "kind": "Metal3Machine", "name": "gone", "namespace": "a"}
    host = cluster.items("a", overlay.hosts)[0]["metadata"]["name"]
    cluster.kubectl("a", "patch", overlay.hosts, host, "--type=merge", "-p", json.dumps({"spec": {"consumerRef": gone}}))
    cluster.kubectl("a", "apply", "-f", "-", stdin=workload("nowhere", hostRef={"name": "none"}))
    reported = eventually(lambda: _messages(cluster, "nowhere", "HostNotFound"))
    assert f"kubectl get {overlay.hosts})" in reported
    cluster.kubectl("a", "delete", overlay.hosts, host, "--timeout=90s")
    cluster.kubectl("a", "delete", "workloads", "--all", "--timeout=90s")


def _messages(cluster: Running, name: str, reason: str) -> str:
    conditions = cluster.get("a", "workload", name).get("status", {}).get("conditions", [])
    return "\n".join(condition["message"] for condition in conditions if condition["reason"] == reason)


def test_a_server_for_the_wrong_overlay_says_so(overlay: Overlay, tmp_path: Path) -> None:
    """Start a server as overlays/example configures it beside BMO's own kind. Here the
    administrator runs it."""
    if overlay.view == BMO:
        return
    log, port = tmp_path / "log", tmp_path / "port"
    command = [str(Path(sys.executable).with_name("metal3-workloads")), "serve", "--secure-port", "0", "--port-file", str(port)]
    command += ["--storage", f"sqlite:///{tmp_path}/db", "--kubeconfig", overlay.cluster.kubeconfig(ADMIN)]
    with log.open("w") as out, subprocess.Popen([*command, "--host-view-group", BMO], stderr=out) as process:
        try:
            eventually(port.exists)
            url = f"https://127.0.0.1:{port.read_text().strip()}/readyz?verbose"
            # The server signs its own certificate. The test reads only what the server says of
            # itself.
            unverified = ssl._create_unverified_context()

            def reported() -> str:
                try:
                    with urllib.request.urlopen(url, context=unverified, timeout=10) as answer:
                        return "\n".join(line for line in answer.read().decode().splitlines() if line.startswith("[!]"))
                except urllib.error.HTTPError:  # the server is not ready yet
                    return ""

            assert "manifests/overlays/beside-bmo" in eventually(reported)
        finally:
            process.terminate()
    assert f"APIService v1alpha1.{BMO}: kube-apiserver serves {BMO} itself" in log.read_text()


def test_real_hosts_are_left_alone(overlay: Overlay) -> None:
    """Check that, beside BMO, its own objects belong to the administrator and to no tenant."""
    if overlay.view == BMO:
        assert overlay.cluster.try_kubectl("a", "get", f"baremetalhosts.{OWN}").returncode != 0
        return
    bmh = {"apiVersion": "metal3.io/v1alpha1", "kind": "BareMetalHost", "metadata": {"name": "real", "namespace": "a"}, "spec": {}}
    overlay.cluster.kubectl(ADMIN, "apply", "-f", "-", stdin={**bmh, "spec": {"online": True}})
    for arguments in (("get", f"baremetalhosts.{BMO}"), ("delete", f"baremetalhosts.{BMO}", "real")):
        done = overlay.cluster.try_kubectl("a", *arguments)
        assert (done.returncode, "Forbidden" in done.stderr) == (1, True)
    assert overlay.cluster.get(ADMIN, f"baremetalhosts.{BMO}", "real", "-n", "a")["spec"]["online"] is True

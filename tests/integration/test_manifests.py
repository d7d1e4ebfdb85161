"""Apply the manifests to kube-apiserver with strict validation: misspelt or misplaced fields are
refused."""

from __future__ import annotations

import json
import os
import re
import subprocess
from typing import TYPE_CHECKING

import pytest
import yaml

from apiserver.audit.policy import read_policy
from apiserver.cli.running import STOP_SECONDS
from hack.realcluster.manifests import for_tenant
from tests.integration.running import ADMIN, OWNER, ROOT, Running

if TYPE_CHECKING:
    from pathlib import Path
    from typing import Any

OVERLAYS = [f"overlays/{folder.name}" for folder in sorted((ROOT / "manifests/overlays").iterdir())]


def objects(cluster: Running, folder: str) -> list[dict[str, Any]]:
    """Return the objects of the kustomization, except kinds that these clusters do not have."""
    command = [str(cluster.tools / "kubectl"), "kustomize", str(ROOT / "manifests" / folder)]
    made = yaml.safe_load_all(subprocess.run(command, stdout=subprocess.PIPE, check=True).stdout)
    return [obj for obj in made if not obj["apiVersion"].startswith("cert-manager.io/")]


@pytest.mark.parametrize(
    ("folder", "who"), [*((folder, ADMIN) for folder in ("base", "restore", "etcd-backup", "migrate", *OVERLAYS)), ("hardware", OWNER)]
)
def test_all_objects_are_valid(cluster: Running, folder: str, who: str) -> None:
    made = objects(cluster, folder)
    arguments = ("apply", "--server-side", "--force-conflicts", "--dry-run=server", "--validate=strict", "-o", "name", "-f", "-")
    done = cluster.try_kubectl(who, *arguments, stdin=made)
    assert done.returncode == 0, done.stderr
    assert len(done.stdout.splitlines()) == len(made)
    assert "Warning" not in done.stderr


def test_capm3s_rights_are_valid_for_a_tenant(cluster: Running) -> None:
    made = for_tenant(objects(cluster, "capm3"), "a")
    done = cluster.try_kubectl(ADMIN, "apply", "--dry-run=server", "--validate=strict", "-o", "name", "-f", "-", stdin=made)
    assert done.returncode == 0, done.stderr
    assert "clusterrolebinding.rbac.authorization.k8s.io/metal3-workloads-capm3:a" in done.stdout.splitlines()


def test_the_example_has_a_storage_and_an_image(cluster: Running) -> None:
    deployments = {obj["metadata"]["name"]: obj for obj in objects(cluster, "overlays/example") if obj["kind"] == "Deployment"}
    (server,) = deployments["metal3-workloads-apiserver"]["spec"]["template"]["spec"]["containers"]
    assert any(argument.startswith("--storage=sqlite:///") for argument in server["args"])
    assert all("/" in deployment["spec"]["template"]["spec"]["containers"][0]["image"] for deployment in deployments.values())


def test_the_right_to_all_secrets_is_a_component_of_its_own(cluster: Running) -> None:
    role, bindings = "metal3-workloads-secrets", ("ClusterRoleBinding", "RoleBinding")
    bound = [obj for obj in objects(cluster, "overlays/example") if obj["kind"] in bindings and obj["roleRef"]["name"] == role]
    assert [(obj["kind"], obj["metadata"]["namespace"]) for obj in bound] == [("RoleBinding", "metal3-workloads-system")]
    made = yaml.safe_load((ROOT / "manifests/components/all-secrets/binding.yaml").read_text())
    done = cluster.try_kubectl(ADMIN, "apply", "--dry-run=server", "--validate=strict", "-o", "name", "-f", "-", stdin=made)
    assert done.returncode == 0, done.stderr


def test_beside_bmo_its_group_stays_its(cluster: Running) -> None:
    text = json.dumps(objects(cluster, "overlays/beside-bmo"))
    assert "v1alpha1.workload.metal3.io" in text
    assert '"name": "v1alpha1.metal3.io"' not in text
    assert "--host-view-group=workload.metal3.io" in text


def test_highly_available_programs_stop_in_time_and_one_by_one(cluster: Running) -> None:
    made = objects(cluster, "overlays/ha")
    budgets = {obj["metadata"]["name"]: obj["spec"] for obj in made if obj["kind"] == "PodDisruptionBudget"}
    deployments = {obj["metadata"]["name"]: obj["spec"] for obj in made if obj["kind"] == "Deployment"}
    for name, spec in deployments.items():
        pod = spec["template"]
        assert spec["replicas"] >= 2
        assert spec["strategy"]["rollingUpdate"]["maxUnavailable"] == 0
        assert budgets[name]["selector"]["matchLabels"].items() <= pod["metadata"]["labels"].items()
        for constraint in pod["spec"]["topologySpreadConstraints"]:
            assert constraint["labelSelector"]["matchLabels"].items() <= pod["metadata"]["labels"].items()
        (container,) = pod["spec"]["containers"]
        served_meanwhile = sum(float(found.partition("=")[2]) for found in container["args"] if found.startswith("--shutdown-"))
        assert pod["spec"]["terminationGracePeriodSeconds"] > served_meanwhile + STOP_SECONDS
        assert container["readinessProbe"]["httpGet"]["path"] == "/readyz"
        assert container["resources"]["limits"]["memory"]
    (server,) = deployments["metal3-workloads-apiserver"]["template"]["spec"]["containers"]
    assert any(argument.startswith("--storage=etcds://$(ETCD_ENDPOINTS)/") for argument in server["args"])
    assert [variable["name"] for variable in server["env"]] == ["ETCD_ENDPOINTS"]


def found(made: list[dict[str, Any]], kind: str, name: str = "") -> dict[str, Any]:
    """Return the only object of this kind and, if it is given, this name."""
    (one,) = (obj for obj in made if obj["kind"] == kind and name in ("", obj["metadata"]["name"]))
    return one


@pytest.mark.parametrize("folder", ["overlays/beside-bmo", "overlays/example", "overlays/sqlite"])
def test_backups_are_taken_from_the_servers_volume_beside_it(cluster: Running, folder: str) -> None:
    made = objects(cluster, folder)
    server = found(made, "Deployment", "metal3-workloads-apiserver")["spec"]["template"]
    cron = found(made, "CronJob")["spec"]
    assert cron["concurrencyPolicy"] == "Forbid"
    assert cron["failedJobsHistoryLimit"] > 0
    job = cron["jobTemplate"]["spec"]
    assert job["activeDeadlineSeconds"] > 0
    for term in job["template"]["spec"]["affinity"]["podAffinity"]["requiredDuringSchedulingIgnoredDuringExecution"]:
        assert term["labelSelector"]["matchLabels"].items() <= server["metadata"]["labels"].items()
    claims = {obj["metadata"]["name"]: obj["spec"]["accessModes"] for obj in made if obj["kind"] == "PersistentVolumeClaim"}
    assert claims == {"metal3-workloads-apiserver": ["ReadWriteOnce"], "metal3-workloads-backups": ["ReadWriteOnce"]}
    mounted = {volume["persistentVolumeClaim"]["claimName"] for volume in server["spec"]["volumes"] if "persistentVolumeClaim" in volume}
    assert mounted == claims.keys(), "a claim without a running consumer stays Pending, and Helm, Argo CD and Flux wait for it"
    (serving,) = server["spec"]["containers"]
    storage = [argument for argument in serving["args"] if argument.startswith("--storage=")]
    for template in (job["template"], found(objects(cluster, "restore"), "Job")["spec"]["template"]):
        check_pod_of_backups(made, template, storage, serving["image"])


def check_pod_of_backups(made: list[dict[str, Any]], template: dict[str, Any], storage: list[str], image: str) -> None:
    """Check that the pod of backups has the volumes of the database and of the backups, and no right
    that it does not need."""
    pod, labels = template["spec"], template["metadata"]["labels"]
    (container,) = pod["containers"]
    assert [argument for argument in container["args"] if argument.startswith("--storage=")] == storage
    assert container["image"] == image
    paths = {mount["name"]: mount["mountPath"] for mount in container["volumeMounts"]}
    assert sum(mount.get("readOnly", False) for mount in container["volumeMounts"]) == 1, "it writes to one volume only"
    assert {volume["persistentVolumeClaim"]["claimName"]: paths[volume["name"]] for volume in pod["volumes"]} == {
        "metal3-workloads-apiserver": "/var/lib/metal3-workloads",
        "metal3-workloads-backups": "/var/backups/metal3-workloads",
    }
    assert any("/var/backups/metal3-workloads" in argument for argument in container["args"])
    assert pod["automountServiceAccountToken"] is False
    assert (pod["securityContext"]["runAsNonRoot"], pod["securityContext"]["runAsUser"]) == (True, 65532)
    assert container["securityContext"]["readOnlyRootFilesystem"] is True
    assert container["resources"]["limits"]["memory"]
    assert not found(made, "Service")["spec"]["selector"].items() <= labels.items()
    policy = found(made, "NetworkPolicy")["spec"]
    assert policy["podSelector"]["matchLabels"].items() <= labels.items()
    assert not {"ingress", "egress"} & policy.keys()


def test_a_storage_class_and_a_registrys_secret_are_set_as_the_guide_says(cluster: Running, tmp_path: Path) -> None:
    page = (ROOT / "docs/installing.md").read_text()
    (snippet,) = (block for block in re.findall(r"^```yaml\n(.*?)^```", page, re.MULTILINE | re.DOTALL) if "imagePullSecrets" in block)
    root = os.path.relpath(ROOT / "manifests/overlays/sqlite", tmp_path.resolve())
    (tmp_path / "kustomization.yaml").write_text(json.dumps({"resources": [root], **yaml.safe_load(snippet)}))
    command = [str(cluster.tools / "kubectl"), "kustomize", "--load-restrictor=LoadRestrictionsNone", str(tmp_path)]
    made = list(yaml.safe_load_all(subprocess.run(command, stdout=subprocess.PIPE, check=True, timeout=60).stdout))
    assert {obj["spec"]["storageClassName"] for obj in made if obj["kind"] == "PersistentVolumeClaim"} == {"fast"}
    pods = [obj["spec"]["template"]["spec"] for obj in made if obj["kind"] == "Deployment"]
    pods += [obj["spec"]["jobTemplate"]["spec"]["template"]["spec"] for obj in made if obj["kind"] == "CronJob"]
    assert [pod["imagePullSecrets"] for pod in pods] == [[{"name": "registry"}]] * 3


def test_an_installation_over_etcd_has_no_files_to_back_up(cluster: Running) -> None:
    assert not {obj["kind"] for obj in objects(cluster, "overlays/ha")} & {"CronJob", "PersistentVolumeClaim"}


def test_the_audit_component_has_a_policy_that_the_server_reads(cluster: Running, tmp_path: Path) -> None:
    overlay = tmp_path / "kustomization.yaml"
    paths = [os.path.relpath(ROOT / "manifests" / part, tmp_path.resolve()) for part in ("overlays/sqlite", "components/audit")]
    overlay.write_text(json.dumps({"resources": paths[:1], "components": paths[1:]}))
    command = [str(cluster.tools / "kubectl"), "kustomize", "--load-restrictor=LoadRestrictionsNone", str(tmp_path)]
    made = list(yaml.safe_load_all(subprocess.run(command, stdout=subprocess.PIPE, check=True).stdout))
    (config,) = (obj for obj in made if obj["kind"] == "ConfigMap")
    (server,) = (obj for obj in made if obj["kind"] == "Deployment" and obj["metadata"]["name"] == "metal3-workloads-apiserver")
    pod = server["spec"]["template"]["spec"]
    (volume,) = (volume for volume in pod["volumes"] if volume["name"] == "audit")
    assert volume["configMap"]["name"] == config["metadata"]["name"]
    (path,) = (option.partition("=")[2] for option in pod["containers"][0]["args"] if option.startswith("--audit-policy-file="))
    (mount,) = (mount["mountPath"] for mount in pod["containers"][0]["volumeMounts"] if mount["name"] == "audit")
    (tmp_path / "policy.yaml").write_text(config["data"][path.removeprefix(f"{mount}/")])
    read_policy(tmp_path / "policy.yaml")

"""Check that a release's files are complete, have checksums, and are of one version and image."""

from __future__ import annotations

import json
import re
import subprocess
from typing import TYPE_CHECKING, Any

import pytest
import yaml

from hack.realcluster.up import build_tools
from hack.release import make
from hack.release.pins import pinned
from tests.integration.running import ROOT
from tests.release.conftest import DIGEST, IMAGE

if TYPE_CHECKING:
    from pathlib import Path


def objects(file: Path) -> list[dict[str, Any]]:
    return list(yaml.safe_load_all(file.read_text()))


def test_every_file_is_there_and_has_a_checksum(release: Path) -> None:
    named = {line.split()[1] for line in (release / "SHA256SUMS").read_text().splitlines()}
    assert named == {file.name for file in release.iterdir()} - {"SHA256SUMS"}
    assert {*make.INSTALLATIONS, *make.OTHERS, "CHANGELOG.md", "metadata.yaml", "compatibility.md", "sbom.cdx.json"} <= named
    assert {"manifests.tar.gz", "alerts.yaml", "dashboard.json", *make.PLUGINS, "workload.yaml", "class.yaml"} <= named
    assert {"tenant.md", "security.md", "scale.md", "troubles.md", "dashboard.png"} <= named
    subprocess.run(["sha256sum", "--check", "--quiet", "SHA256SUMS"], cwd=release, check=True)


def test_every_link_of_a_page_leads_to_a_file_of_the_release(release: Path) -> None:
    links = [
        (page.name, target)
        for page in release.glob("*.md")
        for target in re.findall(r"\]\(([^)\s#]+)", page.read_text())
        if "://" not in target
    ]
    assert ("installing.md", "operating.md") in links
    assert [(page, target) for page, target in links if not (release / target).is_file()] == []


def test_a_link_to_a_file_that_is_no_part_names_it() -> None:
    page = (
        "[a\ndecision](adr/0001.md#x), [log](../CHANGELOG.md#new), [here](#here), [there](https://example.com/a.md), "
        "[ha](../manifests/overlays/ha)"
    )
    assert make.self_contained(page, "docs/installing.md") == (
        "a\ndecision (`docs/adr/0001.md` in the repository), [log](CHANGELOG.md#new), [here](#here), [there](https://example.com/a.md), "
        "ha (`manifests/overlays/ha` in manifests.tar.gz)"
    )


@pytest.fixture(scope="module")
def unpacked(release: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return the folder of manifests of the release."""
    folder = tmp_path_factory.mktemp("manifests")
    subprocess.run(["tar", "--extract", "--file", str(release / "manifests.tar.gz"), "--directory", str(folder)], check=True)
    return folder / "manifests"


def rendered(folder: Path) -> list[dict[str, Any]]:
    """Return the objects of a kustomization."""
    command = [str(build_tools() / "kubectl"), "kustomize", str(folder)]
    return list(yaml.safe_load_all(subprocess.run(command, stdout=subprocess.PIPE, check=True, timeout=60).stdout))


def by_name(made: list[dict[str, Any]]) -> dict[tuple[str, str], dict[str, Any]]:
    return {(obj["kind"], obj["metadata"]["name"]): obj for obj in made}


def test_the_manifests_are_those_of_the_installations_and_can_be_combined(release: Path, unpacked: Path) -> None:
    for name, folder in {**make.INSTALLATIONS, "restore.yaml": "restore", "etcd-backup.yaml": "etcd-backup"}.items():
        assert by_name(rendered(unpacked / folder)) == by_name(objects(release / name)), name
    own = unpacked / "overlays" / "own"
    own.mkdir()
    parts = ("monitoring", "network-policies", "monitoring-network-policy", "audit", "cert-manager", "all-secrets")
    assert {path.name for path in (unpacked / "components").iterdir()} >= {
        *parts,
        "metrics",
        "backup",
        "sqlite",
        "etcd",
        "ha",
        "beside-bmo",
    }
    overlay = {"resources": ["../ha-beside-bmo"], "components": [f"../../components/{part}" for part in parts]}
    (own / "kustomization.yaml").write_text(json.dumps(overlay))
    made = rendered(own)
    assert {"ServiceMonitor", "PrometheusRule", "NetworkPolicy", "Certificate"} <= {obj["kind"] for obj in made}
    images = {pod["image"] for obj in made if obj["kind"] == "Deployment" for pod in obj["spec"]["template"]["spec"]["containers"]}
    assert images == {f"{IMAGE}@{DIGEST}"}


def test_the_same_sources_make_the_same_manifests(release: Path) -> None:
    assert make.archive(f"{IMAGE}@{DIGEST}", "") == (release / "manifests.tar.gz").read_bytes()


def test_the_alerts_are_those_of_the_manifests_with_links_to_published_pages(release: Path) -> None:
    rule = yaml.safe_load((ROOT / "manifests/components/monitoring/rules.yaml").read_text())
    assert yaml.safe_load((release / "alerts.yaml").read_text()) == rule["spec"]
    published = yaml.safe_load(make.alerts("https://docs.example.com/0.1/"))
    links = {each["annotations"]["runbook_url"] for group in published["groups"] for each in group["rules"]}
    assert {link.partition("#")[0] for link in links} == {"https://docs.example.com/0.1/troubles.md"}
    assert (release / "troubles.md").is_file()


ENGINE = """#!/bin/sh
for word in "$@"; do case "$word" in --volume=*) folder=${word#--volume=}; folder=${folder%%:*};; esac; done
stat -c %a "$folder/kubeconfig"
cat "$folder/kubeconfig"
printf '%s\n' "$@"
exit 3
"""


def test_the_plugin_runs_the_image_as_the_user_of_the_current_context(release: Path, tmp_path: Path) -> None:
    (tmp_path / "podman").write_text(ENGINE)
    (tmp_path / "podman").chmod(0o755)
    contexts = [{"name": name, "context": {"cluster": name, "user": name}} for name in ("mine", "other")]
    clusters = [{"name": name, "cluster": {"server": f"https://{name}.example.com"}} for name in ("mine", "other")]
    users = [{"name": name, "user": {"token": f"token-{name}"}} for name in ("mine", "other")]
    config = {"apiVersion": "v1", "kind": "Config", "current-context": "mine", "contexts": contexts, "clusters": clusters, "users": users}
    (tmp_path / "config").write_text(json.dumps(config))
    (tmp_path / "tmp").mkdir()
    path = f"{tmp_path}:{build_tools()}:/usr/bin:/bin"
    environment = {"PATH": path, "KUBECONFIG": str(tmp_path / "config"), "TMPDIR": str(tmp_path / "tmp"), "HOME": str(tmp_path)}

    def plugin(*arguments: str, named: str = "kubectl-metal3") -> subprocess.CompletedProcess[str]:
        return subprocess.run([release / named, *arguments], env=environment, capture_output=True, text=True, check=False, timeout=60)

    done = plugin("fleet", "--class", "a b")
    assert done.returncode == 3, done.stderr
    assert done.stdout.startswith("600\n")
    assert "token-mine" in done.stdout
    assert "token-other" not in done.stdout
    assert done.stdout.endswith(f"\n{IMAGE}@{DIGEST}\nfleet\n--class\na b\n")
    assert "--userns=keep-id" in done.stdout
    assert [*(tmp_path / "tmp").iterdir()] == [], "no credentials stay"
    assert "--entrypoint" not in done.stdout
    asked = plugin("fleet", "--cl", named="kubectl_complete-metal3").stdout
    assert asked.endswith(f"\n{IMAGE}@{DIGEST}\nfleet\n--cl\n")
    assert "\n--entrypoint=kubectl_complete-metal3\n" in asked
    refused = plugin("fleet", "--kubeconfig", "x")
    assert (refused.returncode, "use-context" in refused.stderr) == (1, True)
    (tmp_path / "podman").rename(tmp_path / "nothing")
    environment["PATH"] = f"{tmp_path}"
    assert "install podman or docker" in plugin("fleet").stderr


def test_each_container_runs_the_image_by_its_digest(release: Path) -> None:
    for name, least in (*((name, 2) for name in make.INSTALLATIONS), ("restore.yaml", 1), ("etcd-backup.yaml", 1), ("migrate.yaml", 1)):
        images = re.findall(r"image: (\S+)", (release / name).read_text())
        assert len(images) >= least, name
        assert set(images) == {f"{IMAGE}@{DIGEST}"}, name


def test_each_object_names_the_version(release: Path) -> None:
    version = re.search(r'^version = "(.+)"$', (ROOT / "pyproject.toml").read_text(), re.MULTILINE)
    assert version is not None
    for name in (*make.INSTALLATIONS, "restore.yaml", "etcd-backup.yaml"):
        assert {obj["metadata"]["labels"]["app.kubernetes.io/version"] for obj in objects(release / name)} == {version[1]}


def test_manifests_differ_in_storage_replicas_and_groups(release: Path) -> None:
    def deployment(name: str) -> dict[str, Any]:
        found = objects(release / name)
        return next(obj for obj in found if (obj["kind"], obj["metadata"]["name"]) == ("Deployment", "metal3-workloads-apiserver"))

    def arguments(name: str) -> str:
        return " ".join(deployment(name)["spec"]["template"]["spec"]["containers"][0]["args"])

    assert "--storage=sqlite:" in arguments("install.yaml")
    assert "--storage=etcds:" in arguments("install-ha.yaml")
    assert "--host-view-group=workload.metal3.io" in arguments("install-beside-bmo.yaml")
    assert deployment("install.yaml")["spec"]["replicas"] == 1
    assert deployment("install-ha.yaml")["spec"]["replicas"] >= 2


def test_the_list_of_packages_is_that_of_the_pins(release: Path) -> None:
    bill = json.loads((release / "sbom.cdx.json").read_text())
    assert {part["name"]: part["version"] for part in bill["components"]} == pinned(ROOT / "requirements.txt")


def test_the_series_of_this_version_is_in_the_metadata(release: Path) -> None:
    metadata = yaml.safe_load((release / "metadata.yaml").read_text())
    assert (metadata["apiVersion"], metadata["kind"]) == ("clusterctl.cluster.x-k8s.io/v1alpha3", "Metadata")
    version = re.search(r'^version = "(\d+)\.(\d+)\.', (ROOT / "pyproject.toml").read_text(), re.MULTILINE)
    assert version is not None
    assert (int(version[1]), int(version[2])) in {(series["major"], series["minor"]) for series in metadata["releaseSeries"]}


def test_the_table_names_what_the_tests_run_on() -> None:
    table = (ROOT / "docs" / "compatibility.md").read_text()

    def pin(module: str, of: str) -> str:
        found = re.search(rf"{re.escape(module)} v(\d+\.\d+)", (ROOT / "hack/tools" / of / "go.mod").read_text())
        assert found is not None
        return found[1]

    assert f"| {pin('k8s.io/kubernetes', 'kubernetes')} |" in table
    etcd = "go.etcd.io/etcd/server/v3"
    assert f"| etcd, as storage | {pin(etcd, 'etcd35')} and {pin(etcd, 'etcd')} |" in table


def test_a_tag_in_place_of_a_digest_is_refused(tmp_path: Path) -> None:
    done = subprocess.run(
        ["make", "--silent", "release", f"IMAGE={IMAGE}", "DIGEST=latest", f"OUT={tmp_path / 'never'}"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
    )
    assert done.returncode != 0
    assert "'latest' is no digest" in done.stderr
    assert not (tmp_path / "never").exists()

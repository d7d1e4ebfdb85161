"""Check that a release's files are complete, have checksums, and are of one version and image."""

from __future__ import annotations

import json
import re
import subprocess
from typing import TYPE_CHECKING, Any

import yaml

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
    page = "[a\npivot](pivot.md#x), [log](../CHANGELOG.md#new), [here](#here), [there](https://example.com/a.md)"
    assert make.self_contained(page, "docs/installing.md") == (
        "a\npivot (`docs/pivot.md` in the repository), [log](CHANGELOG.md#new), [here](#here), [there](https://example.com/a.md)"
    )


def test_each_container_runs_the_image_by_its_digest(release: Path) -> None:
    for name, least in (*((name, 2) for name in make.INSTALLATIONS), ("restore.yaml", 1)):
        images = re.findall(r"image: (\S+)", (release / name).read_text())
        assert len(images) >= least, name
        assert set(images) == {f"{IMAGE}@{DIGEST}"}, name


def test_each_object_names_the_version(release: Path) -> None:
    version = re.search(r'^version = "(.+)"$', (ROOT / "pyproject.toml").read_text(), re.MULTILINE)
    assert version is not None
    for name in (*make.INSTALLATIONS, "restore.yaml"):
        assert {obj["metadata"]["labels"]["app.kubernetes.io/version"] for obj in objects(release / name)} == {version[1]}


def test_they_differ_in_storage_replicas_and_groups(release: Path) -> None:
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

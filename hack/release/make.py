"""Render the manifests for one version and image, with everything that an installation needs, into
a folder.

`python -m hack.release.make --image NAME --digest sha256:... [--out dist]`. NAME is the image's
name in the registry, without a tag.
"""

from __future__ import annotations

import argparse
import asyncio
import gzip
import hashlib
import io
import json
import os
import re
import shutil
import sys
import tarfile
import tempfile
from collections.abc import Sequence
from importlib.metadata import version
from pathlib import Path
from typing import Any

import yaml

from hack.realcluster.manifests import kustomize
from hack.realcluster.processes import ProcessError
from hack.realcluster.up import build_tools
from hack.release.changelog import MissingSection, released
from hack.release.pins import bill, pinned

ROOT = Path(__file__).resolve().parents[2]
PLACEHOLDER = "registry.example.com/metal3-workloads"
"""The image that the overlays name."""
INSTALLATIONS = {
    "install.yaml": "overlays/sqlite",
    "install-beside-bmo.yaml": "overlays/beside-bmo",
    "install-ha.yaml": "overlays/ha",
    "install-ha-beside-bmo.yaml": "overlays/ha-beside-bmo",
}
OTHERS = {
    "restore.yaml": "restore",
    "etcd-backup.yaml": "etcd-backup",
    "migrate.yaml": "migrate",
    "tenant.yaml": "tenant",
    "hardware.yaml": "hardware",
    "kubevirt.yaml": "kubevirt",
    "capm3.yaml": "capm3",
}
PAGES = tuple(f"docs/{page.name}" for page in sorted((ROOT / "docs").glob("*.md")))
FIGURES = tuple(f"docs/images/{figure.name}" for figure in sorted((ROOT / "docs/images").iterdir()))
EXAMPLES = tuple(f"docs/examples/{example.name}" for example in sorted((ROOT / "docs/examples").glob("*.yaml")))
COPIES = (
    "LICENSE",
    "metadata.yaml",
    *EXAMPLES,
    *FIGURES,
    "manifests/components/monitoring/dashboard.json",
    "manifests/argocd/argocd-cm.yaml",
)
MANIFESTS = "manifests.tar.gz"
PLUGINS = ("kubectl-metal3", "kubectl_complete-metal3")
"""The names of one script. kubectl's completion runs the second one."""
PINNED = re.compile(rf"newName: {re.escape(PLACEHOLDER)}\n( *)newTag: .*\n")
RUNBOOK = re.compile(r"(?<=runbook_url: )troubles\.md(?=#)")
LINK = re.compile(r"\[([^\]]+)\]\(([^)\s#]+)(#[^)\s]*)?\)")
DIGEST = re.compile(r"sha256:[0-9a-f]{64}")
HEADER = """\
# metal3-workloads {version}: manifests/{folder} of the release. installing.md says how to install, upgrade and uninstall it.
# While no replica of the API server answers, no namespace of the cluster can be deleted: read the first section there.
"""


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command. Return the exit code."""
    options = parser().parse_args(arguments)
    if not DIGEST.fullmatch(options.digest):
        print(f"make release: {options.digest!r} is no digest: push the image, then give what its registry shows", file=sys.stderr)
        return 2
    try:
        make(options.out, f"{options.image}@{options.digest}", options.docs)
    except (MissingSection, ProcessError) as error:
        print(f"make release: {error}", file=sys.stderr)
        return 1
    return 0


def parser() -> argparse.ArgumentParser:
    """Return the parser of the arguments."""
    made = argparse.ArgumentParser(prog="make release", description="Make the files of a release.")
    made.add_argument("--image", required=True, help="the image's name in its registry, without a tag")
    made.add_argument("--digest", required=True, help="sha256:...: the digest of the pushed image, or of its list of architectures")
    help_ = "where the pages of the release are published, for the links of alerts: https://docs.example.com/0.1 (default: nowhere)"
    made.add_argument("--docs", default="", metavar="URL", help=help_)
    made.add_argument("--out", type=Path, default=ROOT / "dist", help="a folder that is replaced (default: dist)")
    return made


def make(out: Path, image: str, docs: str = "") -> None:
    """Write all files, and their checksums last."""
    changelog = released((ROOT / "CHANGELOG.md").read_text(), version("metal3-workloads"))
    kubectl = build_tools() / "kubectl"
    shutil.rmtree(out, ignore_errors=True)
    out.mkdir(parents=True)
    for name, folder in (INSTALLATIONS | OTHERS).items():
        (out / name).write_text(document(folder, render(kubectl, folder, image)))
    (out / MANIFESTS).write_bytes(archive(image, docs))
    (out / "alerts.yaml").write_text(alerts(docs))
    for name in PLUGINS:
        (out / name).write_text((ROOT / "hack/release/kubectl-metal3.sh").read_text().replace("@IMAGE@", image))
        (out / name).chmod(0o755)
    for page in PAGES:
        (out / Path(page).name).write_text(self_contained((ROOT / page).read_text(), page))
    for copy in COPIES:
        shutil.copyfile(ROOT / copy, out / Path(copy).name)
    (out / "CHANGELOG.md").write_text(self_contained(changelog, "CHANGELOG.md"))
    (out / "sbom.cdx.json").write_text(json.dumps(bill(pinned(ROOT / "requirements.txt")), indent=1) + "\n")
    (out / "SHA256SUMS").write_text(checksums(out))


def render(kubectl: Path, folder: str, image: str) -> list[dict[str, Any]]:
    """Return a folder's objects, with this image and the version as a label."""
    cache = ROOT / ".cache"
    cache.mkdir(exist_ok=True)
    with tempfile.TemporaryDirectory(prefix="release-", dir=cache) as scratch:
        Path(scratch, "kustomization.yaml").write_text(yaml.safe_dump(kustomization(f"../../manifests/{folder}", image)))
        return asyncio.run(kustomize(kubectl, Path(scratch)))


def archive(image: str, docs: str) -> bytes:
    """Return the folder of manifests as an archive, whose overlays have this image and the version as a
    label. The same sources make the same bytes."""
    packed = io.BytesIO()
    with gzip.GzipFile(fileobj=packed, mode="wb", mtime=0) as compressed, tarfile.open(fileobj=compressed, mode="w") as made:
        for file in sorted(path for path in (ROOT / "manifests").rglob("*") if path.is_file()):
            content = with_release(file.read_text(), image, docs).encode()
            entry = tarfile.TarInfo(str(file.relative_to(ROOT)))
            entry.size, entry.mode = len(content), 0o644
            made.addfile(entry, io.BytesIO(content))
    return packed.getvalue()


def with_release(text: str, image: str, docs: str) -> str:
    """Return a file of the manifests with the image and the version, where it pins them, and with links
    to the published pages."""
    name, _, digest = image.partition("@")
    if PINNED.search(text):
        labels = yaml.safe_dump({"labels": kustomization("", image)["labels"]})
        text = PINNED.sub(rf"newName: {name}\n\g<1>digest: {digest}\n", text) + labels
    return RUNBOOK.sub(f"{docs.rstrip('/')}/troubles.md", text) if docs else text


def alerts(docs: str) -> str:
    """Return the alerts as a file of rules for a Prometheus without the Prometheus Operator."""
    rule = yaml.safe_load(with_release((ROOT / "manifests/components/monitoring/rules.yaml").read_text(), "", docs))
    return yaml.safe_dump(rule["spec"], sort_keys=False, width=1000)


def kustomization(base: str, image: str) -> dict[str, Any]:
    """Return the kustomization that pins a base to a version."""
    name, _, digest = image.partition("@")
    return {
        "apiVersion": "kustomize.config.k8s.io/v1beta1",
        "kind": "Kustomization",
        "resources": [base],
        "images": [{"name": PLACEHOLDER, "newName": name, "digest": digest}],
        "labels": [{"pairs": {"app.kubernetes.io/version": version("metal3-workloads")}, "includeTemplates": True}],
    }


def document(folder: str, objects: Sequence[dict[str, Any]]) -> str:
    """Return the text of a manifest."""
    return HEADER.format(version=version("metal3-workloads"), folder=folder) + yaml.safe_dump_all(objects, sort_keys=False, width=1000)


def self_contained(text: str, page: str) -> str:
    """Return a page of the repository whose links lead to files of the release.

    A link to another file becomes the name of that file in the repository."""

    def replaced(found: re.Match[str]) -> str:
        label, target, anchor = found[1], found[2], found[3] or ""
        if "://" in target:
            return found[0]
        path = os.path.normpath(Path(page).parent / target)
        if path in ("CHANGELOG.md", *PAGES, *COPIES):
            return f"[{label}]({Path(path).name}{anchor})"
        if path.split("/")[0] == "manifests":
            return f"{label} (`{path}` in {MANIFESTS})"
        return f"{label} (`{path}` in the repository)"

    return LINK.sub(replaced, text)


def checksums(folder: Path) -> str:
    """Return the checksums of all files of a folder, in the format of `sha256sum --check`."""
    return "".join(f"{hashlib.sha256(file.read_bytes()).hexdigest()}  {file.name}\n" for file in sorted(folder.iterdir()))


if __name__ == "__main__":
    sys.exit(main())

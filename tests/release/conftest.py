"""Provide the image of `make image`, and clusters in a network of their own that run its pods.
The tests need root."""

from __future__ import annotations

import json
import os
import subprocess
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from tests.integration.running import ROOT
from tests.release.network import own_network
from tests.release.oci import Image

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.release.network import Network

HERE = Path(__file__).parent
SECONDS = 900
IMAGE, DIGEST = "registry.example.com/team/metal3-workloads", "sha256:" + "0123456789abcdef" * 4


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Mark all tests here as real, and allow more time than for unit tests."""
    for item in items:
        if HERE in item.path.parents:
            item.add_marker(pytest.mark.real)
            item.add_marker(pytest.mark.timeout(SECONDS))


def buildah(*arguments: str) -> str:
    """Return the output of the project's buildah."""
    command = [str(ROOT / "hack" / "image" / "buildah"), *arguments]
    return subprocess.run(command, stdout=subprocess.PIPE, text=True, check=True, timeout=SECONDS).stdout.strip()


@pytest.fixture(scope="session")
def names() -> dict[str, str]:
    """Return the images by architecture.

    METAL3_WORKLOADS_IMAGES=amd64=NAME,arm64=NAME uses existing images."""
    if given := os.environ.get("METAL3_WORKLOADS_IMAGES"):
        return dict(item.split("=", 1) for item in given.split(","))
    command = ["make", "--silent", "image", "BASE=packages", "ENGINE=buildah", "ARCHS=amd64 arm64"]
    built = subprocess.run(command, cwd=ROOT, stdout=subprocess.PIPE, text=True, check=True, timeout=SECONDS).stdout
    return {name.rpartition("-")[2]: name for name in built.split()}


@pytest.fixture(scope="session")
def images(names: dict[str, str]) -> Iterator[dict[str, Image]]:
    """Yield the unpacked images."""
    containers = {arch: buildah("from", "--pull-never", "--arch", arch, name) for arch, name in names.items()}
    try:
        yield {arch: Image(Path(buildah("mount", container)), described(container)) for arch, container in containers.items()}
    finally:
        for container in containers.values():
            buildah("rm", container)


def described(container: str) -> dict[str, object]:
    """Return the OCI configuration of an image."""
    found: dict[str, object] = json.loads(buildah("inspect", container))["OCIv1"]["config"]
    return found


@pytest.fixture(scope="session")
def image(images: dict[str, Image]) -> Image:
    """Return the image for this machine."""
    own = subprocess.run(["dpkg", "--print-architecture"], stdout=subprocess.PIPE, text=True, check=True).stdout.strip()
    return images[own]


@pytest.fixture(scope="session")
def network(image: Image) -> Iterator[Network]:
    """Run everything that is started from now on in a network of its own."""
    with own_network() as made:
        yield made


@pytest.fixture(scope="session")
def release(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return the files of a release, as `make release` writes them."""
    return released(tmp_path_factory.mktemp("release") / "dist", DIGEST)


def released(out: Path, digest: str) -> Path:
    """Write the files of a release with an image of this digest."""
    arguments = (f"IMAGE={IMAGE}", f"DIGEST={digest}", f"OUT={out}")
    subprocess.run(["make", "--silent", "release", *arguments], cwd=ROOT, check=True, timeout=SECONDS)
    return out

"""Check what an image's URL and checksum mean for a virtual machine."""

from __future__ import annotations

from typing import Any

import pytest

from controllers.providers.base import ProviderError
from controllers.providers.machines.kubevirt.images import RootDisk, root_disk

SHA256 = "35FA778f5d4830b58f7baf121fff6bd2b52500411c9abc46761b29a690415c3f"


def disk(url: str, *, verify: bool = False, **image: Any) -> RootDisk:
    found = root_disk({"image": {"url": url, **image}}, verify=verify)
    assert found is not None
    return found


def test_where_a_disk_comes_from() -> None:
    assert disk("containerdisk://quay.io/containerdisks/fedora:42").container == "quay.io/containerdisks/fedora:42"
    for scheme in ("docker", "oci"):
        assert disk(f"{scheme}://quay.io/x:1").source == {"registry": {"url": "docker://quay.io/x:1"}}
    assert disk("HTTP://images/os.qcow2").source == {"http": {"url": "HTTP://images/os.qcow2"}}
    assert root_disk({}, verify=True) is None


@pytest.mark.parametrize(
    ("image", "checksum"),
    [
        ({"checksum": SHA256, "checksumType": "sha256"}, f"sha256:{SHA256.lower()}"),
        ({"checksum": SHA256, "checksumType": "auto"}, f"sha256:{SHA256.lower()}"),
        ({"checksum": "0" * 32}, f"md5:{'0' * 32}"),
        ({"checksum": "0" * 128, "checksumType": "sha512"}, f"sha512:{'0' * 128}"),
    ],
)
def test_a_checksum_is_handed_to_the_importer(image: dict[str, Any], checksum: str) -> None:
    found = disk("https://images/os", verify=True, **image)
    assert found.source == {"http": {"url": "https://images/os", "checksum": checksum}}
    assert not found.unverified


@pytest.mark.parametrize(
    ("image", "word"),
    [
        ({}, "missing"),
        ({"checksum": "https://images/os.sha256", "checksumType": "sha256"}, "URL"),
        ({"checksum": SHA256, "checksumType": "sha512"}, "type sha512"),
        ({"checksum": "not hexadecimal, but so long", "checksumType": "auto"}, "type auto"),
    ],
)
def test_an_image_that_cannot_be_verified_is_reported_or_refused(image: dict[str, Any], word: str) -> None:
    found = disk("https://images/os", **image)
    assert word in found.unverified
    assert "checksum" not in (found.source or {})["http"]
    with pytest.raises(ProviderError, match=word):
        disk("https://images/os", verify=True, **image)


@pytest.mark.parametrize(
    ("spec", "reason"),
    [
        ({"customDeploy": {"method": "x"}}, "CustomDeployUnsupported"),
        ({"image": {"url": "https://x", "format": "live-iso"}}, "ImageUnsupported"),
        ({"image": {"url": "ftp://x"}}, "ImageUnsupported"),
        ({"image": {"url": "fedora"}}, "ImageUnsupported"),
    ],
)
def test_unsupported_options_of_virtual_machines_are_refused(spec: dict[str, Any], reason: str) -> None:
    with pytest.raises(ProviderError) as caught:
        root_disk(spec, verify=False)
    assert caught.value.reason == reason


def test_digests_tell_images_apart() -> None:
    urls = ["https://a", "https://b", "docker://a"]
    assert len({disk(url).digest for url in urls}) == len(urls)
    assert disk("https://a").digest != disk("https://a", checksum="0" * 32).digest

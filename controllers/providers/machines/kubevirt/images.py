"""Decide where the root disk of a virtual machine comes from, for a Workload's image.

The scheme of the URL decides:

- `containerdisk://REGISTRY/NAME:TAG` runs from a container image, and forgets all writes whenever
  it is powered off.
- `docker://` and `oci://` import such an image into a disk that stays.
- `http(s)://` imports a file into a disk that stays.

The importer verifies a checksum only if the spec holds the checksum itself, and not its URL.
"""

from __future__ import annotations

import hashlib
import re
from dataclasses import dataclass

import orjson

from apiserver.apis.metal3 import IMAGE_FIELDS
from apiserver.client.objects import Object
from controllers.providers.base import ProviderError

BY_LENGTH = {32: "md5", 64: "sha256", 128: "sha512"}


@dataclass(frozen=True, slots=True)
class RootDisk:
    """Describes the source of a root disk. `image` is what to report; `digest` distinguishes it
    from other images.

    `container`: the image of a containerDisk, or else `source`: the source of a DataVolume.
    `unverified`: why its checksum is not verified, or empty."""

    digest: str
    image: Object
    container: str = ""
    source: Object | None = None
    unverified: str = ""


def root_disk(spec: Object, *, verify: bool) -> RootDisk | None:
    """Return the root disk that the Workload's spec requires; None if nothing is to run.

    `verify`: whether an image without a checksum that can be verified is refused. Raises
    ProviderError with a message for the tenant."""
    image = spec.get("image")
    if spec.get("customDeploy"):
        raise ProviderError(
            "CustomDeployUnsupported", "virtual machines have no deploy methods: set spec.image instead of spec.customDeploy"
        )
    if not image:
        return None
    if image.get("format") == "live-iso":
        raise ProviderError("ImageUnsupported", "virtual machines cannot boot a live-iso: set spec.image to a disk image")
    kept = {key: image[key] for key in IMAGE_FIELDS if image.get(key)}
    digest = image_digest(kept)
    scheme, separator, rest = image["url"].partition("://")
    match scheme.lower() if separator else "":
        case "containerdisk":
            return RootDisk(digest, kept, container=rest)
        case "docker" | "oci":
            return RootDisk(digest, kept, source={"registry": {"url": f"docker://{rest}"}})
        case "http" | "https":
            return _downloaded(digest, kept, verify=verify)
    raise ProviderError("ImageUnsupported", "spec.image.url has to begin with http://, https://, docker://, oci:// or containerdisk://")


def image_digest(image: Object) -> str:
    """Return eight hexadecimal digits that differ for different images."""
    return hashlib.sha256(orjson.dumps(image, option=orjson.OPT_SORT_KEYS)).hexdigest()[:8]


def _downloaded(digest: str, image: Object, *, verify: bool) -> RootDisk:
    source: Object = {"url": image["url"]}
    checksum, reason = _checksum(image)
    if checksum:
        source["checksum"] = checksum
    elif verify:
        raise ProviderError("ChecksumMissing", f"the class wants images to be verified, and {reason}")
    return RootDisk(digest, image, source={"http": source}, unverified="" if checksum else reason)


def _checksum(image: Object) -> tuple[str, str]:
    """Return the checksum in CDI's form, ALGORITHM:HEX, or why there is none."""
    value, kind = (image.get("checksum") or "").strip(), image.get("checksumType") or "md5"
    if not value:
        return "", "spec.image.checksum is missing: set it"
    if "://" in value:
        return "", "spec.image.checksum is a URL, which the importer cannot follow: set the checksum itself"
    algorithm = BY_LENGTH.get(len(value), "") if kind == "auto" else kind
    if not re.fullmatch(r"[0-9A-Fa-f]+", value) or BY_LENGTH.get(len(value)) != algorithm:
        return "", f"spec.image.checksum is not a checksum of type {kind}: correct it, or spec.image.checksumType"
    return f"{algorithm}:{value.lower()}", ""

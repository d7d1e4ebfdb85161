"""Find the cloud's image for a Workload's image, and compute the user data of its instance."""

from __future__ import annotations

import gzip
import re

import orjson

from apiserver.client.objects import Object
from controllers.providers.base import ApplyRequest, ProviderError
from controllers.providers.firstboot import first_boot
from controllers.providers.machines.cloud.parameters import Parameters

MOST = 255
"""The most characters of a tag's value: 256 in EC2, 255 in OpenStack."""

_METADATA = re.compile(rb"""\{\{\s*ds\.meta_data(?:\.(\w+)|\[\s*["']([^"'\]]+)["']\s*\])\s*\}\}""")


def image_id(spec: Object, parameters: Parameters, scheme: str) -> str | None:
    """Return the cloud's id of the image that the Workload's spec names; None if nothing is to run.

    `scheme`: the scheme of URLs that contain such an id. Raises ProviderError with a message for
    the tenant if there is no such image."""
    if spec.get("customDeploy"):
        raise ProviderError("CustomDeployUnsupported", "a cloud's machine is made from an image: set spec.image instead of customDeploy")
    url = (spec.get("image") or {}).get("url")
    if not url:
        return None
    if len(url) > MOST:
        raise ProviderError("ImageUnsupported", f"spec.image.url is longer than the {MOST} characters that a cloud's tag can hold")
    for image in parameters.images:
        if image.url == url:
            return image.id
    if url.startswith(scheme) and parameters.tenant_images:
        return str(url.removeprefix(scheme))
    own = f"use {scheme}ID, or " if parameters.tenant_images else ""
    raise ProviderError("ImageUnknown", f"the class has no image for {url}: {own}ask its owner to add it to the class's parameters.images")


def user_data(request: ApplyRequest, most: int) -> bytes:
    """Return what the instance reads as user data, at most `most` bytes.

    The machine of a cloud does not see the Workload's metadata, because its data source is the
    cloud's own. So expressions such as `{{ ds.meta_data.uuid }}` in a template for cloud-init are
    replaced here. Other expressions are left to cloud-init. Raises ProviderError with a message for
    the tenant."""
    content = first_boot(request)
    text, metadata = content.get("userData", b""), orjson.loads(content["metaData"])
    if text.startswith(b"## template: jinja"):
        text = _METADATA.sub(lambda match: _value(metadata, match), text)
    if len(text) > most and not text.lstrip().startswith(b"{"):
        text = gzip.compress(text, mtime=0)  # cloud-init decompresses it; Ignition (JSON) does not
    if len(text) > most:
        raise ProviderError("UserDataTooLarge", f"the cloud accepts at most {most} bytes of user data: fetch the rest from elsewhere")
    return text


def _value(metadata: Object, match: re.Match[bytes]) -> bytes:
    value = metadata.get((match[1] or match[2]).decode())
    return match[0] if value is None else str(value).encode()

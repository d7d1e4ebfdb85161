"""Compute the credentials with which an OCI image is pulled, from the secret that its Workload
names.

Of a tenant's secret, only the entry for the image's registry is passed on. Everything else in the
secret stays in the tenant's namespace: credentials of other registries, and credential helpers. A
reader of the file would run these helpers as programs.
"""

from __future__ import annotations

import base64
import binascii
from collections.abc import Mapping
from typing import Any

import orjson

from apiserver.apis.images import BadURL, parse
from apiserver.apis.names import IMAGE_AUTH
from controllers.providers.base import ApplyRequest, ProviderError

CONFIG_KEY, LEGACY_KEY = ".dockerconfigjson", ".dockercfg"
MOST = 256 * 1024
"""The most bytes of a secret's content."""
MOST_SHOWN = 256
"""The most characters of a name that a message repeats."""
HUB = "https://index.docker.io/v1/"
HUB_NAMES = ("docker.io", "index.docker.io", "registry-1.docker.io")
"""The names of Docker Hub, whose entry has HUB as its key."""


def image_auth(request: ApplyRequest) -> bytes | None:
    """Return a Docker configuration with the one entry that the image's registry needs, or None if
    no secret was named.

    Raises ProviderError with a message for the tenant if there is no usable entry."""
    if request.image_auth is None:
        return None
    image = request.workload["spec"]["image"]
    registry = _registry(image["url"])
    entry = _entry(_entries(image[IMAGE_AUTH], request.image_auth), registry)
    if entry is None:
        raise _invalid(
            image[IMAGE_AUTH], f"has no user and password for the registry {registry[:MOST_SHOWN]}: add them, or name another secret"
        )
    key = HUB if registry in HUB_NAMES else registry
    return orjson.dumps({"auths": {key: {"auth": base64.b64encode(entry).decode()}}})


def _registry(url: str) -> str:
    """Return the host of the URL as BMO looks it up, with its port."""
    try:
        host = parse(url).host
    except BadURL as error:
        raise ProviderError("ImageNotAllowed", f"spec.image.url: {error}") from None
    authority = url.partition("://")[2].partition("/")[0]
    return authority if host else ""


def _entries(name: str, data: Mapping[str, bytes]) -> dict[str, Any]:
    key = CONFIG_KEY if CONFIG_KEY in data else LEGACY_KEY
    if key not in data:
        raise _invalid(name, f"has no key '{CONFIG_KEY}': add the key, or name another secret")
    if len(data[key]) > MOST:
        raise _invalid(name, f"has more than {MOST} bytes: name a secret with the credentials of this registry alone")
    try:
        found = orjson.loads(data[key])
    except orjson.JSONDecodeError:
        found = None
    entries = found.get("auths") if key == CONFIG_KEY and isinstance(found, dict) else found
    if not isinstance(entries, dict):
        raise _invalid(name, f"has no Docker configuration in its key '{key}': kubectl create secret docker-registry makes one")
    return entries


def _entry(entries: dict[str, Any], registry: str) -> bytes | None:
    """Return "user:password" for the registry, or None. An entry whose key is the registry's name
    comes before one whose key is a URL of the registry."""
    if registry in entries:
        return _credentials(entries[registry])
    wanted = HUB_NAMES if registry in HUB_NAMES else (registry,)
    found = next((value for key, value in entries.items() if _host(key) in wanted), None)
    return _credentials(found)


def _host(key: str) -> str:
    return key.partition("://")[2].partition("/")[0] if "://" in key else key.partition("/")[0]


def _credentials(entry: Any) -> bytes | None:
    if not isinstance(entry, dict):
        return None
    user, password = entry.get("username"), entry.get("password")
    if isinstance(user, str) and isinstance(password, str) and user:
        return f"{user}:{password}".encode()
    try:
        decoded = base64.b64decode(str(entry.get("auth") or ""), validate=True)
    except (binascii.Error, ValueError):
        return None
    return decoded if decoded.partition(b":")[0] and b":" in decoded else None


def _invalid(name: str, what: str) -> ProviderError:
    return ProviderError("InvalidSecret", f'the secret "{name[:MOST_SHOWN]}" (spec.image.{IMAGE_AUTH}) {what}')

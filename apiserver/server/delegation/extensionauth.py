"""Read kube-system/extension-apiserver-authentication: the trusted front proxies and client CAs."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Any

from cryptography import x509

from apiserver.authentication.requestheader import FrontProxy
from apiserver.authentication.verification import load_bundle

NAMESPACE, NAME = "kube-system", "extension-apiserver-authentication"


class BadExtensionAuthentication(Exception):
    """The ConfigMap cannot be used. The message names the key."""


@dataclass(frozen=True, slots=True)
class ExtensionAuthentication:
    """The trusted front proxies, and the authorities of the cluster's ordinary client
    certificates."""

    proxy: FrontProxy
    client_bundle: tuple[x509.Certificate, ...] = ()


def parse(config_map: dict[str, Any]) -> ExtensionAuthentication:
    """Return the content of the ConfigMap. Raises BadExtensionAuthentication.

    Without a requestheader CA, no front proxy is trusted."""
    data = config_map.get("data") or {}
    proxy = FrontProxy(
        bundle=_bundle(data, "requestheader-client-ca-file"),
        allowed_names=_names(data, "requestheader-allowed-names"),
        username_headers=_names(data, "requestheader-username-headers"),
        uid_headers=_names(data, "requestheader-uid-headers"),
        group_headers=_names(data, "requestheader-group-headers"),
        extra_prefixes=_names(data, "requestheader-extra-headers-prefix"),
    )
    return ExtensionAuthentication(proxy, _bundle(data, "client-ca-file"))


def _bundle(data: dict[str, Any], key: str) -> tuple[x509.Certificate, ...]:
    try:
        return tuple(load_bundle(str(data.get(key) or "")))
    except ValueError:
        raise BadExtensionAuthentication(f"{key} is not a bundle of PEM certificates") from None


def _names(data: dict[str, Any], key: str) -> tuple[str, ...]:
    try:
        value = json.loads(data.get(key) or "[]")
    except (TypeError, ValueError):
        value = None
    if not isinstance(value, list) or not all(isinstance(item, str) for item in value):
        raise BadExtensionAuthentication(f"{key} is not a JSON list of strings")
    return tuple(item for item in value if item)

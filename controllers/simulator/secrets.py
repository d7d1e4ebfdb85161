"""Keep what the simulation knows of secrets: their versions and the keys that have values, but no
values."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from apiserver.apis.meta import SecretReference
from apiserver.apis.metal3 import BareMetalHostSpec


@dataclass(frozen=True, slots=True)
class KnownSecret:
    """Holds a secret's resourceVersion and the keys that have values."""

    version: str
    keys: frozenset[str]


Secrets = Mapping[str, KnownSecret]
"""The secrets of the host's own namespace, by name. Secrets that no host uses may be missing."""


def known(secret: dict[str, Any]) -> KnownSecret:
    """Return a core/v1 Secret, given as JSON, without its values."""
    keys = frozenset(key for key, value in (secret.get("data") or {}).items() if value)
    return KnownSecret(str(secret["metadata"].get("resourceVersion", "")), keys)


def names_in_use(spec: BareMetalHostSpec) -> set[str]:
    """Return the secrets that a host refers to. A change of one of them concerns the host."""
    names = {reference.name for _, reference in _references(spec)}
    names.add(spec.bmc.credentials_name if spec.bmc else None)
    names.add(spec.image.oci_auth_secret_name if spec.image else None)
    names.add(spec.preprovisioning_network_data_name)
    return {name for name in names if name}


def credentials_problem(spec: BareMetalHostSpec, namespace: str, secrets: Secrets) -> str:
    """Return why the login to the BMC is impossible, in BMO's words; empty if it is possible."""
    if spec.bmc is None or not spec.bmc.credentials_name:
        return "No BMC CredentialsName defined The BMC secret reference is empty"
    secret = secrets.get(spec.bmc.credentials_name)
    if secret is None:
        return f"BMC CredentialsName secret doesn't exist The BMC secret {namespace}/{spec.bmc.credentials_name} does not exist"
    if not spec.bmc.address:
        return "Empty BMC address Missing BMC connection detail 'Address'"
    if "username" not in secret.keys:
        return "Validation error with BMC credentials: Missing BMC connection detail 'username' in credentials"
    if "password" not in secret.keys:
        return "Validation error with BMC credentials: Missing BMC connection details 'password' in credentials"
    return ""


def refused_reference(spec: BareMetalHostSpec, namespace: str) -> str:
    """Return what BMO's webhook refuses: secrets of other namespaces. Empty if nothing is
    refused."""
    for field, reference in _references(spec):
        if reference.namespace and reference.namespace != namespace:
            return f"{field}: cross-namespace Secret references are not allowed"
    return ""


def image_auth_problem(spec: BareMetalHostSpec, secrets: Secrets) -> str:
    """Return why the login to an OCI image's registry is impossible; empty if it is possible or not
    needed."""
    name = spec.image.oci_auth_secret_name if spec.image and spec.image.url.startswith("oci://") else None
    if not name:
        return ""
    secret = secrets.get(name)
    if secret is None:
        return f"OCI image auth secret {name} not found"
    if not secret.keys & {".dockerconfigjson", ".dockercfg"}:
        return f"OCI image auth secret {name} holds no registry credentials: it must be of type kubernetes.io/dockerconfigjson"
    return ""


def waiting_for(spec: BareMetalHostSpec, secrets: Secrets) -> str:
    """Return which first-boot data is missing; empty if none is.

    BMO reports nothing of this in the status, and retries until the data exists."""
    for field, reference in _references(spec):
        secret = secrets.get(reference.name or "")
        if secret is None:
            return f"{field}: Secret {reference.name} not found"
        # A network data secret without the key counts as empty; for the others, that is an error
        # (BMO's host_config_data.go).
        if field != "networkData" and not secret.keys & {field, "value"}:
            return f"{field}: Secret {reference.name} does not contain key {field}"
    return ""


def _references(spec: BareMetalHostSpec) -> list[tuple[str, SecretReference]]:
    named = [("userData", spec.user_data), ("metaData", spec.meta_data), ("networkData", spec.network_data)]
    return [(field, reference) for field, reference in named if reference is not None]

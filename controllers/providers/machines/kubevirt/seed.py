"""Build the disk that a virtual machine reads at its first boot: a secret, and the volume that
contains it.

cloud-init reads a NoCloud disk that is made of a plain secret, because KubeVirt's own cloud-init
volumes cannot hold the Workload's metadata. Ignition reads user data from a config drive, which
KubeVirt creates. Of the metadata, this drive has the hostname and the uuid only.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import orjson

from apiserver.client.objects import Object
from controllers.providers.base import ApplyRequest, ProviderError
from controllers.providers.firstboot import first_boot
from controllers.providers.machines.kubevirt import names
from controllers.providers.machines.kubevirt.netconfig import network_config

DISK = "firstboot"
MOST_VALUES = 50_000
"""The most values, approximately, in user data that is parsed to detect Ignition. Parsing more
would take too long."""


@dataclass(frozen=True, slots=True)
class Seed:
    """Holds the content of the secret by key (`data`), and the `volume` for the VirtualMachine's
    template."""

    data: Mapping[str, bytes]
    volume: Object


def seed(request: ApplyRequest) -> Seed:
    """Return the first-boot disk. Raises ProviderError with a message for the tenant if a secret is
    unusable."""
    content = first_boot(request)
    secret = names.secret_name(request.workload_uid)
    user, network = content.get("userData", b""), content.get("networkData")
    if _is_ignition(user):
        return _config_drive(secret, user, network)
    metadata = {"instance-id": request.view_uid, **orjson.loads(content["metaData"])}
    data = {"user-data": user, "meta-data": orjson.dumps(metadata)}
    if network is not None:
        data["network-config"] = _network(request, network)
    return Seed(data, {"name": DISK, "secret": {"secretName": secret, "volumeLabel": "cidata"}})


def _config_drive(secret: str, user: bytes, network: bytes | None) -> Seed:
    drive: Object = {"secretRef": {"name": secret}}
    data = {"userdata": user}
    if network is not None:
        drive["networkDataSecretRef"] = {"name": secret}
        data["networkdata"] = network
    return Seed(data, {"name": DISK, "cloudInitConfigDrive": drive})


def _is_ignition(user: bytes) -> bool:
    """Return whether the user data is Ignition's: a JSON object with the key `ignition`."""
    if b'"ignition"' not in user or sum(map(user.count, (b",", b"[", b"{"))) > MOST_VALUES:
        return False
    try:
        config = orjson.loads(user)
    except orjson.JSONDecodeError:
        return False
    return isinstance(config, dict) and "ignition" in config


def _network(request: ApplyRequest, text: bytes) -> bytes:
    try:
        return orjson.dumps(network_config(text))
    except ValueError as error:
        name = request.workload["spec"]["networkData"]["name"]
        raise ProviderError("InvalidSecret", f'secret "{name}" (spec.networkData): {error}') from None

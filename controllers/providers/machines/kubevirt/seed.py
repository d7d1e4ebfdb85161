"""The disk that a virtual machine reads at its first boot: a secret with its files, and the volume that is made of it. Pure.

cloud-init gets a NoCloud disk out of a plain secret, for KubeVirt's own cloud-init volumes leave no room for the Workload's metadata.
Ignition reads user data from a config drive, which KubeVirt makes; of metadata it has the hostname and the uuid only.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import orjson

from controllers.providers.base import ProviderError
from controllers.providers.firstboot import first_boot
from controllers.providers.machines.kubevirt import names
from controllers.providers.machines.kubevirt.netconfig import network_config

if TYPE_CHECKING:
    from collections.abc import Mapping

    from apiserver.client.objects import Object
    from controllers.providers.base import ApplyRequest

__all__ = ["Seed", "seed"]

DISK = "firstboot"
MOST_VALUES = 50_000
"""Values of user data that is read to see whether it is Ignition's, about: reading more would take too long."""


@dataclass(frozen=True, slots=True)
class Seed:
    """`data`: the secret's, by key. `volume`: a volume of the VirtualMachine's template."""

    data: Mapping[str, bytes]
    volume: Object


def seed(request: ApplyRequest) -> Seed:
    """The first-boot disk. Raises ProviderError with a message for the tenant when a secret cannot be used."""
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
    """Ignition's configuration is a JSON object with the key `ignition`."""
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

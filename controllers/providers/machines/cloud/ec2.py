"""Control instances of EC2 with Apache Libcloud."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any
from urllib.parse import urlsplit

from libcloud.compute.base import Node, NodeImage, NodeSize
from libcloud.compute.drivers.ec2 import EC2NetworkSubnet, EC2NodeDriver

from controllers.providers.base import BadClass
from controllers.providers.machines.cloud import ec2errors
from controllers.providers.machines.cloud.calls import Calls
from controllers.providers.machines.cloud.credentials import texts
from controllers.providers.machines.cloud.driver import CloudDriver, node_of
from controllers.providers.machines.cloud.parameters import Parameters
from controllers.providers.machines.driver import Timings
from controllers.providers.machines.instance import SLOT_UID, Instance

KEYS = ("accessKey", "secretKey", "sessionToken")


class EC2(CloudDriver):
    """One region of one account. A creation has a token, and terminated instances are listed for an
    hour."""

    manufacturer, scheme, most_user_data, remembers = "Amazon EC2", "ami://", 16 * 1024, True
    explain, refusal = staticmethod(ec2errors.explain), staticmethod(ec2errors.refusal)

    def __init__(self, parameters: Parameters, credentials: Mapping[str, bytes], timings: Timings) -> None:
        """Raise BadClass if the credentials lack a key."""
        arguments = _arguments(parameters, credentials) | {"timeout": timings.request}
        super().__init__(parameters, timings)
        self._calls: Calls[EC2NodeDriver] = Calls(parameters.region, lambda: EC2NodeDriver(**arguments), timings.request)

    async def instances(self, slot_uid: str = "") -> list[Instance]:
        filters = {f"tag:{SLOT_UID}": slot_uid} if slot_uid else {"tag-key": SLOT_UID}
        nodes = await self._calls.read(lambda driver: driver.list_nodes(ex_filters=filters))
        return [_instance(node) for node in nodes]

    async def launch(self, image: str, kind: str, tags: Mapping[str, str], user_data: bytes, token: str) -> Instance:
        parameters = self.settings
        options: dict[str, Any] = {"ex_clienttoken": token, "ex_metadata": dict(tags), "ex_assign_public_ip": parameters.public_address}
        if user_data:
            options["ex_userdata"] = user_data
        if parameters.subnet:
            options["ex_subnet"] = EC2NetworkSubnet(parameters.subnet, parameters.subnet, "available")
        if parameters.security_groups:
            options["ex_security_group_ids"] = list(parameters.security_groups)

        def run(driver: EC2NodeDriver) -> Any:
            size = NodeSize(kind, kind, None, None, None, None, driver)
            return driver.create_node(name=tags["Name"], size=size, image=NodeImage(image, image, driver), **options)

        return _instance(await self._calls.write(run))

    async def terminate(self, instance: Instance) -> None:
        await self._calls.write(lambda driver: driver.destroy_node(node_of(instance, driver)))

    async def tag(self, instance: Instance, tags: Mapping[str, str]) -> None:
        await self._calls.write(lambda driver: _change_tags(driver, "CreateTags", instance, tags))

    async def untag(self, instance: Instance, *keys: str) -> None:
        # EC2 requires the current values
        tags = {key: instance.tags[key] for key in keys if key in instance.tags}
        if tags:
            await self._calls.write(lambda driver: _change_tags(driver, "DeleteTags", instance, tags))

    def busy(self, error: Exception) -> bool:
        return ec2errors.code_of(error) == "IncorrectInstanceState"


def _arguments(parameters: Parameters, credentials: Mapping[str, bytes]) -> dict[str, Any]:
    decoded = texts(credentials, KEYS)
    if missing := [key for key in ("accessKey", "secretKey") if not decoded.get(key)]:
        raise BadClass("NoCredentials", f"the credentials secret needs the keys accessKey and secretKey; missing: {', '.join(missing)}")
    if parameters.region not in EC2NodeDriver.list_regions():
        raise BadClass("BadParameters", f"correct spec.parameters: region: {parameters.region!r} is not a region of EC2")
    arguments: dict[str, Any] = {
        "key": decoded["accessKey"],
        "secret": decoded["secretKey"],
        "token": decoded.get("sessionToken") or None,
        "region": parameters.region,
    }
    if parameters.endpoint:
        url = urlsplit(parameters.endpoint)
        arguments |= {"secure": url.scheme == "https", "host": url.hostname, "port": url.port or (443 if url.scheme == "https" else 80)}
    return arguments


def _change_tags(driver: EC2NodeDriver, action: str, instance: Instance, tags: Mapping[str, str]) -> None:
    """Send a request that changes the tags of an instance.

    EC2 counts its parameters from 1. Libcloud's own call counts the resources from 0, which not
    every implementation of EC2 accepts."""
    parameters = {"Action": action, "ResourceId.1": instance.id}
    for number, (key, value) in enumerate(tags.items(), start=1):
        parameters |= {f"Tag.{number}.Key": key, f"Tag.{number}.Value": value}
    driver.connection.request(driver.path, params=parameters)


def _instance(node: Node) -> Instance:
    extra = node.extra
    return Instance(
        id=node.id,
        state=extra.get("status") or "pending",
        tags=dict(extra.get("tags") or {}),
        launched=str(extra.get("launch_time") or ""),
        reason=str(extra.get("reason") or ""),
        nics=tuple(_nic(interface) for interface in extra.get("network_interfaces") or ()) or _addresses(node),
    )


def _nic(interface: Any) -> Mapping[str, str]:
    addresses = [item["private_ip"] for item in interface.extra.get("private_ips") or () if item.get("private_ip")]
    return {"mac": interface.extra.get("mac_address") or "", "ip": addresses[0] if addresses else ""}


def _addresses(node: Node) -> tuple[Mapping[str, str], ...]:
    return ({"ip": node.private_ips[0]},) if node.private_ips else ()

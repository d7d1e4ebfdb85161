"""EC2 by Apache Libcloud, which blocks: every call runs in a thread of the class's own pool, with a limit of time.

A call that was sent is waited for even when whoever asked is cancelled: what it does cannot be taken back, and the next look has to
see it. Writes look at the leader's fence at the last moment.
"""

from __future__ import annotations

import asyncio
import contextvars
import threading
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Any, TypeVar
from urllib.parse import urlsplit

from libcloud.compute.base import Node, NodeImage, NodeSize
from libcloud.compute.drivers.ec2 import EC2NetworkSubnet, EC2NodeDriver

from controllers.providers.base import BadClass
from controllers.providers.cloud.instance import SLOT_UID, Instance
from controllers.runtime import fence

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from controllers.providers.cloud.parameters import Parameters

__all__ = ["EC2"]

TIMEOUT = 20.0
"""Seconds for one request."""
AT_ONCE = 4
"""Requests to one class's cloud at a time: one that hangs holds no other class up."""

KEYS = ("accessKey", "secretKey", "sessionToken")

T = TypeVar("T")


class EC2:
    """One region of one account. Methods raise what Libcloud and requests raise (see problems)."""

    def __init__(self, parameters: Parameters, credentials: Mapping[str, bytes]) -> None:
        """Raises BadClass when the credentials lack a key."""
        self._parameters, self._arguments = parameters, _arguments(parameters, credentials)
        self._pool = ThreadPoolExecutor(AT_ONCE, thread_name_prefix=f"cloud-{parameters.region}")
        self._local = threading.local()

    async def instances(self, slot_uid: str = "") -> list[Instance]:
        """All that are ours in the region, or those of one slot; terminated ones for as long as the cloud remembers them."""
        filters = {f"tag:{SLOT_UID}": slot_uid} if slot_uid else {"tag-key": SLOT_UID}
        nodes = await self._call(lambda driver: driver.list_nodes(ex_filters=filters), write=False)
        return [_instance(node) for node in nodes]

    async def create(self, image: str, kind: str, tags: Mapping[str, str], user_data: bytes, token: str) -> Instance:
        """Makes an instance; the same one again if the token was used before."""
        parameters = self._parameters
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

        return _instance(await self._call(run))

    async def terminate(self, instance: Instance) -> None:
        """Shuts it down and deletes it with its disk."""
        await self._call(lambda driver: driver.destroy_node(_node(instance, driver)))

    async def start(self, instance: Instance) -> None:
        """Power on."""
        await self._call(lambda driver: driver.start_node(_node(instance, driver)))

    async def stop(self, instance: Instance) -> None:
        """Power off; what is on its disk stays."""
        await self._call(lambda driver: driver.stop_node(_node(instance, driver)))

    async def reboot(self, instance: Instance) -> None:
        """Asks it to reboot."""
        await self._call(lambda driver: driver.reboot_node(_node(instance, driver)))

    async def tag(self, instance: Instance, tags: Mapping[str, str]) -> None:
        """Sets these tags."""
        await self._call(lambda driver: _change_tags(driver, "CreateTags", instance, tags))

    async def untag(self, instance: Instance, *keys: str) -> None:
        """Removes these tags, with the values that they were seen to have."""
        tags = {key: instance.tags[key] for key in keys if key in instance.tags}
        if tags:
            await self._call(lambda driver: _change_tags(driver, "DeleteTags", instance, tags))

    def close(self) -> None:
        """Takes no more calls; those under way end by themselves in time."""
        self._pool.shutdown(wait=False, cancel_futures=True)

    async def _call(self, work: Callable[[EC2NodeDriver], T], *, write: bool = True) -> T:
        def run() -> T:
            driver = self._driver()
            if write:
                fence.check()
            return work(driver)

        context = contextvars.copy_context()
        under_way = asyncio.get_running_loop().run_in_executor(self._pool, context.run, run)
        try:
            return await asyncio.shield(under_way)
        except asyncio.CancelledError:
            await asyncio.wait([under_way], timeout=2 * TIMEOUT)
            raise

    def _driver(self) -> EC2NodeDriver:
        """This thread's own: a driver has one connection."""
        driver: EC2NodeDriver | None = getattr(self._local, "driver", None)
        if driver is None:
            driver = self._local.driver = EC2NodeDriver(**self._arguments)
        return driver


def _arguments(parameters: Parameters, credentials: Mapping[str, bytes]) -> dict[str, Any]:
    if missing := [key for key in ("accessKey", "secretKey") if not credentials.get(key)]:
        raise BadClass("NoCredentials", f"the credentials secret needs the keys accessKey and secretKey; missing: {', '.join(missing)}")
    try:
        decoded = {
            key: credentials[key].decode("ascii").strip() for key in ("accessKey", "secretKey", "sessionToken") if key in credentials
        }
    except UnicodeDecodeError:
        raise BadClass("BadCredentials", "the values in the credentials secret are not text: write them as the cloud gave them") from None
    if parameters.region not in EC2NodeDriver.list_regions():
        raise BadClass("BadParameters", f"correct spec.parameters: region: {parameters.region!r} is none of {parameters.cloud}'s")
    arguments: dict[str, Any] = {
        "key": decoded["accessKey"],
        "secret": decoded["secretKey"],
        "token": decoded.get("sessionToken") or None,
        "region": parameters.region,
        "timeout": TIMEOUT,
    }
    if parameters.endpoint:
        url = urlsplit(parameters.endpoint)
        arguments |= {"secure": url.scheme == "https", "host": url.hostname, "port": url.port or (443 if url.scheme == "https" else 80)}
    return arguments


def _node(instance: Instance, driver: EC2NodeDriver) -> Node:
    return Node(instance.id, instance.id, "unknown", [], [], driver)


def _change_tags(driver: EC2NodeDriver, action: str, instance: Instance, tags: Mapping[str, str]) -> None:
    """EC2 counts its parameters from 1. Libcloud's own call counts the resources from 0, which not everything that speaks EC2 takes."""
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

"""Control servers of OpenStack with Apache Libcloud: Keystone v3 and Nova (2.1, no later
microversion).

Neutron and Glance are not used, because a class names their objects by id. Nova differs from EC2:
it has no tokens (see launcher.py), and it forgets deleted servers. Only administrators of Nova may
list servers by metadata, so all servers of the project are read. Nova refuses to change the
metadata of a server while an operation is in progress.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any
from urllib.parse import quote

from libcloud.common.exceptions import BaseHTTPError
from libcloud.common.types import LibcloudError
from libcloud.compute.base import Node, NodeImage, NodeSize
from libcloud.compute.drivers.openstack import OpenStack_2_Connection, OpenStack_2_NodeDriver, OpenStackNetwork, OpenStackSecurityGroup

from apiserver.client import fence
from controllers.providers.base import BadClass, ProviderError
from controllers.providers.machines.cloud import openstackerrors
from controllers.providers.machines.cloud.calls import Calls
from controllers.providers.machines.cloud.credentials import texts
from controllers.providers.machines.cloud.driver import CloudDriver, node_of
from controllers.providers.machines.cloud.parameters import Parameters, is_safe
from controllers.providers.machines.driver import Timings
from controllers.providers.machines.instance import SLOT_UID, Instance

APPLICATION = ("applicationCredentialId", "applicationCredentialSecret")
PASSWORD = ("username", "password", "project")
OPTIONAL = {"userDomain": "Default", "projectDomainId": "default"}

TRANSITIONAL = {"active": "pending", "stopped": "pending", "building": "pending", "error": "error"}
SETTLED = {"active": "running", "stopped": "stopped", "building": "pending", "error": "error", "deleted": "terminated"}


class OpenStack(CloudDriver):
    """One region of one project."""

    manufacturer, scheme, most_user_data, remembers = "OpenStack", "glance://", 65535 // 4 * 3, False
    explain, refusal, busy = (
        staticmethod(openstackerrors.explain),
        staticmethod(openstackerrors.refusal),
        staticmethod(openstackerrors.busy),
    )

    def __init__(self, parameters: Parameters, credentials: Mapping[str, bytes], timings: Timings) -> None:
        """Raise BadClass if the credentials lack a key."""
        arguments = _arguments(parameters, credentials) | {"timeout": timings.request}
        super().__init__(parameters, timings)
        self._calls: Calls[_NodeDriver] = Calls(parameters.region, lambda: _NodeDriver(**arguments), timings.request)
        self._flavors: dict[str, str] = {}

    async def instances(self, slot_uid: str = "") -> list[Instance]:
        found = [instance_of(node) for node in await self._calls.read(lambda driver: driver.list_nodes())]
        return [item for item in found if SLOT_UID in item.tags and (not slot_uid or item.tags[SLOT_UID] == slot_uid)]

    async def launch(self, image: str, kind: str, tags: Mapping[str, str], user_data: bytes, token: str) -> Instance:
        flavor, parameters = await self._flavor(kind), self.settings

        def run(driver: _NodeDriver) -> Any:
            return driver.create_node(
                name=tags["Name"],
                size=NodeSize(flavor, kind, None, None, None, None, driver),
                image=NodeImage(image, image, driver),
                ex_metadata={_key(key): value for key, value in tags.items() if key != "Name"},
                ex_userdata=user_data or None,
                networks=[OpenStackNetwork(id, id, None, driver) for id in parameters.networks],
                ex_security_groups=[OpenStackSecurityGroup(id, None, id, None, driver) for id in parameters.security_groups],
            )

        return instance_of(await self._calls.write(run))

    async def terminate(self, instance: Instance) -> None:
        def run(driver: _NodeDriver) -> None:
            try:
                driver.destroy_node(node_of(instance, driver))
            except BaseHTTPError as error:
                if error.code != 404:
                    raise

        await self._calls.write(run)

    async def tag(self, instance: Instance, tags: Mapping[str, str]) -> None:
        # Libcloud's own call replaces all metadata, including what other clients wrote since.
        data = {"metadata": {_key(key): value for key, value in tags.items()}}
        path = f"/servers/{instance.id}/metadata"
        await self._calls.write(lambda driver: driver.connection.request(path, method="POST", data=data))

    async def untag(self, instance: Instance, *keys: str) -> None:
        def run(driver: _NodeDriver, path: str) -> None:
            try:
                driver.connection.request(path, method="DELETE")
            except BaseHTTPError as error:
                if error.code != 404:
                    raise

        for key in keys:
            path = f"/servers/{instance.id}/metadata/{quote(_key(key))}"
            await self._calls.write(lambda driver, path=path: run(driver, path))  # type: ignore[misc] # a default is not inferred

    async def _flavor(self, kind: str) -> str:
        """Return the id of the flavor with this name or id."""
        if kind not in self._flavors:
            sizes = await self._calls.read(lambda driver: driver.list_sizes())
            self._flavors = {size.name: size.id for size in sizes} | {size.id: size.id for size in sizes}
        if kind not in self._flavors:
            raise openstackerrors.NoSuchFlavor(f"the cloud has no flavor {kind}, or does not show it to this project")
        return self._flavors[kind]


class _Connection(OpenStack_2_Connection):  # type: ignore[misc] # the library has no types
    """Libcloud's connection with four differences.

    A service is found by its type, whatever its name in the catalog. No token is sent without TLS.
    A token that the cloud no longer accepts is renewed at once. Writes check the fence immediately
    before they are sent."""

    service_name = None

    def get_endpoint(self) -> str:
        try:
            url = str(super().get_endpoint())
        except (LibcloudError, ValueError):
            known = ", ".join(self.service_catalog.get_regions(service_type=self.service_type)) or "none"
            message = f"correct spec.parameters: region: the cloud has no compute service there that is public; it has one in: {known}"
            raise ProviderError("NoSuchRegion", message) from None
        if not is_safe(url):
            raise ProviderError("InsecureEndpoint", "the cloud's catalog has an http endpoint for its compute service: it has to be https")
        return url

    def add_default_headers(self, headers: dict[str, str]) -> dict[str, str]:
        if self.method != "GET":
            fence.check()
        return dict(super().add_default_headers(headers))

    def request(self, *arguments: Any, **options: Any) -> Any:
        try:
            return super().request(*arguments, **options)
        except BaseHTTPError as error:
            if error.code != 401:
                raise
        return super().request(*arguments, **options)


class _NodeDriver(OpenStack_2_NodeDriver):  # type: ignore[misc] # the library has no types
    connectionCls = _Connection


def instance_of(node: Node) -> Instance:
    """Return the instance for a server that Libcloud returned."""
    extra = node.extra
    state, doing = str(extra.get("vm_state") or ""), extra.get("task_state")
    return Instance(
        id=node.id,
        state=_state(state, doing),
        tags={_tag(key): str(value) for key, value in (extra.get("metadata") or {}).items()},
        launched=str(extra.get("created") or ""),
        reason=str((extra.get("fault") or {}).get("message") or (state if state not in SETTLED else "")),
        nics=tuple(_nics(extra.get("addresses") or {})),
    )


def _state(state: str, doing: str | None) -> str:
    """Return one state for Nova's two. `doing`: the operation in progress."""
    if doing == "deleting" or state == "soft-delete":
        return "shutting-down"
    if doing == "powering-off":
        return "stopping"
    return (SETTLED if doing is None else TRANSITIONAL).get(state, "held")


def _nics(addresses: Mapping[str, Any]) -> list[Mapping[str, str]]:
    """Return one NIC for each MAC address, with its first fixed IPv4 address, or else IPv6
    address."""
    nics: dict[str, str] = {}
    for item in sorted((one for given in addresses.values() for one in given), key=lambda one: int(one.get("version") or 4)):
        if item.get("OS-EXT-IPS:type") != "floating" and (mac := item.get("OS-EXT-IPS-MAC:mac_addr")):
            nics.setdefault(mac, str(item["addr"]))
    return [{"mac": mac, "ip": address} for mac, address in nics.items()]


def _arguments(parameters: Parameters, credentials: Mapping[str, bytes]) -> dict[str, Any]:
    given = texts(credentials, (*APPLICATION, *PASSWORD, *OPTIONAL))
    application = any(key in given for key in APPLICATION)
    needed = APPLICATION if application else PASSWORD
    if missing := [key for key in needed if key not in given]:
        keys = openstackerrors.KEYS
        raise BadClass("NoCredentials", f"the credentials secret needs the keys {keys}; missing: {', '.join(missing)}")
    endpoint = (parameters.endpoint or "").rstrip("/").removesuffix("/v3")
    arguments: dict[str, Any] = {
        "key": given[needed[0]],
        "secret": given[needed[1]],
        "secure": endpoint.startswith("https:"),
        "ex_force_auth_url": endpoint,
        "ex_force_auth_version": "3.x_appcred" if application else "3.x_password",
        "ex_force_service_region": parameters.region,
    }
    if not application:
        domains = {key: given.get(key, default) for key, default in OPTIONAL.items()}
        arguments |= {
            "ex_tenant_name": given["project"],
            "ex_domain_name": domains["userDomain"],
            "ex_tenant_domain_id": domains["projectDomainId"],
        }
    return arguments


def _key(tag: str) -> str:
    """Return the key of a tag in Nova's metadata, which allows no slashes."""
    return tag.replace("/", ":")


def _tag(key: str) -> str:
    return key.replace(":", "/", 1)

"""Put a simulated OpenStack behind a proxy."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

from aiohttp import web

from hack.cloud.nova import FLAVORS, Server
from tests.unit.controllers.providers.machines.cloud.cloud import IMAGES, Cloud, SeenInstance

if TYPE_CHECKING:
    from collections.abc import Mapping

    from hack.cloud.openstack import OpenStackCloud
    from tests.unit.controllers.providers.machines.cloud.faultproxy import FaultProxy

STATES = {"active": "running", "stopped": "stopped"}
REFUSALS = {
    "away": (503, "canary-key is bad"),
    "failing": (500, "canary-key is bad"),
    "unauthorized": (401, "canary-key is bad"),
    "forbidden": (403, "Policy doesn't allow os_compute_api:servers:create to be performed. (canary-key)"),
    "throttled": (429, "slow"),
    "quota": (403, "Quota exceeded for cores: Requested 2, but already used 20 of 20 cores"),
    "image": (400, "Can not find requested image"),
    "machine": (400, "Network canary could not be found."),
}


class NovaCloud(Cloud):
    """OpenStack behind a proxy. `simulation`: the cloud itself, in this process."""

    remembers, kinds, region, other_region = False, ("m1.small", "m1.medium"), "RegionOne", "RegionTwo"
    keys = {"applicationCredentialId": b"credential", "applicationCredentialSecret": b"canary-secret"}  # noqa: RUF012 - read only, as in every harness

    def __init__(self, proxy: FaultProxy, simulation: OpenStackCloud) -> None:
        super().__init__(proxy, driver="openstack")
        self.simulation, self.nova = simulation, simulation.nova
        self.nova.images.update(IMAGES.values())

    def instances(self, name: str = "") -> list[SeenInstance]:
        return [
            SeenInstance(server.id, server.name, STATES.get(server.state, server.state), server.image, _tags(server.metadata))
            for server in self.nova.list()
            if server.name.startswith(name) and server.task != "deleting"
        ]

    def server(self) -> Server:
        """Return the only server."""
        [server] = self.nova.list()
        return server

    def launch(self, name: str, tags: Mapping[str, str]) -> None:
        metadata = {key.replace("/", ":"): value for key, value in tags.items() if key != "Name"}
        number = len(self.nova.servers)
        id = f"00000000-0000-4000-8000-{number:012}"
        flavor = next(iter(FLAVORS))
        self.nova.servers[id] = Server(id, name, "ami-9", flavor, metadata, time.time() + 5, f"fa:16:3e:ff:ff:{number:02x}", "active", None)

    def end(self, id: str) -> None:
        del self.nova.servers[id]

    def refused(self, why: str) -> web.Response:
        return refused(*REFUSALS[why])


def _tags(metadata: Mapping[str, str]) -> dict[str, str]:
    return {key.replace(":", "/", 1): value for key, value in metadata.items()}


def verb(request: web.Request, body: bytes) -> str:
    """Return the action of a request."""
    method, parts = request.method, request.path.strip("/").split("/")
    match method, parts[-1]:
        case "POST", "tokens":
            return "authenticate"
        case "POST", "servers":
            return "create"
        case "POST", "action":
            return next(
                (word for word in ("start", "stop", "reboot") if f'"os-{word}"'.encode() in body or f'"{word}"'.encode() in body), ""
            )
        case "POST", "metadata":
            return "tag"
        case "DELETE", _:
            return "untag" if "metadata" in parts else "terminate"
        case "GET", "detail":
            return "list" if "servers" in parts else "flavors"
    return "look"


def refused(status: int, message: str) -> web.Response:
    """Return an error in Nova's format."""
    return web.json_response({"fault": {"code": status, "message": message}}, status=status)

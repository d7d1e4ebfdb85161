"""Simulate a project's servers as Nova keeps them: the effect of requests, and what it refuses. No
HTTP.

An operation takes `seconds`; it is completed by the first access after that. The simulation is as
strict as Nova: names and sizes of fields, states in which an action is accepted, quota. Deleted
servers are forgotten.
"""

from __future__ import annotations

import base64
import binascii
import re
import time
import uuid
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

Object = dict[str, Any]

FLAVORS = {"7d2b5c0e-0000-4000-8000-000000000001": "m1.small", "7d2b5c0e-0000-4000-8000-000000000002": "m1.medium"}
KEY = re.compile(r"^[a-zA-Z0-9\-_:. ]{1,255}$")
OPTIONAL = {"metadata", "user_data", "networks", "security_groups", "config_drive", "availability_zone", "key_name", "adminPass"}
STATUS = {"active": "ACTIVE", "building": "BUILD", "stopped": "SHUTOFF", "error": "ERROR", "paused": "PAUSED"}
NOTED_IN = {"active", "paused", "suspended", "stopped"}
ACTIONS = {"os-start": {"stopped"}, "os-stop": {"active", "error"}, "reboot": {"active", "stopped", "paused", "suspended", "error"}}
OUTCOMES = {"spawning": "active", "powering-on": "active", "powering-off": "stopped", "rebooting_hard": "active", "rebooting": "active"}


class Refused(Exception):
    """Reports a refusal with an HTTP status and Nova's message."""

    def __init__(self, status: int, message: str) -> None:
        super().__init__(message)
        self.status = status


@dataclass
class Server:
    """One server. `task`: the operation in progress until `done`."""

    id: str
    name: str
    image: str
    flavor: str
    metadata: dict[str, str]
    created: float
    mac: str
    state: str = "building"
    task: str | None = "spawning"
    done: float = 0.0
    fault: str = ""
    user_data: bytes = b""
    locked: bool = False
    request: Object = field(default_factory=dict)


class Nova:
    """The servers of one project.

    `images`, `networks`, `groups`: the ids that exist. `quota`: the highest number of servers.
    `full`: whether no host has capacity for another server."""

    def __init__(self, seconds: float = 0.05, clock: Callable[[], float] = time.time) -> None:
        self.seconds, self.clock = seconds, clock
        self.servers: dict[str, Server] = {}
        self.images: set[str] = set()
        self.networks = {"11111111-2222-4333-8444-555555555555"}
        self.groups = {"default"}
        self.quota, self.full = 100, False

    def list(self) -> list[Server]:
        """Return the servers, the newest first."""
        self._settle()
        return sorted(self.servers.values(), key=lambda server: (server.created, server.id), reverse=True)

    def get(self, id: str) -> Server:
        """Return one server. Raises Refused."""
        self._settle()
        if id not in self.servers:
            raise Refused(404, f"Instance {id} could not be found.")
        return self.servers[id]

    def create(self, body: Any) -> Server:
        """Accept a request: the server is built later, or its build fails."""
        wanted = body.get("server") if isinstance(body, dict) else None
        if not isinstance(wanted, dict):
            raise Refused(400, "Invalid input for field/attribute server: it is required")
        self._check(wanted)
        if len(self.list()) >= self.quota:
            raise Refused(403, f"Quota exceeded for instances: Requested 1, but already used {self.quota} of {self.quota} instances")
        server = Server(
            id=str(uuid.uuid4()),
            name=wanted["name"],
            image=wanted["imageRef"],
            flavor=wanted["flavorRef"],
            metadata=dict(wanted.get("metadata") or {}),
            created=self.clock(),
            mac=f"fa:16:3e:{len(self.servers):02x}:{uuid.uuid4().bytes[0]:02x}:{uuid.uuid4().bytes[0]:02x}",
            done=self.clock() + self.seconds,
            fault="No valid host was found. There are not enough hosts available." if self.full else "",
            user_data=base64.b64decode(wanted.get("user_data") or ""),
            request=wanted,
        )
        self.servers[server.id] = server
        return server

    def act(self, id: str, body: Any) -> None:
        """Handle POST /servers/ID/action."""
        server = self.get(id)
        if not isinstance(body, dict) or len(body) != 1 or next(iter(body)) not in ACTIONS:
            raise Refused(400, "There is no such action")
        [(action, arguments)] = body.items()
        if action == "reboot" and (not isinstance(arguments, dict) or arguments.get("type") not in {"HARD", "SOFT"}):
            raise Refused(400, "Invalid input for field/attribute type")
        self._allowed(server, action, ACTIONS[action])
        task = {"os-start": "powering-on", "os-stop": "powering-off"}.get(action, "rebooting_hard")
        self._begin(server, task)

    def delete(self, id: str) -> None:
        """Handle DELETE /servers/ID."""
        server = self.get(id)
        if server.locked:
            raise Refused(409, f"Instance {id} is locked")
        if server.task != "deleting":
            self._begin(server, "deleting")

    def note(self, id: str, metadata: Any) -> dict[str, str]:
        """Handle POST /servers/ID/metadata, which adds and replaces."""
        server = self.get(id)
        self._check_metadata(metadata)
        self._allowed(server, "update metadata", NOTED_IN)
        server.metadata |= metadata
        return server.metadata

    def forget(self, id: str, key: str) -> None:
        """Handle DELETE /servers/ID/metadata/KEY."""
        server = self.get(id)
        if key not in server.metadata:
            raise Refused(404, "Metadata item was not found")
        self._allowed(server, "delete metadata", NOTED_IN)
        del server.metadata[key]

    def _begin(self, server: Server, task: str) -> None:
        server.task, server.done = task, self.clock() + self.seconds

    def _allowed(self, server: Server, what: str, states: set[str]) -> None:
        if server.state not in states:
            raise Refused(409, f"Cannot '{what}' instance {server.id} while it is in vm_state {server.state}")
        if server.task is not None:
            raise Refused(409, f"Cannot '{what}' instance {server.id} while it is in task_state {server.task}")

    def _settle(self) -> None:
        """Complete the operations whose time is over."""
        for server in list(self.servers.values()):
            if server.task is None or server.done > self.clock():
                continue
            if server.task == "deleting":
                del self.servers[server.id]
                continue
            server.state = "error" if server.fault and server.task == "spawning" else OUTCOMES[server.task]
            server.task = None

    def _check(self, wanted: Object) -> None:
        missing = [name for name in ("name", "flavorRef", "imageRef") if not isinstance(wanted.get(name), str) or not wanted[name]]
        if missing:
            raise Refused(400, f"Invalid input for field/attribute server. '{missing[0]}' is a required property")
        if unknown := sorted(wanted.keys() - OPTIONAL - {"name", "flavorRef", "imageRef"}):
            raise Refused(400, f"Invalid input for field/attribute server. Additional properties are not allowed ('{unknown[0]}')")
        self._check_metadata(wanted.get("metadata", {}))
        self._check_user_data(wanted.get("user_data", ""))
        if wanted["flavorRef"] not in FLAVORS:
            raise Refused(400, f"Flavor {wanted['flavorRef']} could not be found.")
        if wanted["imageRef"] not in self.images:
            raise Refused(400, "Can not find requested image")
        self._check_network(wanted)

    def _check_network(self, wanted: Object) -> None:
        if "networks" not in wanted and len(self.networks) > 1:
            raise Refused(409, "Multiple possible networks found, use a Network ID to be more specific.")
        for network in wanted.get("networks", ()):
            if network.keys() != {"uuid"} or network["uuid"] not in self.networks:
                raise Refused(400, f"Network {network.get('uuid')} could not be found.")
        for group in wanted.get("security_groups", ()):
            if group.keys() != {"name"} or group["name"] not in self.groups:
                raise Refused(400, f"Security group {group.get('name')} not found for project.")

    def _check_metadata(self, metadata: Any) -> None:
        if not isinstance(metadata, dict) or len(metadata) > 128:
            raise Refused(400, "Invalid input for field/attribute metadata")
        for key, value in metadata.items():
            if not KEY.match(key):
                raise Refused(400, f"Invalid input for field/attribute metadata. '{key}' does not match any of the regexes")
            if not isinstance(value, str) or len(value) > 255:
                raise Refused(400, f"Invalid input for field/attribute {key}. Value: {value}. It is too long, or no string")

    def _check_user_data(self, text: Any) -> None:
        try:
            base64.b64decode(text, validate=True)
        except (TypeError, binascii.Error):
            raise Refused(400, "Invalid input for field/attribute user_data: it is not a 'base64'") from None
        if len(text) > 65535:
            raise Refused(400, "Invalid input for field/attribute user_data. It is too long")

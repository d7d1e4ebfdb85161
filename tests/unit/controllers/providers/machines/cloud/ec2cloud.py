"""Put moto's EC2 behind a proxy."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from aiohttp import web
from libcloud.compute.base import NodeImage, NodeSize
from libcloud.compute.drivers.ec2 import EC2NodeDriver

from tests.unit.controllers.providers.machines.cloud.cloud import Cloud, SeenInstance

if TYPE_CHECKING:
    from collections.abc import Mapping

    from tests.unit.controllers.providers.machines.cloud.faultproxy import FaultProxy

REGION = "eu-central-1"
VERBS = {
    "DescribeInstances": "list",
    "RunInstances": "create",
    "TerminateInstances": "terminate",
    "StartInstances": "start",
    "StopInstances": "stop",
    "RebootInstances": "reboot",
    "CreateTags": "tag",
    "DeleteTags": "untag",
}
REFUSALS = {
    "away": ("Unavailable", 503),
    "failing": ("InternalError", 500),
    "unauthorized": ("AuthFailure", 401),
    "forbidden": ("UnauthorizedOperation", 403),
    "throttled": ("RequestLimitExceeded", 503),
    "quota": ("InstanceLimitExceeded", 400),
    "image": ("InvalidAMIID.NotFound", 400),
    "machine": ("InvalidSubnetID.NotFound", 400),
}


class EC2Cloud(Cloud):
    """EC2 behind a proxy. `account`: the owner's own access."""

    remembers, kinds, region, other_region = True, ("t3.small", "t3.medium"), REGION, "eu-west-1"
    keys = {"accessKey": b"canary-key", "secretKey": b"canary-secret"}  # noqa: RUF012 (no harness changes it)

    def __init__(self, proxy: FaultProxy, port: int) -> None:
        super().__init__(proxy)
        self.account: Any = EC2NodeDriver("key", "secret", region=REGION, host="127.0.0.1", port=port, secure=False)

    def instances(self, name: str = "") -> list[SeenInstance]:
        nodes = [node for node in self.account.list_nodes() if node.extra["status"] not in {"terminated", "shutting-down"}]
        seen = [
            SeenInstance(node.id, node.extra["tags"].get("Name", ""), node.extra["status"], node.extra["image_id"], node.extra["tags"])
            for node in nodes
        ]
        return [item for item in seen if not name or item.name.startswith(name)]

    def launch(self, name: str, tags: Mapping[str, str]) -> None:
        size, image = NodeSize("t3.small", "t3.small", 0, 0, 0, 0.0, self.account), NodeImage("ami-9", "ami-9", self.account)
        self.account.create_node(name=name, size=size, image=image, ex_metadata=dict(tags))

    def end(self, id: str) -> None:
        [node] = self.account.list_nodes(ex_node_ids=[id])
        self.account.destroy_node(node)

    def refused(self, why: str) -> web.Response:
        return refused(*REFUSALS[why])


def verb(request: web.Request, body: bytes) -> str:
    """Return the action of a request."""
    given = dict(part.split("=", 1) for part in body.decode().split("&") if "=" in part)
    action = request.query.get("Action") or given.get("Action", "")
    return VERBS.get(action, action)


def refused(code: str, status: int = 400) -> web.Response:
    """Return an error in EC2's format."""
    error = f"<Error><Code>{code}</Code><Message>canary-key is bad</Message></Error>"
    text = f"<Response><Errors>{error}</Errors><RequestID>r</RequestID></Response>"
    return web.Response(status=status, text=text, content_type="text/xml")

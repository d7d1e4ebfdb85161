"""A cloud account under a test's control."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Self

from libcloud.compute.base import NodeImage, NodeSize
from libcloud.compute.drivers.ec2 import EC2NodeDriver

from controllers.providers.cloud import CloudProvider
from controllers.providers.cloud.parameters import CloudFlavor
from controllers.providers.testing import SourceHarness
from tests.unit.controllers.providers.cloud.door import refused

if TYPE_CHECKING:
    from controllers.providers.base import ProviderContext
    from tests.unit.controllers.providers.cloud.door import Door

__all__ = ["Cloud", "flavor"]

Object = dict[str, Any]
REGION = "eu-central-1"
IMAGES = {"http://images/os": "ami-1", "http://images/new": "ami-2", "http://images/other": "ami-3"} | {
    f"http://images/{number}": f"ami-1{number}" for number in range(5)
}


def flavor(name: str = "small", **fields: Any) -> Object:
    return {"name": name, "instanceType": "t3.small", "cpu": 2, "memory": "2Gi", "disk": "8Gi", "capacity": 1, **fields}


class Cloud(SourceHarness):
    """Moto's EC2 behind a door. `made` is the provider that a test runs."""

    def __init__(self, door: Door, account: Any) -> None:
        harness = self

        class Remembered(CloudProvider):
            """Flavors change with the class, which makes a new provider; the tests of all providers look at one."""

            @classmethod
            async def create(cls, context: ProviderContext) -> Self:
                harness.made = made = await super().create(context)
                return made

        self.door, self.account = door, account
        self.made: CloudProvider | None = None
        self.provider = Remembered
        self.credentials = {"accessKey": b"canary-key", "secretKey": b"canary-secret"}
        self.spec: Object = {"provisioner": "metal3.io/cloud", "parameters": {}}
        self.set(
            region=REGION,
            endpoint=f"http://127.0.0.1:{door.port}",
            flavors=[flavor()],
            images=[{"url": url, "id": id} for url, id in IMAGES.items()],
            pollSeconds=0.5,
        )

    def set(self, **parameters: Any) -> None:
        """Sets parameters of the class, before the provider runs."""
        self.spec = {**self.spec, "parameters": {**self.spec["parameters"], **parameters}}

    def offer(self, *flavors: Object) -> None:
        """Changes what the running provider offers."""
        assert self.made is not None
        self.made.fleet.offer([CloudFlavor.decode(item) for item in flavors])

    def instances(self, name: str = "") -> list[Any]:
        """Those that are not terminated; of one host, or all."""
        nodes = [node for node in self.account.list_nodes() if node.extra["status"] not in {"terminated", "shutting-down"}]
        return [node for node in nodes if not name or node.extra["tags"].get("Name", "").startswith(name)]

    def add_host(self, name: str) -> None:
        self.offer(flavor(), flavor(name))

    def remove_host(self, name: str) -> None:
        if not (found := self.instances(name)):
            self.offer(flavor())
        for node in found:
            self.account.destroy_node(node)

    def take_host(self, name: str) -> None:
        assert self.made is not None
        [host] = [host for host in self.made.hosts() if host.source.name == name]
        slot, _, number = name.rpartition("-")
        tags = {"slot-uid": host.source.uid, "slot": f"{slot}/{number}", "workload-uid": "stranger"}
        self.launch(name, {f"workload.metal3.io/{key}": value for key, value in tags.items()})

    def launch(self, name: str, tags: dict[str, str]) -> Any:
        """Somebody makes an instance."""
        size, image = NodeSize("t3.small", "t3.small", 0, 0, 0, 0.0, self.account), NodeImage("ami-9", "ami-9", self.account)
        return self.account.create_node(name=name, size=size, image=image, ex_metadata=tags)

    def runs(self, name: str) -> str | None:
        urls = {id: url for url, id in IMAGES.items()}
        running = [urls.get(node.extra["image_id"], "?") for node in self.instances(name) if node.extra["status"] == "running"]
        assert len(running) < 2, "two instances at once"
        return running[0] if running else None

    def leftovers(self) -> list[str]:
        return [node.id for node in self.instances()]

    def go_away(self) -> None:
        self.door.answer = lambda action: refused("Unavailable", status=503)

    def come_back(self) -> None:
        self.door.answer = lambda action: None


def account(port: int) -> Any:
    """The owner's own access to the account."""
    return EC2NodeDriver("key", "secret", region=REGION, host="127.0.0.1", port=port, secure=False)

"""Provide a cloud account under a test's control, for any kind of cloud."""

from __future__ import annotations

from abc import abstractmethod
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any, ClassVar, Self

from controllers.providers.machines.cloud import CloudProvider
from controllers.providers.machines.cloud.parameters import CloudFlavor
from controllers.providers.testing import SourceHarness
from tests.unit.controllers.providers.machines.offering import offer

if TYPE_CHECKING:
    from collections.abc import Mapping

    from aiohttp import web

    from controllers.providers.base import ProviderContext
    from tests.unit.controllers.providers.machines.cloud.faultproxy import FaultProxy

Object = dict[str, Any]
IMAGES = {"http://images.example/os": "ami-1", "http://images.example/new": "ami-2", "http://images.example/other": "ami-3"} | {
    f"http://images.example/{number}": f"ami-1{number}" for number in range(5)
}


@dataclass(frozen=True)
class SeenInstance:
    """An instance as its owner sees it. `state`: running, stopped, or another state."""

    id: str
    name: str
    state: str
    image: str
    tags: Mapping[str, str] = field(default_factory=dict)


class Cloud(SourceHarness):
    """An account behind a proxy. `made` is the provider that a test runs."""

    remembers: ClassVar[bool]
    kinds: ClassVar[tuple[str, str]]
    """Two instance types."""
    keys: ClassVar[dict[str, bytes]]
    region: ClassVar[str]
    other_region: ClassVar[str]

    def __init__(self, proxy: FaultProxy, **parameters: Any) -> None:
        harness = self

        class Remembered(CloudProvider):
            """Remembers the last provider: flavors change with the class, which creates a new
            provider. The tests of all providers use one."""

            @classmethod
            async def create(cls, context: ProviderContext) -> Self:
                harness.made = made = await super().create(context)
                return made

        self.proxy = proxy
        self.made: CloudProvider | None = None
        self.provider: type[CloudProvider] = Remembered
        # The cloud is polled as soon as a simulated one has something to show, and no request ends
        # because the machine is slow.
        self.time(soon=0.3, request=120.0, poll_first=0.1, poll_longest=0.5)
        self.credentials = dict(self.keys)
        self.spec: Object = {"provisioner": "metal3.io/cloud", "parameters": {}}
        images = [{"url": url, "id": id} for url, id in IMAGES.items()]
        endpoint = f"http://127.0.0.1:{proxy.port}"
        self.set(region=self.region, endpoint=endpoint, flavors=[self.flavor()], images=images, pollSeconds=0.5, **parameters)

    def time(self, **timings: float) -> None:
        """Set time limits, before the provider runs."""
        self.provider.timings = replace(self.provider.timings, **timings)

    @abstractmethod
    def instances(self, name: str = "") -> list[SeenInstance]:
        """Return the instances that are not terminated; of one host, or all."""

    @abstractmethod
    def launch(self, name: str, tags: Mapping[str, str]) -> None:
        """Create an instance as another client does."""

    @abstractmethod
    def end(self, id: str) -> None:
        """Delete an instance as another client does."""

    @abstractmethod
    def refused(self, why: str) -> web.Response:
        """Return the cloud's response for a failure.

        `why` is one of: away, failing, unauthorized, forbidden, throttled, quota, image,
        machine."""

    def flavor(self, name: str = "small", **fields: Any) -> Object:
        return {"name": name, "instanceType": self.kinds[0], "cpu": 2, "memory": "2Gi", "disk": "8Gi", "capacity": 1, **fields}

    def set(self, **parameters: Any) -> None:
        """Set parameters of the class, before the provider runs."""
        self.spec = {**self.spec, "parameters": {**self.spec["parameters"], **parameters}}

    def offer(self, *flavors: Object) -> None:
        """Change what the running provider offers."""
        assert self.made is not None
        offer(self.made.fleet, [CloudFlavor.decode(item) for item in flavors])

    def add_host(self, name: str) -> None:
        self.offer(self.flavor(), self.flavor(name))

    def remove_host(self, name: str) -> None:
        if not (found := self.instances(name)):
            self.offer(self.flavor())
        for item in found:
            self.end(item.id)

    def take_host(self, name: str) -> None:
        assert self.made is not None
        [host] = [host for host in self.made.hosts() if host.source.name == name]
        slot, _, number = name.rpartition("-")
        tags = {"slot-uid": host.source.uid, "slot": f"{slot}/{number}", "workload-uid": "stranger"}
        self.launch(name, {f"workload.metal3.io/{key}": value for key, value in tags.items()})

    def runs(self, name: str) -> str | None:
        urls = {id: url for url, id in IMAGES.items()}
        running = [urls.get(item.image, "?") for item in self.instances(name) if item.state == "running"]
        assert len(running) < 2, "two instances at once"
        return running[0] if running else None

    def state(self) -> str:
        """Return the state of the only instance."""
        [item] = self.instances()
        return item.state

    def leftovers(self) -> list[str]:
        return [item.id for item in self.instances()]

    def go_away(self) -> None:
        self.proxy.answer = lambda action: self.refused("away")

    def come_back(self) -> None:
        self.proxy.answer = lambda action: None

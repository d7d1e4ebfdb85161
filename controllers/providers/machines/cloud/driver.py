"""Implement what the drivers of all clouds have in common.

Images are named by id, an instance keeps its image, and the list of instances has to be polled."""

from __future__ import annotations

import hashlib
import uuid
from abc import abstractmethod
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

import requests
from libcloud.compute.base import Node, NodeDriver

from apiserver.apis.names import QUARANTINED, WORKLOAD_UID
from apiserver.client.objects import Object
from controllers.providers.base import ApplyRequest
from controllers.providers.machines.cloud import sourceerrors
from controllers.providers.machines.cloud.calls import Calls
from controllers.providers.machines.cloud.images import MOST, image_id, user_data
from controllers.providers.machines.cloud.parameters import CloudFlavor, Parameters
from controllers.providers.machines.cloud.poller import Poller
from controllers.providers.machines.driver import DesiredContent, Driver, Timings
from controllers.providers.machines.flavors import Slot, slot_name
from controllers.providers.machines.fleet import Fleet
from controllers.providers.machines.instance import IMAGE, REBOOTED, Instance, record
from controllers.providers.machines.steps import DesiredState

TOKENS = uuid.UUID("0b9f3c55-9f0e-5a0c-8c0f-6d7b6a1f2c11")


@dataclass(frozen=True, slots=True)
class Boot:
    """Holds what an instance is created from."""

    image_id: str
    user_data: bytes


class CloudDriver(Driver[Instance]):
    """One region of one account (or project)."""

    place_noun = "region"
    settings: Parameters
    _calls: Calls[Any]
    scheme: ClassVar[str]
    """The scheme of an image's URL that contains the cloud's own id."""
    most_user_data: ClassVar[int]
    """The most bytes of user data that the cloud accepts."""

    def __init__(self, parameters: Parameters, timings: Timings) -> None:
        super().__init__(parameters, parameters.region, timings)
        self._rebooted: set[str] = set()

    @abstractmethod
    async def instances(self, slot_uid: str = "") -> list[Instance]:
        """Return all our instances in the region, or those of one slot, as the cloud has them
        now."""

    @abstractmethod
    async def launch(self, image: str, kind: str, tags: Mapping[str, str], user_data: bytes, token: str) -> Instance:
        """Create an instance with its tags in one call.

        If the cloud supports tokens, a token that was used before yields the same instance."""

    @abstractmethod
    async def terminate(self, instance: Instance) -> None:
        """Shut the instance down and delete it with its disk. An instance that is already gone is
        no error."""

    async def restart(self, instance: Instance) -> None:
        """Request a reboot of the instance."""
        await self._calls.write(lambda driver: driver.reboot_node(node_of(instance, driver)))

    @abstractmethod
    def busy(self, error: Exception) -> bool:
        """Return whether another operation on the instance is in progress, so that a later call
        succeeds."""

    def follower(self, fleet: Fleet, on_health: Callable[[], None]) -> Poller:
        return Poller(self.instances, self.explain, fleet, self.settings.poll_seconds, self.timings, on_health)

    async def in_slot(self, slot: Slot, uid: str) -> list[Instance]:
        return await self.instances(uid)

    def content(self, request: ApplyRequest) -> DesiredContent:
        spec = request.workload["spec"]
        note = " (but networkData: a cloud's network is its own)" if "networkData" in request.secrets else ""
        id = image_id(spec, self.settings, self.scheme)
        if id is None:
            return DesiredContent(note=note)
        return DesiredContent({"url": spec["image"]["url"]}, Boot(id, user_data(request, self.most_user_data)), note)

    def known_image(self, spec: Object) -> Object | None:
        url = (spec.get("image") or {}).get("url")
        return {"url": url} if url else None

    async def create(self, request: ApplyRequest, slot: Slot, flavor: CloudFlavor, desired: DesiredState, attempt: int) -> Instance:
        boot, kind = desired.boot, flavor.instance_type
        digest = hashlib.sha256(boot.user_data).hexdigest()
        # The token is derived from all parameters, because the cloud refuses a token that was used
        # with others.
        parts = (request.workload_uid, request.source.uid, boot.image_id, kind, digest, str(attempt))
        tags = tags_for(request, slot, flavor, request.workload["spec"]["image"], identity=self.settings.identity)
        return await self.launch(boot.image_id, kind, tags, boot.user_data, str(uuid.uuid5(TOKENS, "\n".join(parts))))

    async def start(self, instance: Instance) -> None:
        await self._calls.write(lambda driver: driver.start_node(node_of(instance, driver)))

    async def stop(self, instance: Instance) -> None:
        await self._calls.write(lambda driver: driver.stop_node(node_of(instance, driver)))

    async def erase(self, instance: Instance) -> None:
        await self.terminate(instance)

    async def remove(self, instance: Instance, why: str) -> None:
        if self.remembers:
            await self.tag(instance, {why: "true"})
        await self.terminate(instance)

    async def retain(self, instance: Instance, who: str) -> None:
        await self.tag(instance, {QUARANTINED: who})
        await self.untag(instance, WORKLOAD_UID)

    async def reboot(self, instance: Instance) -> None:
        """Reboot the instance once in this process, and tag it.

        An instance may refuse tags while it reboots. It is then tagged by a later call, without a
        second reboot."""
        if instance.id not in self._rebooted:
            await self.restart(instance)
            self._rebooted.add(instance.id)
        try:
            await self.tag(instance, {REBOOTED: "true"})
        except Exception as error:
            if not self.busy(error):
                raise
        else:
            self._rebooted.discard(instance.id)

    async def close(self) -> None:
        self._calls.close()

    def may_have_created(self, error: Exception) -> bool:
        return isinstance(error, requests.RequestException | OSError) or sourceerrors.status_of(error) >= 500


def node_of(instance: Instance, driver: NodeDriver) -> Node:
    """Return the instance in the form in which Libcloud's calls take it."""
    return Node(instance.id, instance.id, "unknown", [], [], driver)


def tags_for(request: ApplyRequest, slot: Slot, flavor: CloudFlavor, image: Object, *, identity: str) -> dict[str, str]:
    """Return the tags of a new instance.

    A value that does not fit into a tag is left out. The URL of the image always fits (see
    images)."""
    recorded = record(request, slot, {**flavor.encode(), "labels": {}}, identity)
    tags = {"Name": slot_name(slot), **recorded, IMAGE: image["url"]}
    return {key: value for key, value in tags.items() if len(value) <= MOST}

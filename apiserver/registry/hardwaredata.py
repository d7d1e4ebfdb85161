"""Serve the tenants' HardwareData: the hardware of the hosts that a namespace sees, read-only.

A HardwareData has the name and the namespace of the view whose status.hardware it repeats. It
exists as long as the view shows hardware. So it shows nothing that the view does not show.
"""

from __future__ import annotations

import uuid
from typing import Any

import orjson

from apiserver.apis import metal3
from apiserver.registry.generic.derivedcollection import DerivedCollection
from apiserver.registry.generic.entry import Entry
from apiserver.registry.generic.registry import Registry
from apiserver.registry.generic.resource import READING, Column, Resource

IDENTITY = uuid.UUID("4a2f0c3e-8f0b-5d63-9a54-7f8e3b1c0d92")
SHOWS = b'"hardware":{'
"""A part of the JSON of every view that shows hardware, and of no other view.

In a string, the quotes would be escaped, and no other field of a view has this name and an object
as its value."""
INDEX = "hardware"
INDEXERS = {INDEX: lambda view: (SHOWS in view.json,)}
"""The index of views by whether they show hardware."""


def hardwaredata(group: str = metal3.GROUP, stored_group: str = "") -> Resource:
    """Return the resource in the group of the view. The objects are stored as views."""
    return Resource(
        group=group,
        version=metal3.VERSION,
        kind="HardwareData",
        plural="hardwaredata",
        short_names=("hd",),
        model=metal3.HardwareData,
        columns=(Column("Age", "metadata.creationTimestamp", type="date", description="Time duration since creation of HardwareData"),),
        verbs=READING,
        stored_as="baremetalhosts",
        stored_group=stored_group,
    )


class _HardwareEntry(Entry):
    """The HardwareData of a view. Its JSON is computed when it is first read."""

    __slots__ = ("_body", "_kind", "_view")

    def __init__(self, view: Entry, kind: Resource, revision: int) -> None:
        self.key, self.namespace, self.name, self.revision = view.key, view.namespace, view.name, revision
        self.labels, self.fields = {}, {"metadata.name": view.name, "metadata.namespace": view.namespace}
        self._view, self._kind, self._body = view, kind, b""
        self.row = None

    @property
    def json(self) -> bytes:  # type: ignore[override] # an attribute of other entries
        if not self._body:
            self._body = orjson.dumps(hardware_of(self._view.object(), self._kind, self.revision))
        return self._body

    def at(self, revision: int) -> Entry:
        return _HardwareEntry(self._view, self._kind, revision)


def hardware_of(view: dict[str, Any], kind: Resource, revision: int) -> dict[str, Any]:
    """Return the HardwareData of a view."""
    metadata = view["metadata"]
    made: dict[str, Any] = {
        "resourceVersion": str(revision),
        "name": metadata["name"],
        "namespace": metadata["namespace"],
        "uid": str(uuid.uuid5(IDENTITY, metadata["uid"])),
        "creationTimestamp": metadata["creationTimestamp"],
    }
    return {"apiVersion": kind.api_version, "kind": kind.kind, "metadata": made, "spec": {"hardware": view["status"]["hardware"]}}


class HardwareDataRegistry(Registry):
    """The registry of HardwareData over the views, which have the INDEXERS."""

    def __init__(self, views: Registry) -> None:
        resource = hardwaredata(views.resource.group, views.resource.stored_group)

        def derive(view: Entry) -> Entry | None:
            return _HardwareEntry(view, resource, view.revision) if SHOWS in view.json else None

        super().__init__(resource, views.cache, collection=DerivedCollection(views.collection, derive, INDEX))
        self._views, self._derive = views, derive

    def from_history(self, key: str, value: bytes, revision: int) -> Entry | None:
        """Return the HardwareData of a stored view."""
        return self._derive(self._views.decode(key, value, revision))

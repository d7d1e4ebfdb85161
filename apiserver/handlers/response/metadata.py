"""The PartialObjectMetadata form of meta.k8s.io: what garbage collector, quota and metadata informers live on."""

from __future__ import annotations

from typing import TYPE_CHECKING

from apiserver.apis.status import ApiError
from apiserver.handlers.response import rows

if TYPE_CHECKING:
    from apiserver.registry.generic.entry import Entry
    from apiserver.registry.generic.resource import Resource

__all__ = ["partial", "wrong_form"]


def partial(resource: Resource, entry: Entry, version: str) -> bytes:
    """The encoded metadata of an object, in a version of meta.k8s.io."""
    return b'{"kind":"PartialObjectMetadata","apiVersion":"meta.k8s.io/%s","metadata":%s}' % (
        version.encode(),
        rows.row_of(resource, entry).metadata(entry),
    )


def wrong_form(kind: str, why: str) -> ApiError:
    """406: an object asked for as a list of metadata, or a list as the metadata of one object."""
    return ApiError(406, "NotAcceptable", f"you requested {kind}, but {why}")

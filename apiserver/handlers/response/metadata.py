"""Encode PartialObjectMetadata of meta.k8s.io, for garbage collector, quota and metadata
informers."""

from __future__ import annotations

from apiserver.apis.status import ApiError
from apiserver.handlers.response import rows
from apiserver.registry.generic.entry import Entry
from apiserver.registry.generic.resource import Resource


def partial(resource: Resource, entry: Entry, version: str) -> bytes:
    """Return the encoded metadata of an object, in a version of meta.k8s.io."""
    return b'{"kind":"PartialObjectMetadata","apiVersion":"meta.k8s.io/%s","metadata":%s}' % (
        version.encode(),
        rows.row_of(resource, entry).metadata(entry),
    )


def wrong_form(kind: str, why: str) -> ApiError:
    """Return a 406: an object was requested as a list of metadata, or a list as one object's
    metadata."""
    return ApiError(406, "NotAcceptable", f"you requested {kind}, but {why}")

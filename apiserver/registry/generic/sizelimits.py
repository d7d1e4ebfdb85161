"""Limit the size of stored objects.

Every write is checked here, whether a client, a controller or the server itself makes it. Clients
may write up to SIZE bytes. A write that follows from theirs, such as a binding, a status or a view,
may have RESERVED bytes more. So an object that a client has filled up can still be bound, reported
on and released. A stored object may always shrink, and be marked as deleted.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from apiserver.apis.status import ApiError, cause, too_large, too_many_values
from apiserver.registry.generic.counting import STORED, exceeds
from apiserver.registry.generic.entry import Entry
from apiserver.registry.generic.resource import Resource
from apiserver.registry.generic.validation import refuse
from storage.base import Operation

SIZE = 1024 * 1024
"""The largest size in bytes of an object that clients write. Each object is kept in several
revisions."""
RESERVED = 128 * 1024
"""The additional bytes for writes that follow from those of clients.

The additional number of values is a tenth of the clients' limit."""
TOGETHER = 1280 * 1024
"""The largest size in bytes of all objects that change in one commit.

etcd accepts 1.5 MiB; the rest is for RESERVED and for the fields that mark a deletion."""
DELETION = 1024
"""The bytes by which an object of any size may grow when its deletion begins.

They hold a time, a grace period and their field manager."""
MANAGERS = 128
"""The largest number of managedFields entries that clients may create.

More than ten entries of updates are merged into one. kube-apiserver sets no limit to appliers."""
RESERVED_MANAGERS = 16
"""The additional managedFields entries for writes that follow from those of clients.

A release, for example, begins with a status."""

_MARK = b'"deletionTimestamp"'


def check(resource: Resource, current: Entry | None, obj: dict[str, Any], value: bytes, most: int, *, follows: bool) -> None:
    """Raise ApiError if `value`, the encoded `obj`, is too large to replace the stored object.

    `most` is the number of bytes that clients may write. `follows` is true if the write is not a
    client's own, but follows from one."""
    before = b"" if current is None else current.json
    managers = len(obj["metadata"].get("managedFields") or ())
    if managers > MANAGERS + RESERVED_MANAGERS * follows and managers > _managers(current):
        message = f"Too many: {managers}: must have at most {MANAGERS} items: apply under fewer names, or remove those that are not used"
        raise refuse(resource, obj["metadata"]["name"], [cause("FieldValueTooMany", message, "metadata.managedFields")])
    if len(value) <= _allowed(value, before):
        return
    if len(value) > most + RESERVED * follows:
        raise too_large(most)
    if exceeds(value, STORED + STORED // 10 * follows):
        raise too_many_values(STORED)


def check_together(there: Iterable[Entry | None], operations: Iterable[Operation], *, follows: bool) -> None:
    """Raise ApiError (413) if objects that change together would no longer fit into a commit.

    `there` has the stored entries of these objects."""
    before = {entry.key: entry.json for entry in there if entry is not None}
    after = {key: len(value) for key, value in before.items()}
    allowed = 0
    for operation in operations:
        value: bytes = getattr(operation, "value", b"")
        if value:
            after[operation.key] = len(value)
            allowed += _allowed(value, before.get(operation.key, b"")) - len(before.get(operation.key, b""))
    size = sum(after.values())
    if size > TOGETHER + RESERVED * follows and size > allowed + sum(map(len, before.values())):
        raise ApiError(
            413,
            "RequestEntityTooLarge",
            f"Request entity too large: the Workload, its host and the host's view would have {size} bytes, of which {TOGETHER} can "
            "change together: make annotations, labels, selectors or requirements smaller",
        )


def _allowed(value: bytes, before: bytes) -> int:
    """Return the number of bytes that a value may have because of the value it replaces."""
    return len(before) + (DELETION if before and _MARK in value and _MARK not in before else 0)


def _managers(current: Entry | None) -> int:
    return 0 if current is None else len(current.object()["metadata"].get("managedFields") or ())

"""How large a stored object may be. Every write passes here, whoever makes it: a client, a controller, or the server on its own account.

What clients write may have SIZE. What follows of it, such as a binding, a status or a view, has RESERVED bytes more, so that an object
that a client has filled up can still be bound, reported on and released. What is stored may always become less, and be marked as deleted.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from apiserver.apis.status import ApiError, cause, too_large, too_many_values
from apiserver.registry.generic.counting import STORED, exceeds
from apiserver.registry.generic.validation import refuse

if TYPE_CHECKING:
    from collections.abc import Iterable

    from apiserver.registry.generic.entry import Entry
    from apiserver.registry.generic.resource import Resource
    from storage.base import Operation

__all__ = ["MANAGERS", "RESERVED", "SIZE", "TOGETHER", "check", "check_together"]

SIZE = 1024 * 1024
"""Bytes of a stored object that clients may write; each is kept in several revisions."""
RESERVED = 128 * 1024
"""Bytes, and a tenth as many values as clients have, beyond that for what follows of their writes."""
TOGETHER = 1280 * 1024
"""Bytes of the objects that change in one commit. etcd takes 1.5 MiB; the rest is for RESERVED and for what marks a deletion."""
DELETION = 1024
"""Bytes by which an object may grow when it is deleted, whatever its size: a time, a period and their manager."""
MANAGERS = 128
"""Entries of managedFields that clients may make. Those of updates are put together when they are more than ten; kube-apiserver sets no
limit to appliers."""
RESERVED_MANAGERS = 16
"""Entries beyond that for what follows of clients' writes: a release begins with a status."""

_MARK = b'"deletionTimestamp"'


def check(resource: Resource, current: Entry | None, obj: dict[str, Any], value: bytes, most: int, *, follows: bool) -> None:
    """Raises ApiError when `value`, which is `obj` encoded, may not take the place of what is stored. `most`: bytes that clients may write.
    `follows`: it is no client's write, but follows from one."""
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
    """Raises ApiError (413) when objects that change together would no longer fit into a commit. `there`: those that are stored."""
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
    """The bytes that a value may have because of what it replaces."""
    return len(before) + (DELETION if before and _MARK in value and _MARK not in before else 0)


def _managers(current: Entry | None) -> int:
    return 0 if current is None else len(current.object()["metadata"].get("managedFields") or ())

"""Encode watch events: one line of JSON per event, built from cached bytes.

Watches with the same options share the bytes: the latest batch is kept for each combination of
options.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any
from weakref import WeakValueDictionary

import orjson

from apiserver.apis.status import ApiError
from apiserver.handlers.request.negotiation import Form
from apiserver.handlers.response import metadata, table
from apiserver.registry.generic.entry import Entry
from apiserver.registry.generic.resource import Resource
from apiserver.registry.generic.selectors import Selector
from storage.collection import Change

INITIAL_EVENTS_END = {"k8s.io/initial-events-end": "true"}


SHARED = 8 * 1024 * 1024
"""The largest number of bytes that are cached for all combinations of options together."""


class Batch:
    """The encoded bytes of the changes requested last. It does not hold the changes themselves."""

    __slots__ = ("__weakref__", "_batch_cache", "_changes", "_share", "_uses", "data")

    def __init__(self, batch_cache: BatchCache) -> None:
        self._batch_cache = batch_cache
        self._changes: object = None
        self._share, self._uses = 0.0, 1
        self.data = b""

    def get(self, changes: Sequence[Change[Entry]], encode: Callable[[Sequence[Change[Entry]]], bytes]) -> tuple[bytes, float]:
        """Return the bytes of these changes, and a correction of the caller's CPU time.

        Calls `encode` unless the previous call had the same changes. The caller that encodes pays
        the same share as the others. Their number is assumed to be that of the previous changes."""
        first, last = changes[0], changes[-1]
        asked = first.revision, first.item.key, last.revision, last.item.key, len(changes)
        if asked == self._changes:
            self._uses += 1
            return self.data, self._share
        began = time.thread_time()
        data = encode(changes)
        took = time.thread_time() - began
        self._share, self._uses = took / self._uses, 1
        self._changes, self.data = asked, data
        self._batch_cache.keep(self)
        return data, self._share - took

    def forget(self) -> None:
        """Release the bytes."""
        self._changes, self.data = None, b""


class BatchCache:
    """One Batch for each combination of options that is in use.

    When the bytes exceed `limit`, the oldest ones are released."""

    def __init__(self, limit: int = SHARED) -> None:
        self._batches: WeakValueDictionary[object, Batch] = WeakValueDictionary()
        self._limit, self.size = limit, 0
        self._kept: dict[Batch, int] = {}

    def batch(self, options: object) -> Batch:
        """Return the Batch that all watches with these options share."""
        found = self._batches.get(options)
        if found is None:
            found = self._batches[options] = Batch(self)
        return found

    def keep(self, batch: Batch) -> None:
        """Count the bytes that a Batch has now."""
        self.size += len(batch.data) - self._kept.pop(batch, 0)
        if batch.data:
            self._kept[batch] = len(batch.data)
        while self.size > self._limit:
            oldest = next(iter(self._kept))
            self.size -= self._kept.pop(oldest)
            oldest.forget()


class Frames:
    """The frames of one watch.

    `prefix` is the prefix of its keys. `chunked` is true if pieces are sent as chunks of
    HTTP/1.1."""

    def __init__(
        self,
        resource: Resource,
        form: Form,
        prefix: str,
        selector: Selector,
        query: Mapping[str, str],
        batch_cache: BatchCache,
        *,
        chunked: bool = False,
    ) -> None:
        self._resource, self._form, self._prefix, self._selector = resource, form, prefix, selector
        self._query, self._chunked = query, chunked
        # The first frame of a table differs from the others, and its ages grow.
        self._batch = None if form.kind == "Table" else batch_cache.batch((prefix, selector, form, chunked))
        self._headers = True
        self._correction = 0.0

    def initial(self, entries: Iterable[Entry]) -> Iterable[bytes]:
        """Return an ADDED event for each selected entry."""
        return (self._frame(b"ADDED", entry) for entry in entries if not self._selector or self._selector.matches(entry))

    def piece(self, frames: bytes) -> bytes:
        """Return frames in their form on the connection (RFC 9112, 7.1)."""
        return b"%x\r\n%s\r\n" % (len(frames), frames) if frames and self._chunked else frames

    def changes(self, changes: Sequence[Change[Entry]]) -> bytes:
        """Return the piece with the frames of these changes, b"" if this watch sees none of
        them."""
        if not changes:
            return b""
        if self._batch is None:
            return self._encode(changes)
        data, correction = self._batch.get(changes, self._encode)
        self._correction += correction
        return data

    def settle(self) -> float:
        """Return the correction of the CPU time of the last `changes`.

        The correction is positive if another watch encoded the changes, and negative if this watch
        encoded them for others."""
        correction, self._correction = self._correction, 0.0
        return correction

    def bookmark(self, revision: int, annotations: dict[str, str] | None = None) -> bytes:
        """Return a BOOKMARK: everything up to the revision has been sent."""
        resource = self._resource
        meta: dict[str, Any] = {"resourceVersion": str(revision)}
        if annotations:
            meta["annotations"] = annotations
        body = orjson.dumps({"kind": resource.kind, "apiVersion": resource.api_version, "metadata": meta})
        return self._frame(b"BOOKMARK", Entry("", "", "", revision, body, {}, {}))

    def _encode(self, changes: Sequence[Change[Entry]]) -> bytes:
        found = []
        for change in changes:
            if change.item.key.startswith(self._prefix):
                event = transition(change, self._selector)
                if event is not None:
                    found.append(self._frame(*event))
        return self.piece(b"".join(found))

    def _frame(self, type_: bytes, entry: Entry) -> bytes:
        match self._form.kind:
            case "":
                body = entry.json
            case "Table":
                meta = {"resourceVersion": str(entry.revision)}
                body = table.table(self._query, self._resource, self._form.version, [entry], meta, headers=self._headers)
                self._headers = False
            case _:
                body = metadata.partial(self._resource, entry, self._form.version)
        return b'{"type":"%s","object":%s}\n' % (type_, body)


def transition(change: Change[Entry], selector: Selector) -> tuple[bytes, Entry] | None:
    """Return the event that a watch with this selector sees for a change, or None.

    An object that is no longer selected is DELETED for the watch, in its last selected state, at
    the change's revision."""
    previous = change.previous
    before = previous is not None and (not selector or selector.matches(previous))
    if change.type == "delete":
        return (b"DELETED", change.item) if before else None
    if not selector or selector.matches(change.item):
        return b"MODIFIED" if before else b"ADDED", change.item
    if previous is None or not before:
        return None
    return b"DELETED", _at(previous, change.revision)


def error_frame(error: ApiError) -> bytes:
    """Return an ERROR event, which ends the watch."""
    return b'{"type":"ERROR","object":%s}\n' % orjson.dumps(error.status())


def _at(entry: Entry, revision: int) -> Entry:
    """Return the same state with another resourceVersion, the first member of the metadata (see
    Entry)."""
    json = entry.json.replace(b'"resourceVersion":"%d"' % entry.revision, b'"resourceVersion":"%d"' % revision, 1)
    return Entry(entry.key, entry.namespace, entry.name, revision, json, entry.labels, entry.fields)

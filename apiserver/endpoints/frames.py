"""The frames of a watch: one line of JSON per event, made of cached bytes. Pure but for a memo.

Watchers that ask for the same get the same bytes: those of the latest batch are kept per question.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import orjson

from apiserver.endpoints import metadata, table
from apiserver.registry.entry import Entry

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping, Sequence

    from apiserver.apis.status import ApiError
    from apiserver.endpoints.negotiation import Form
    from apiserver.registry.resource import Resource
    from apiserver.registry.selectors import Selector
    from storage.cache import Change

__all__ = ["INITIAL_EVENTS_END", "Frames", "Memo", "error_frame", "transition"]

INITIAL_EVENTS_END = {"k8s.io/initial-events-end": "true"}
MEMO = 256


class Memo:
    """The encoded bytes of the last batch of each question. A batch is known by its first and last change and its length."""

    def __init__(self) -> None:
        self._known: dict[object, tuple[Change[Entry], Change[Entry], int, bytes]] = {}

    def get(self, question: object, changes: Sequence[Change[Entry]], encode: Callable[[], bytes]) -> bytes:
        """The bytes of these changes, made by `encode` if nobody else asked the same just before."""
        first, last, length = changes[0], changes[-1], len(changes)
        known = self._known.get(question)
        if known is not None and known[0] is first and known[1] is last and known[2] == length:
            return known[3]
        if len(self._known) >= MEMO:
            self._known.clear()
        made = encode()
        self._known[question] = (first, last, length, made)
        return made


class Frames:
    """The frames of one watch. `prefix`: that of the keys it looks at."""

    def __init__(self, resource: Resource, form: Form, prefix: str, selector: Selector, query: Mapping[str, str], memo: Memo) -> None:
        self._resource, self._form, self._prefix, self._selector = resource, form, prefix, selector
        self._query, self._memo = query, memo
        self._question = (prefix, selector, form)
        self._headers = True

    def initial(self, entries: Iterable[Entry]) -> Iterable[bytes]:
        """An ADDED for each of these."""
        return (self._frame(b"ADDED", entry) for entry in entries if not self._selector or self._selector.matches(entry))

    def changes(self, changes: Sequence[Change[Entry]]) -> bytes:
        """The frames of these changes, b"" if none of them is seen by this watch."""
        if self._form.kind == "Table":  # its first frame differs, and its ages grow
            return self._encode(changes)
        return self._memo.get(self._question, changes, lambda: self._encode(changes))

    def bookmark(self, revision: int, annotations: dict[str, str] | None = None) -> bytes:
        """A BOOKMARK: everything up to the revision has been sent."""
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
        return b"".join(found)

    def _frame(self, type_: bytes, entry: Entry) -> bytes:
        match self._form.kind:
            case "":
                body = entry.json
            case "Table":
                meta = {"resourceVersion": str(entry.revision)}
                parts = table.table(self._query, self._resource, self._form.version, [entry], meta, headers=self._headers)
                body, self._headers = b"".join(parts), False
            case _:
                body = metadata.partial(self._resource, entry, self._form.version)
        return b'{"type":"%s","object":%s}\n' % (type_, body)


def transition(change: Change[Entry], selector: Selector) -> tuple[bytes, Entry] | None:
    """The event that a watcher with this selector sees of a change: an object that is selected no longer is DELETED for it, in
    the last state that was, at the change's revision."""
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
    """An ERROR: the watch ends here."""
    return b'{"type":"ERROR","object":%s}\n' % orjson.dumps(error.status())


def _at(entry: Entry, revision: int) -> Entry:
    """The same state with another resourceVersion, which stands at the head of the metadata (see Entry)."""
    json = entry.json.replace(b'"resourceVersion":"%d"' % entry.revision, b'"resourceVersion":"%d"' % revision, 1)
    return Entry(entry.key, entry.namespace, entry.name, revision, json, entry.labels, entry.fields)

"""Normalise answers for the comparison: values that differ between any two runs become names by
their order.

Within one case, the name of a uid, resourceVersion or generated name depends on when it was first
seen, so that "unchanged" and "changed" compare. A collection's resourceVersion belongs to the whole
server, on which other cases write at the same time. It gets no name.
"""

from __future__ import annotations

import gzip
import json
import re
from typing import TYPE_CHECKING, Any

import yaml

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.conformance.client import Answer

TIME = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ")
GENERATED = re.compile(r"\b(gen-[a-z-]*?)[bcdfghjklmnpqrstvwxz2456789]{5}\b")
AGE = re.compile(r"\d+s")
HEADERS = ("content-encoding", "content-type", "cache-control", "warning", "vary", "location")
TIMES = ("creationTimestamp", "deletionTimestamp", "time")


class Normal:
    """Normalises the answers of one server to one case, in order."""

    def __init__(self) -> None:
        self._names: dict[str, dict[str, str]] = {}

    def answer(self, answer: Answer, part: Callable[[Any], Any] | None = None) -> dict[str, Any]:
        """Return the status, the compared headers, and the body or `part` of it."""
        body = decoded(answer)
        found: dict[str, Any] = {"status": answer.status}
        for header in HEADERS:
            if header in answer.headers:
                found[header] = answer.headers[header]
        for header in ("etag", "retry-after"):
            if header in answer.headers:
                found[header] = "present"
        # white space in errors is irrelevant to clients
        if isinstance(body, dict | list) and answer.status < 400:
            found["indented"] = "content-encoding" not in found and answer.body.startswith((b"{\n", b"[\n"))
        found["body"] = self.value(part(body) if part is not None and body is not None and answer.status < 400 else body)
        return found

    def events(self, answer: Answer) -> list[Any]:
        """Return the frames of a watch, or the answer if it is no watch.

        Bookmarks except that of the initial events are omitted, because their time is the server's
        choice."""
        frames = [json.loads(line) for line in answer.body.splitlines()]
        if not all("object" in frame for frame in frames):
            return [self.answer(answer)]
        return [self.value(frame) for frame in frames if not _is_progress(frame)]

    def value(self, value: Any, key: str = "", *, collection: bool = False) -> Any:
        """Return one normalised JSON-shaped value."""
        if isinstance(value, dict):
            # Missing details mean the same as empty ones.
            value = {k: v for k, v in value.items() if k != "details" or v}
            inside = "items" in value or "rows" in value or value.get("type") == "BOOKMARK"
            return {
                k: self.value(v, k, collection=inside or (collection and k in ("metadata", "object", "resourceVersion")))
                for k, v in sorted(value.items())
            }
        if isinstance(value, list):
            return [self.value(item) for item in _ordered(key, value)]
        if not isinstance(value, str):
            return value
        if key == "resourceVersion":
            return "<collection's>" if collection else self._name("revision", value)
        if key == "uid":
            return self._name("uid", value)
        if key == "continue":
            return "<token>" if value else ""
        if key in TIMES and TIME.fullmatch(value):
            return "<time>"
        if AGE.fullmatch(value):
            return "<age>"
        return GENERATED.sub(lambda found: found[1] + self._name("generated", found[0]), value)

    def _name(self, sort: str, value: str) -> str:
        known = self._names.setdefault(sort, {})
        return known.setdefault(value, f"<{sort} {len(known) + 1}>")


def _ordered(key: str, items: list[Any]) -> list[Any]:
    """Return lists in a fixed order if their order has no meaning.

    kube-apiserver's order is that of a Go map, or of registration."""
    if key == "causes":
        return sorted(items, key=lambda cause: (cause.get("field", ""), cause.get("reason", ""), cause["message"]))
    if key == "resources":
        return sorted(items, key=lambda resource: str(resource.get("name")))
    # kube-apiserver sorts by time first, and the time may pass into the next second on one of the
    # servers only.
    if key == "managedFields":
        return sorted(items, key=lambda entry: (entry["manager"], entry["operation"], entry.get("subresource", "")))
    return sorted(items) if key == "verbs" else items


def decoded(answer: Answer) -> Any:
    """Return the value of the body, decoded from JSON or YAML, else its text."""
    media = answer.headers.get("content-type", [""])[0].partition(";")[0]
    body = gzip.decompress(answer.body) if answer.headers.get("content-encoding") == ["gzip"] else answer.body
    if not body:
        return None
    if media == "application/json":
        return json.loads(body)
    if media == "application/yaml":
        return yaml.safe_load(body)
    return body.decode(errors="replace")


def _is_progress(frame: dict[str, Any]) -> bool:
    annotations = frame["object"].get("metadata", {}).get("annotations") or {}
    return frame["type"] == "BOOKMARK" and "k8s.io/initial-events-end" not in annotations

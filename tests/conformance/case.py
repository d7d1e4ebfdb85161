"""Define conformance cases: requests as data, and differences between the two servers that a
written reason allows.

Texts in paths and bodies may contain `{ns}`, the case's own namespace. Paths may contain
`{seconds}`, the duration of watches. `${step:path}` is a value of an earlier answer's body by the
step's name, such as `${made:metadata.resourceVersion}`. Keys that contain dots are separated by
`|`.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

ROOT = "/apis/conformance.example.com/v1"
GADGETS = f"{ROOT}/namespaces/{{ns}}/gadgets"
WORKLOADS = f"{ROOT}/namespaces/{{ns}}/workloads"
RACKS = f"{ROOT}/racks"
CLASSES = f"{ROOT}/workloadclasses"
MERGE, JSON_PATCH, APPLY = "application/merge-patch+json", "application/json-patch+json", "application/apply-patch+yaml"

Body = Any
"""A JSON-shaped value, or str or bytes that are sent unchanged."""


@dataclass(frozen=True, slots=True)
class Step:
    """One request.

    `name`: the name in differences and later steps; the step's number if empty. `watch`: open a
    stream under this name; a step with `collect` of that name compares its events, read to the
    stream's end. `quiet`: only the status code is compared, for preparing steps. `part`: extracts
    what is compared from the body of an answer without error; the rest exists on one server only."""

    method: str
    path: str
    body: Body = None
    headers: Mapping[str, str] = field(default_factory=dict)
    name: str = ""
    watch: bool = False
    collect: bool = False
    quiet: bool = False
    part: Callable[[Any], Any] | None = None


@dataclass(frozen=True, slots=True)
class Case:
    """The steps to perform on both servers, one after the other.

    `name` is unique within its module. `allowed`: pattern (fnmatch) of a difference's path → the
    reason for it. A pattern that matches no difference fails the case, so no pattern outlives its
    reason. `ignored`: patterns of paths that are not compared because they cannot be the same, such
    as a hash of the server's own document. `messages`: also compare the text of Status messages."""

    name: str
    steps: tuple[Step, ...]
    allowed: Mapping[str, str] = field(default_factory=dict)
    ignored: tuple[str, ...] = ()
    messages: bool = False


def gadget(name: str = "one", *, meta: Mapping[str, Any] | None = None, **spec: Any) -> dict[str, Any]:
    """Return a Gadget to send. `meta`: additional metadata."""
    found: dict[str, Any] = {
        "apiVersion": "conformance.example.com/v1",
        "kind": "Gadget",
        "metadata": {**({"name": name} if name else {}), **(meta or {})},
    }
    return {**found, "spec": spec} if spec else found


def status_of(name: str, **status: Any) -> dict[str, Any]:
    """Return a Gadget with a status to send."""
    return {**gadget(name), "status": status}


def accept(media: str) -> dict[str, str]:
    """Return an Accept header."""
    return {"Accept": media}


def get(path: str, name: str = "", headers: Mapping[str, str] | None = None, part: Callable[[Any], Any] | None = None) -> Step:
    """Return a GET."""
    return Step("GET", path, headers=headers or {}, name=name, part=part)


def post(path: str, body: Body, name: str = "", *, headers: Mapping[str, str] | None = None, quiet: bool = False) -> Step:
    """Return a POST of JSON, unless the headers override it."""
    return Step("POST", path, body, headers or {}, name, quiet=quiet)


def put(path: str, body: Body, name: str = "", *, headers: Mapping[str, str] | None = None) -> Step:
    """Return a PUT of JSON, unless the headers override it."""
    return Step("PUT", path, body, headers or {}, name)


def delete(path: str, body: Body = None, name: str = "", *, headers: Mapping[str, str] | None = None, quiet: bool = False) -> Step:
    """Return a DELETE, with DeleteOptions if they are given."""
    return Step("DELETE", path, body, headers or {}, name, quiet=quiet)


def merge(path: str, body: Body, name: str = "") -> Step:
    """Return a PATCH by merge patch."""
    return Step("PATCH", path, body, {"Content-Type": MERGE}, name)


def json_patch(path: str, body: Body, name: str = "") -> Step:
    """Return a PATCH by JSON patch."""
    return Step("PATCH", path, body, {"Content-Type": JSON_PATCH}, name)


def apply(path: str, body: Body, name: str = "", *, manager: str = "anna", force: bool = False, more: str = "") -> Step:
    """Return a PATCH by server-side apply."""
    query = f"?fieldManager={manager}{'&force=true' if force else ''}{more}"
    return Step("PATCH", path + query, body, {"Content-Type": APPLY}, name)


def watch(path: str, query: str = "", name: str = "w", headers: Mapping[str, str] | None = None) -> Step:
    """Return a step that opens a watch. `collect` reads it."""
    return Step("GET", f"{path}?watch=true&timeoutSeconds={{seconds}}{query}", headers=headers or {}, name=name, watch=True)


def collect(name: str = "w") -> Step:
    """Return a step that reads the events of a watch to its end."""
    return Step("", "", name=name, collect=True)

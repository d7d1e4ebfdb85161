"""Hold one request on its way through the filters to its handler, and parse its path and method.

`parse` has the semantics of k8s.io/apiserver's RequestInfo, so that authorization decides by the
same terms as dispatch. In one respect it is stricter: it refuses a path with empty, "." or ".."
parts, or with encoded slashes.
"""

from __future__ import annotations

import re
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any
from urllib.parse import unquote_to_bytes

from aiohttp import web

from apiserver.apis.status import ApiError, bad_request
from apiserver.registry.generic.context import UserInfo
from apiserver.registry.generic.selectors import FieldSelector

VERBS = {"GET": "get", "HEAD": "get", "POST": "create", "PUT": "update", "PATCH": "patch", "DELETE": "delete"}
NAMESPACE_SUBRESOURCES = ("status", "finalize")
ORDINARY = re.compile(r"(?:/[A-Za-z0-9][A-Za-z0-9._-]*)+/?")
"""Paths in which nothing is encoded, empty or relative."""


@dataclass(slots=True)
class RequestInfo:
    """The resource, verb and name of a request."""

    is_resource: bool = False
    verb: str = ""
    """One of get, list, watch, create, update, patch, delete and deletecollection.

    It is "" for a method that no resource has, and the method in lower case for a non-resource
    request. A POST or PUT of a subresource such as binding or offers is "create" or "update", as
    authorization names it. Dispatch calls the action."""
    group: str = ""
    version: str = ""
    namespace: str = ""
    resource: str = ""
    subresource: str = ""
    name: str = ""
    """For a list or watch, the name in its field selector, if it selects one name only."""
    path: str = "/"
    """The decoded path."""
    rest: tuple[str, ...] = ()
    """The parts of the path after the subresource. No resource here has such a path."""
    streams: bool = False
    """Whether the answer is a stream, other than a watch, that comes from a server behind this
    one."""

    @property
    def scope(self) -> str:
        """Return the label `scope` of kube-apiserver's metrics."""
        return "resource" if self.name else "namespace" if self.namespace else "cluster"


class Call:
    """One request. Filters set its attributes, and handlers read them.

    deadline: the event-loop time (loop.time()) at which the answer is late; None for no deadline,
    as for watches.

    privileged: whether the user may read the kind's objects in full (see Registry.reduced).

    warnings: Warning: 299 headers for every response of apiserver.handlers; filters only add to
    them.

    annotations, details: for the audit log (see Context).

    note: None, or a function for the audit log that is called with the decoded value of the body.

    answer: the response in JSON for the audit log. It is set if `keeps_answer` is true and the
    response's own body has another form."""

    __slots__ = (
        "annotations",
        "answer",
        "audit_id",
        "deadline",
        "details",
        "http",
        "info",
        "keeps_answer",
        "note",
        "privileged",
        "query",
        "user",
        "warnings",
    )

    def __init__(self, http: web.BaseRequest) -> None:
        self.http = http
        self.query: Mapping[str, str] = http.query if http.rel_url.raw_query_string else NO_QUERY
        self.info = UNKNOWN
        self.user: UserInfo | None = None
        self.privileged = False
        self.deadline: float | None = None
        self.audit_id = ""
        self.warnings: list[str] = []
        self.annotations: dict[str, str] = {}
        self.details: dict[str, str] = {}
        self.note: Callable[[Any], None] | None = None
        self.answer = b""
        self.keeps_answer = False

    def parse(self) -> None:
        """Set `info` from the request line. Raises ApiError for a path that cannot be trusted."""
        http = self.http
        try:
            self.info = parse(http.method, http.rel_url.raw_path, self.query)
        except ApiError:
            self.info = RequestInfo(verb=http.method.lower(), path=http.path)
            raise


UNKNOWN = RequestInfo()
"""The info of a request that is not parsed yet."""
NO_QUERY: Mapping[str, str] = MappingProxyType({})

Handler = Callable[[Call], Awaitable["web.StreamResponse"]]
Filter = Callable[[Handler], Handler]


def parse(method: str, path: str, query: Mapping[str, str]) -> RequestInfo:
    """Return the RequestInfo of a request. `path` is percent-encoded as received, `query` is
    decoded.

    Raises ApiError (400) for a path that could be read in two ways."""
    parts = _parts(path)
    info = RequestInfo(verb=method.lower(), path="/" + "/".join(parts) + ("/" if parts and path.endswith("/") else ""))
    if len(parts) < 3 or parts[0] not in ("api", "apis"):
        return info
    if parts[0] == "apis":
        if len(parts) < 4:
            return info
        info.group = parts[1]
        parts = parts[2:]
    else:
        parts = parts[1:]
    info.is_resource = True
    info.version, *parts = parts
    info.verb = VERBS.get(method.upper(), "")
    _resource(info, parts)
    if info.verb == "get" and not info.name:
        info.verb = "watch" if is_true(query.get("watch")) else "list"
        info.name = _selected_name(query.get("fieldSelector", ""))
    elif info.verb == "delete" and not info.name:
        info.verb = "deletecollection"
    return info


def is_true(value: str | None) -> bool:
    """Return a boolean query parameter, as apimachinery reads it: false only for "false" and
    "0"."""
    return value is not None and value.lower() not in ("false", "0")


def _resource(info: RequestInfo, parts: list[str]) -> None:
    if parts[0] == "namespaces" and len(parts) > 1:
        info.namespace = parts[1]
        if len(parts) > 2 and parts[2] not in NAMESPACE_SUBRESOURCES:
            parts = parts[2:]
    info.resource = parts[0]
    info.name = parts[1] if len(parts) > 1 else ""
    info.subresource = parts[2] if len(parts) > 2 else ""
    info.rest = tuple(parts[3:])


def _selected_name(text: str) -> str:
    if not text:
        return ""
    try:
        name = FieldSelector.parse(text).exact("metadata.name") or ""
    except ApiError:
        return ""  # the handler refuses it and gives the reason
    return "" if name in (".", "..") or "/" in name or "%" in name else name


def _parts(path: str) -> list[str]:
    if not path.startswith("/"):
        raise bad_request("the request's path must begin with a slash")
    raw = path[1:].removesuffix("/")
    if ORDINARY.fullmatch(path):
        return raw.split("/")
    return [_part(part) for part in raw.split("/")] if raw else []


def _part(raw: str) -> str:
    try:
        part = unquote_to_bytes(raw).decode()
    except UnicodeError:
        raise bad_request("the request's path is not UTF-8") from None
    if part in ("", ".", "..") or "/" in part or "\\" in part or not part.isprintable():
        raise bad_request("the request's path has an empty part, a relative one, or characters that no name has")
    return part

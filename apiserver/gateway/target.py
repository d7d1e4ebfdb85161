"""Decide which part of the gateway answers a request, by its target alone.

kube-apiserver must never read a target in another way than this module. So a target is refused if
two readers could disagree about it. Everything in the view's group that is not known to be another
kind is answered here.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from enum import Enum

from apiserver.apis.status import bad_request
from apiserver.filters.paths import is_health
from apiserver.handlers.request.call import RequestInfo, is_true, parse

PLAIN = re.compile(r"/[!-~]*")
"""Characters of a target: visible ASCII. Others are percent-encoded by every client."""
RESOURCE = re.compile(r"[a-z0-9]([-a-z0-9]*[a-z0-9])?")
VERSION = re.compile(r"[a-z0-9]+")
SPECIAL = ("watch", "proxy")
"""Words in the place of a resource by which old clients ask for a verb (RequestInfoFactory)."""
NAMESPACES = "namespaces"
"""The word before a namespace, which is a resource of the core group only."""
STREAMS = frozenset({"attach", "exec", "log", "portforward", "proxy"})
"""Subresources that may last for hours (kube-apiserver's LongRunningRequestCheck)."""
UPGRADES = frozenset({"attach", "exec", "portforward", "proxy"})
READING = ("GET", "HEAD")


class Part(Enum):
    """A part of the gateway.

    The values are labels of a metric."""

    VIEW = "view"
    DOCUMENT = "document"
    PASSED = "passed"


@dataclass(frozen=True, slots=True)
class Target:
    """The part that answers a request, and the parsed request.

    document: the path of a document of discovery or OpenAPI, "" for others.

    upgrades: whether another protocol may be spoken after the request."""

    part: Part
    info: RequestInfo
    document: str = ""
    upgrades: bool = False


def target_of(method: str, raw: str, query: Mapping[str, str], group: str, kinds: Collection[str], view_group: str) -> Target:
    """Return the target of a request. `raw` is the request-target as received, `query` is its
    decoded query.

    `kinds` are the resources of `group` that are served here, and that kube-apiserver has in
    `view_group`. Raises ApiError (400)."""
    if not PLAIN.fullmatch(raw) or "#" in raw or "\\" in raw:
        raise bad_request("the request's target must be a path: it begins with a slash, and has neither spaces nor a fragment")
    path = raw.partition("?")[0]
    info = parse(method, path, query)
    parts = info.path.strip("/").split("/")
    if is_health(info.path):
        return Target(Part.VIEW, info)
    if document := _document(method, parts, (group, view_group)):
        return Target(Part.DOCUMENT, info, document)
    if parts[0] == "apis" and len(parts) > 1 and parts[1].lower() == group:
        return _in_group(parts, info, group, kinds)
    _check_legacy(info)
    return _passed(info, query)


def query_of(raw: str) -> str:
    """Return the query of a request-target as received, with its question mark."""
    _, mark, query = raw.partition("?")
    return mark + query if query else ""


def _document(method: str, parts: list[str], groups: tuple[str, str]) -> str:
    if method not in READING:
        return ""
    match parts:
        case ["apis"] | ["openapi", "v2"] | ["openapi", "v3"]:
            return "/" + "/".join(parts)
        case ["apis", found, version] if found in groups and VERSION.fullmatch(version):
            return "/" + "/".join(parts)
        case ["apis", found] if found == groups[0]:
            return "/" + "/".join(parts)
        case ["openapi", "v3", "apis", found, version] if found == groups[0] and VERSION.fullmatch(version):
            return "/" + "/".join(parts)
    return ""


def _in_group(parts: list[str], info: RequestInfo, group: str, kinds: Collection[str]) -> Target:
    """Return the target of a request for the view's group, which may be written in upper or lower
    case."""
    known = parts[1] == group and info.is_resource and RESOURCE.fullmatch(info.resource)
    if not known or info.resource in (*SPECIAL, NAMESPACES, *kinds):
        return Target(Part.VIEW, info)
    return _passed(info, {})


def _check_legacy(info: RequestInfo) -> None:
    """Refuse the deprecated paths /watch/ and /proxy/, whose deadlines differ from those of the
    verb."""
    if info.is_resource and info.resource in SPECIAL:
        raise bad_request(
            f"the path /{info.resource}/ is not passed on: use ?watch=true, or the subresource proxy of a Pod, Service or Node"
        )


def _passed(info: RequestInfo, query: Mapping[str, str]) -> Target:
    sub = info.subresource if info.is_resource else ""
    info.streams = sub in STREAMS and (sub != "log" or is_true(query.get("follow")))
    return Target(Part.PASSED, info, upgrades=sub in UPGRADES or info.verb == "watch")

"""Read and check the query parameters of CreateOptions, UpdateOptions, PatchOptions and
ListOptions.

As in kube-apiserver, a malformed number is a 400, and an unknown word is a 422 for an invalid
...Options object.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal, cast

import orjson
from multidict import MultiMapping

from apiserver.apis.status import ApiError, bad_request, cause, invalid
from apiserver.handlers.request.call import Call, is_true
from apiserver.registry.fieldmanager import default_manager, manager_causes
from apiserver.registry.generic.context import Context, UserInfo
from apiserver.registry.generic.resource import Resource
from apiserver.registry.generic.selectors import FieldSelector, LabelSelector, Selector

ANONYMOUS = UserInfo("system:anonymous", groups=("system:unauthenticated",))
Match = Literal["", "Exact", "NotOlderThan"]


@dataclass(frozen=True, slots=True)
class ListOptions:
    """The parameters of a list or watch.

    `revision` is resourceVersion as a number, None for "" (the latest). `timeout` is in seconds, 0
    for the server's choice."""

    selector: Selector
    limit: int = 0
    continue_: str = ""
    revision: int | None = None
    match: Match = ""
    timeout: int = 0
    bookmarks: bool = False
    initial_events: bool | None = None


def context(call: Call, kind: str, *, has_version: bool = False) -> Context:
    """Return the context of a write. `kind` is the kind of the options object, for errors."""
    query = call.query
    validation = query.get("fieldValidation", "") or "Warn"
    if validation not in ("Ignore", "Warn", "Strict"):
        raise _refused(kind, _unsupported("fieldValidation", validation, ("", "Ignore", "Strict", "Warn")))
    manager = query.get("fieldManager", "")
    # check_manager handles PatchOptions
    wrong = manager_causes(manager, apply=False, force=None) if kind != "PatchOptions" else []
    if wrong:
        raise invalid("meta.k8s.io", kind, "", wrong)
    dry_run = _dry_run(values(query, "dryRun"), kind)
    options: dict[str, Any] = {"kind": kind, "apiVersion": "meta.k8s.io/v1"}
    if dry_run:
        options["dryRun"] = ["All"]
    options |= {name: query[name] for name in ("fieldManager", "fieldValidation") if query.get(name)}
    return Context(
        user=call.user or ANONYMOUS,
        dry_run=dry_run,
        has_version=has_version,
        field_manager=manager or _manager_of(call),
        field_validation=cast("Literal['Ignore', 'Warn', 'Strict']", validation),
        warnings=call.warnings,
        options=options,
        annotations=call.annotations,
        details=call.details,
    )


def delete_dry_run(values: object) -> bool:
    """Return DeleteOptions.dryRun, which is a list in a body."""
    if values is None:
        return False
    if not isinstance(values, list) or not all(isinstance(value, str | None) for value in values):
        raise bad_request('DeleteOptions.dryRun must be a list of words, such as ["All"]')
    return _dry_run([value or "" for value in values], "DeleteOptions")


def list_options(query: Mapping[str, str], resource: Resource, *, watch: bool = False) -> ListOptions:
    """Return the parameters of a list or watch. Raises ApiError."""
    fields = {"metadata.name", *(resource.fields or {})} | ({"metadata.namespace"} if resource.namespaced else set())
    options = ListOptions(
        selector=Selector(LabelSelector.parse(query.get("labelSelector", "")), FieldSelector.parse(query.get("fieldSelector", ""), fields)),
        limit=max(0, integer(query, "limit")),
        continue_=query.get("continue", ""),
        revision=resource_version(query),
        match=cast("Match", query.get("resourceVersionMatch", "")),
        timeout=max(0, integer(query, "timeoutSeconds")),
        bookmarks=is_true(query.get("allowWatchBookmarks")),
        initial_events=is_true(query["sendInitialEvents"]) if "sendInitialEvents" in query else None,
    )
    causes = _watch_causes(options) if watch else _list_causes(options, query.get("resourceVersion", ""))
    if causes:
        raise invalid("meta.k8s.io", "ListOptions", "", causes)
    return options


def resource_version(query: Mapping[str, str]) -> int | None:
    """Return resourceVersion as a number, or None if it is not given. Raises ApiError (400)."""
    text = query.get("resourceVersion", "")
    if not text:
        return None
    if not text.isascii() or not text.isdecimal() or len(text) > 19:
        raise bad_request(f'invalid resource version "{text[:64]}": use one that this server gave out, 0, or none')
    return int(text)


def _list_causes(options: ListOptions, version: str) -> list[dict[str, str]]:
    causes = []
    if options.initial_events is not None:
        causes.append(_forbidden("sendInitialEvents", "sendInitialEvents is forbidden for list"))
    if options.match:
        if not version:
            causes.append(_forbidden("resourceVersionMatch", "resourceVersionMatch is forbidden unless resourceVersion is provided"))
        if options.continue_:
            causes.append(_forbidden("resourceVersionMatch", "resourceVersionMatch is forbidden when continue is provided"))
        if options.match not in ("Exact", "NotOlderThan"):
            causes.append(_unsupported("resourceVersionMatch", options.match, ("Exact", "NotOlderThan")))
        if options.match == "Exact" and options.revision == 0:
            causes.append(_forbidden("resourceVersionMatch", 'resourceVersionMatch "exact" is forbidden for resourceVersion "0"'))
    return causes


def _watch_causes(options: ListOptions) -> list[dict[str, str]]:
    causes = []
    if options.match and options.initial_events is None:
        causes.append(
            _forbidden("resourceVersionMatch", "resourceVersionMatch is forbidden for watch unless sendInitialEvents is provided")
        )
    if options.initial_events is not None and options.match != "NotOlderThan":
        causes.append(_forbidden("resourceVersionMatch", "sendInitialEvents requires setting resourceVersionMatch to NotOlderThan"))
        if options.match:
            causes.append(_unsupported("resourceVersionMatch", options.match, ("NotOlderThan",)))
    if options.continue_:
        causes.append(_forbidden("resourceVersionMatch", "resourceVersionMatch is forbidden when continue is provided"))
    return causes


def integer(query: Mapping[str, str], name: str) -> int:
    """Return a number of the query, 0 if it is not given. Raises ApiError (400)."""
    text = query.get(name)
    if text is None:
        return 0
    digits = text.removeprefix("-")
    if not digits.isascii() or not digits.isdecimal() or len(digits) > 18:
        raise bad_request(f'{name} must be an integer, not "{text[:64]}"')
    return int(text)


def values(query: Mapping[str, str], name: str) -> Sequence[str]:
    """Return all values of a parameter."""
    if isinstance(query, MultiMapping):
        return query.getall(name, ())
    return (query[name],) if name in query else ()


def _dry_run(values: Sequence[str], kind: str) -> bool:
    if any(value != "All" for value in values):
        shown = orjson.dumps(values[:10]).decode()
        raise _refused(kind, cause("FieldValueNotSupported", f'Unsupported value: {shown}: supported values: "All"', "dryRun"))
    return bool(values)


def _manager_of(call: Call) -> str:
    """Return the user agent up to its first slash, as kube-apiserver does."""
    return default_manager(call.http.headers.get("User-Agent", "")) or "unknown"


def _refused(kind: str, problem: dict[str, str]) -> ApiError:
    return invalid("meta.k8s.io", kind, "", [problem])


def _forbidden(field: str, why: str) -> dict[str, str]:
    return cause("FieldValueForbidden", f"Forbidden: {why}", field)


def _unsupported(field: str, value: str, supported: tuple[str, ...]) -> dict[str, str]:
    words = ", ".join(f'"{word}"' for word in supported)
    return cause("FieldValueNotSupported", f'Unsupported value: "{value}": supported values: {words}', field)

"""Handle LIST: return a consistent snapshot, complete or in pages, by joining cached bytes.

The first page comes from the live collection. Later pages do too if nothing has changed; otherwise
they come from the store's history. If that is compacted, the client gets 410 with a token that
continues with the latest state.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from aiohttp import web

from apiserver.apis.status import ApiError, bad_request, expired
from apiserver.handlers.request.call import Call, RequestInfo
from apiserver.handlers.request.negotiation import negotiate
from apiserver.handlers.request.options import ListOptions, list_options
from apiserver.handlers.request.timebudget import TURNS
from apiserver.handlers.response.continuetoken import LATEST, Token
from apiserver.handlers.response.errors import too_large_revision
from apiserver.handlers.response.listbody import ListBody
from apiserver.handlers.scope import Scope
from apiserver.registry.generic import labels
from apiserver.registry.generic.entry import Entry
from apiserver.registry.generic.selectors import Selector
from storage.base import Compacted, FutureRevision

EVERYTHING = Selector()
TRIED = 16
"""The number of objects that are matched between two checks of the clock.

A selector of hundreds of terms takes 100 µs for an object."""
STEP = 500
"""The number of objects to read from history at a time."""


@dataclass(frozen=True, slots=True)
class Page:
    """A part of a list.

    `token` continues the list, "" at the end. `remaining` is the number of objects after this page,
    None if unknown."""

    entries: Sequence[Entry]
    revision: int
    token: str = ""
    remaining: int | None = None

    @property
    def meta(self) -> dict[str, Any]:
        """Return the ListMeta."""
        more = {} if self.remaining is None else {"remainingItemCount": self.remaining}
        return {"resourceVersion": str(self.revision), **({"continue": self.token, **more} if self.token else {})}


async def list_(call: Call, scope: Scope) -> web.StreamResponse:
    """Answer with the objects of a namespace, or of all namespaces, that match the selectors."""
    form = negotiate(call)
    options = list_options(call.query, scope.resource)
    found = await page(scope, call.info, options)
    body = await ListBody.of(form, scope.resource, found.entries, found.meta, call.query)
    return await body.send(call, form)


async def page(scope: Scope, info: RequestInfo, options: ListOptions) -> Page:
    """Return the part of the list that the options request. Raises ApiError."""
    if options.continue_:
        return await _next(scope, info, options, Token.decode(options.continue_))
    if options.revision and (options.match == "Exact" or (options.limit and not options.match)):
        return await _snapshot(scope, info, options, Token(options.revision, prefix_of(scope, info)))
    return await _live(scope, info, options, "")


def prefix_of(scope: Scope, info: RequestInfo, selector: Selector = EVERYTHING) -> str:
    """Return the storage prefix of a list or watch.

    It is the whole key if the selector requires one name and names are unique."""
    resource = scope.resource
    if resource.namespaced and not info.namespace:
        return resource.prefix
    return resource.key(info.namespace, "") + (selector.fields.exact("metadata.name") or "")


async def _live(scope: Scope, info: RequestInfo, options: ListOptions, start: str) -> Page:
    """Return a page of the collection as it is now.

    Changes that arrive while selectors are matched have no effect on it."""
    collection, revision = scope.registry.collection, scope.registry.collection.revision
    selector, limit = options.selector, options.limit
    candidates = labels.candidates_of(collection, selector.labels, prefix_of(scope, info, selector), start=start)
    decided = not selector.fields.terms and labels.is_exact(selector.labels)
    matching = candidates if decided else await _selected(selector, candidates, limit)
    if not limit or len(matching) <= limit:
        return Page(matching, revision)
    left = len(matching) - limit
    return _cut(scope, matching[:limit], revision, left, known=not selector)


async def _selected(selector: Selector, candidates: Sequence[Entry], limit: int) -> list[Entry]:
    """Return the matching entries, in turns between which other requests are served.

    If `limit` is not 0, matching ends soon after more than `limit` entries were found."""
    matching: list[Entry] = []
    turn = TURNS.begin()
    for begin in range(0, len(candidates), TRIED):
        if 0 < limit < len(matching):
            break
        matching += [entry for entry in candidates[begin : begin + TRIED] if selector.matches(entry)]
        await turn.checkpoint()
    return matching


def _cut(scope: Scope, entries: Sequence[Entry], revision: int, left: int, *, known: bool) -> Page:
    """Return a page that more objects follow."""
    start = entries[-1].key.removeprefix(scope.resource.prefix) + "\0"
    return Page(entries, revision, Token(revision, start, left if known else -1).encode(), left if known else None)


async def _next(scope: Scope, info: RequestInfo, options: ListOptions, token: Token) -> Page:
    if options.revision:
        raise bad_request("specifying resource version is not allowed when using continue")
    prefix = prefix_of(scope, info)
    start = scope.resource.prefix + token.start
    if not start.startswith(prefix):
        raise bad_request("continue key is not valid: it belongs to another list")
    if token.revision in (LATEST, scope.registry.collection.revision):
        return await _live(scope, info, options, start)
    return await _snapshot(scope, info, options, Token(token.revision, start, token.remaining))


async def _snapshot(scope: Scope, info: RequestInfo, options: ListOptions, token: Token) -> Page:
    """Return a page from the store's history. Here `token.start` is a whole key."""
    prefix, selector, limit = prefix_of(scope, info), options.selector, options.limit
    entries: list[Entry] = []
    start, more, seen = token.start, True, 0
    while more and not (limit and len(entries) > limit):
        try:
            part = await scope.registry.cache.list(prefix, start=start, limit=max(STEP, limit + 1), at=token.revision)
        except Compacted:
            raise _expired(scope, options, token) from None
        except FutureRevision as error:
            raise too_large_revision(error.revision, error.current) from None
        found = [scope.registry.from_history(item.key, item.value, item.revision) for item in part.items]
        entries += [entry for entry in found if entry is not None and selector.matches(entry)]
        seen += len(found)
        more = part.more
        if part.items:
            start = part.items[-1].key + "\0"
    if not limit or len(entries) <= limit:
        return Page(entries, token.revision)
    left = token.remaining - limit if token.remaining >= 0 else len(entries) - limit
    known = not selector and (token.remaining >= 0 or not more)
    return _cut(scope, entries[:limit], token.revision, left, known=known)


class _ExpiredToken(ApiError):
    """A 410 that carries another token."""

    def __init__(self, token: str) -> None:
        super().__init__(410, "Expired", _TOKEN_EXPIRED)
        self.token = token

    def status(self) -> dict[str, Any]:
        """Return the Status with the token at the place where a list has it."""
        return {**super().status(), "metadata": {"continue": self.token}}


_TOKEN_EXPIRED = (
    "The provided continue parameter is too old to display a consistent list result. You can start a new list without the continue "
    "parameter, or use the continue token in this response to retrieve the remainder of the results. Continuing with the provided "
    "token results in an inconsistent list - objects that were created, modified, or deleted between the time the first chunk was "
    "returned and now may show up in the list."
)


def _expired(scope: Scope, options: ListOptions, token: Token) -> ApiError:
    if not options.continue_:
        return expired(f"The resourceVersion for the provided list is too old: {token.revision}; list without one")
    return _ExpiredToken(Token(LATEST, token.start.removeprefix(scope.resource.prefix)).encode())

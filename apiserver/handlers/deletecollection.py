"""Handle DELETE of a collection: each object in its own commit, a few at a time."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator, Sequence

from aiohttp import web

from apiserver.apis.status import ApiError
from apiserver.handlers.list import page
from apiserver.handlers.request.call import Call
from apiserver.handlers.request.deleteoptions import DeleteRequest, read_options
from apiserver.handlers.request.negotiation import negotiate
from apiserver.handlers.request.options import list_options
from apiserver.handlers.request.timebudget import TURNS
from apiserver.handlers.response.listbody import ListBody
from apiserver.handlers.scope import Scope
from apiserver.registry.generic.entry import Entry

WORKERS = 8


async def deletecollection(call: Call, scope: Scope) -> web.StreamResponse:
    """Answer 200 with the deleted objects in their last state.

    The first failure ends the deletion and is the answer."""
    form = negotiate(call)
    options = list_options(call.query, scope.resource)
    wanted = await read_options(call)
    found = await page(scope, call.info, options)
    await _delete_all(scope, wanted, found.entries)
    body = await ListBody.of(form, scope.resource, found.entries, found.meta, call.query)
    return await body.send(call, form)


async def _delete_all(scope: Scope, wanted: DeleteRequest, entries: Sequence[Entry]) -> None:
    waiting = iter(entries)
    try:
        async with asyncio.TaskGroup() as workers:
            for _ in range(min(WORKERS, len(entries))):
                workers.create_task(_delete(scope, wanted, waiting))
    except ExceptionGroup as failed:
        raise failed.exceptions[0] from None


async def _delete(scope: Scope, wanted: DeleteRequest, waiting: Iterator[Entry]) -> None:
    turn = TURNS.begin()
    for entry in waiting:
        await turn.checkpoint()  # a dry run would not yield to other requests otherwise
        try:
            await scope.registry.delete(wanted.context, entry.namespace, entry.name, wanted.options)
        except ApiError as error:
            if error.reason != "NotFound":  # another client deleted it first
                raise

"""Execute bindings, offers, changes and reports of Hosts in a FakeApi by the server's own registries.

So a claim has the same meaning in tests of the controllers as in the server."""

from __future__ import annotations

import asyncio
from concurrent.futures import ThreadPoolExecutor
from functools import cache
from typing import TYPE_CHECKING, Any

from apiserver.apis.status import ApiError
from apiserver.registry.catalog import management_catalog
from apiserver.registry.generic.context import Context, UserInfo
from apiserver.registry.generic.entry import encode_stored
from storage.base import KeyValue
from storage.cache import WatchCache
from tests.crashes.memory import Data, MemoryStore
from tests.unit.controllers.fakeapi import Failure, patched

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Iterable

    from aiohttp import web

    from apiserver.registry.catalog import Catalog
    from apiserver.registry.generic.registry import Registry
    from tests.unit.controllers.fakeapi import Address, FakeApi

Object = dict[str, Any]

GROUP = "apis/workload.metal3.io/v1alpha1"
WORKLOADS, CLASSES, HOSTS, RESERVATIONS = (f"{GROUP}/{kind}" for kind in ("workloads", "workloadclasses", "hosts", "reservations"))
CONTROLLERS = UserInfo("controllers")


class Namespaces:
    """Look namespaces up in a FakeApi."""

    def __init__(self, api: FakeApi) -> None:
        self._api = api

    async def get(self, name: str, *, live: bool = False) -> Object | None:
        return self._api.find("api/v1/namespaces", name)


@cache
def prepare() -> None:
    """Build the schemas of all kinds, which the first catalog of a process does.

    Tests that measure the event loop would otherwise measure that, too."""
    management_catalog(WatchCache(MemoryStore(Data())))


async def bind(api: FakeApi, request: web.Request, address: Address, body: Object) -> Object:
    """Handle POST binding."""
    _, namespace, name = address
    host: Address = (HOSTS, "", body["target"]["name"])
    return _execute(api, (address, host), lambda catalog: catalog.workloads.connect(_context(), namespace, name, "binding", body))


async def offer(api: FakeApi, request: web.Request, address: Address, body: Object) -> Object:
    """Handle PUT offers."""
    return _execute(api, (address,), lambda catalog: catalog.hosts.connect(_context(), "", address[2], "offers", body))


async def patch_host(api: FakeApi, request: web.Request, address: Address, body: Object) -> Object:
    """Handle a PATCH of a Host. Clearing claimRef unbinds the Workload too."""
    claim = ((api.find(*_found(address)) or {}).get("spec") or {}).get("claimRef")
    workload: list[Address] = [(WORKLOADS, claim["namespace"], claim["name"])] if claim else []

    async def update(catalog: Catalog) -> Object:
        entry = await catalog.hosts.update(_context(), "", address[2], lambda host: patched(host, body))
        return entry.object()

    return _execute(api, (address, *workload), update)


async def report(api: FakeApi, request: web.Request, address: Address, body: Object) -> Object | None:
    """Handle a PATCH of a Host's status, if the report may end a charge."""
    if "chargedTo" not in (api.find(*_found(address)) or {"spec": {}})["spec"]:
        return None

    async def update(catalog: Catalog) -> Object:
        entry = await catalog.hosts.update(_context(), "", address[2], lambda host: patched(host, body), subresource="status")
        return entry.object()

    return _execute(api, (address,), update)


def _context() -> Context:
    return Context(CONTROLLERS)


def _found(address: Address) -> tuple[str, str, str]:
    resource, namespace, name = address
    return resource, name, namespace


def _execute(api: FakeApi, addresses: Iterable[Address], act: Callable[[Catalog], Awaitable[Object]]) -> Object:
    """Execute an action on copies of these objects, and store the results in the FakeApi.

    The action runs in a thread. The event loop is blocked until it ends, so nothing else happens
    meanwhile, as in one commit of the server."""
    items = [(kind, item["metadata"]) for kind in (CLASSES, RESERVATIONS) for item in api.all(kind)]
    read: list[Address] = [(kind, meta.get("namespace", ""), meta["name"]) for kind, meta in items]
    before = {address: found for address in sorted((*addresses, *read)) if (found := api.find(*_found(address))) is not None}
    with ThreadPoolExecutor(1) as pool:
        answer, after = pool.submit(asyncio.run, _done(api, before, act)).result()
    for address, obj in after.items():
        if obj is None:
            api.remove(*_found(address))
        else:
            api.put(address[0], obj)
    return answer


async def _done(
    api: FakeApi, before: dict[Address, Object], act: Callable[[Catalog], Awaitable[Object]]
) -> tuple[Object, dict[Address, Object | None]]:
    """Return the answer of the action, and the objects after it."""
    data = Data(revision=api.revision, compacted=api.revision)
    watched = WatchCache(MemoryStore(data))
    catalog = management_catalog(watched, namespaces=Namespaces(api))
    registries: dict[str, Registry] = {WORKLOADS: catalog.workloads, HOSTS: catalog.hosts, CLASSES: catalog.classes}
    registries[RESERVATIONS] = catalog.reservations
    for (resource, namespace, name), obj in before.items():
        key = registries[resource].resource.key(namespace, name)
        value = encode_stored(registries[resource].resource, obj)
        data.state[key] = KeyValue(key, value, int(obj["metadata"]["resourceVersion"]))
    await watched.start()
    try:
        answer = await act(catalog)
        entries = {address: registries[address[0]].find(address[1], address[2]) for address in before}
        return answer, {address: entry.object() if entry is not None else None for address, entry in entries.items()}
    except ApiError as error:
        raise Failure(error.code, error.reason, error.message) from None
    finally:
        await watched.close()

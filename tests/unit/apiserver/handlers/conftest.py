"""Serve an API of two small kinds over a real store with aiohttp's raw test server."""

from __future__ import annotations

import asyncio
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import pytest
from aiohttp import ClientSession, ClientTimeout
from aiohttp.test_utils import RawTestServer

from apiserver.apis.status import ApiError
from apiserver.handlers.dispatch import Api
from apiserver.handlers.request.call import Call
from apiserver.handlers.response.errors import from_storage, render
from apiserver.registry.generic.registry import Registry
from storage.base import StorageError
from storage.cache import WatchCache
from storage.sqlite import SQLiteStore
from tests.unit.apiserver.handlers.kinds import RACKS, WIDGETS

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Mapping
    from pathlib import Path

    from aiohttp import web
    from multidict import CIMultiDictProxy

    from apiserver.registry.generic.context import Context
    from storage.base import Store

PREFIX = "/apis/example.com/v1"
HISTORY = 20
DEADLINE = ClientTimeout(total=60)


class WidgetRegistry(Registry):
    """A registry with an action: POST widgets/NAME/binding."""

    async def connect(self, context: Context, namespace: str, name: str, subresource: str, body: dict[str, Any]) -> dict[str, Any]:
        self.get(namespace, name)
        return {"kind": "Status", "apiVersion": "v1", "status": "Success", "message": f"{subresource} {body.get('target')}"}


@dataclass(frozen=True, slots=True)
class Answer:
    """One response."""

    status: int
    headers: CIMultiDictProxy[str]
    body: bytes


class Service:
    """The API, with shortcuts for tests."""

    def __init__(self, cache: WatchCache, registries: tuple[Registry, ...], session: ClientSession, api: Api) -> None:
        self.cache, self.session, self.api = cache, session, api
        self.widgets, self.racks = registries

    async def ask(
        self, method: str, path: str, body: Any = None, query: Mapping[str, str] | None = None, *, headers: Mapping[str, str] | None = None
    ) -> tuple[int, Any]:
        """Return the status and the JSON of the response."""
        async with self.session.request(method, self.url(path), json=body, params=query, headers=headers) as response:
            return response.status, await response.json()

    async def send(self, method: str, path: str, data: Any = b"", headers: Mapping[str, str] | None = None) -> Answer:
        """Return the unmodified response. Redirects are not followed."""
        async with self.session.request(method, self.url(path), data=data, headers=headers, allow_redirects=False) as response:
            return Answer(response.status, response.headers, await response.read())

    def url(self, path: str) -> str:
        """Return the URL of a path. Paths without a leading slash are below the namespace "ns"."""
        return path if path.startswith("/") else f"{PREFIX}/namespaces/ns/{path}"

    async def make(self, name: str, namespace: str = "ns", **more: Any) -> dict[str, Any]:
        """Create a widget."""
        status, made = await self.ask("POST", f"{PREFIX}/namespaces/{namespace}/widgets", widget(name, **more))
        assert status == 201, made
        assert isinstance(made, dict)
        return made


def widget(name: str, size: int = 1, labels: dict[str, str] | None = None, **metadata: Any) -> dict[str, Any]:
    """Return a widget as a client sends it."""
    meta = {"name": name, **({"labels": labels} if labels else {}), **metadata}
    return {"apiVersion": "example.com/v1", "kind": "Widget", "metadata": meta, "spec": {"size": size}}


@pytest.fixture
async def service(tmp_path: Path) -> AsyncIterator[Service]:
    """Yield a service that is started and empty."""
    async with serving(SQLiteStore(tmp_path / "db", synchronous="off")) as service:
        yield service


@asynccontextmanager
async def serving(store: Store) -> AsyncIterator[Service]:
    """Yield a service over a store that is not started."""
    cache = WatchCache(store, history=HISTORY)
    registries = (WidgetRegistry(WIDGETS, cache), Registry(RACKS, cache))
    api = Api(registries)
    await cache.start()

    async def serve(http: web.BaseRequest) -> web.StreamResponse:
        call = Call(http)
        try:
            call.parse()
            return await api.handle(call)
        except ApiError as error:
            return render(error, call)
        except StorageError as error:
            return render(from_storage(error), call)

    server = RawTestServer(serve)
    await server.start_server()  # cancels handlers whose clients disconnect
    async with ClientSession(base_url=server.make_url("/"), timeout=DEADLINE) as session:
        yield Service(cache, registries, session, api)
    api.stop_watches()
    async with asyncio.timeout(60):
        await server.close()
        await cache.close()

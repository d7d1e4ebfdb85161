"""Send requests to one API server over HTTP, in raw JSON.

Objects of typed clients cost too much on hot paths. Bodies are never logged. Every call has a
deadline. After a 401, the client reads its configuration again, so that rotated tokens and
certificates need no restart. Writes are under the fence of their context (see `fence`).
"""

from __future__ import annotations

import asyncio
import ssl
import time
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from typing import Any
from urllib.parse import urlsplit

import aiohttp
import orjson
from aiohttp.abc import AbstractStreamWriter
from aiohttp.payload import BytesPayload

from apiserver.client import fence, metrics, tracing
from apiserver.client.errors import ApiException, BadConfig, Unconnected, Unreachable, from_response, from_status
from apiserver.client.kubeconfig import Access, Endpoint, Source, load
from apiserver.client.objects import Object, Resource

MERGE_PATCH = "application/merge-patch+json"
JSON_PATCH = "application/json-patch+json"
APPLY = "application/apply-patch+yaml"
JSON = "application/json"
METADATA = "application/json;as=PartialObjectMetadata;g=meta.k8s.io;v=v1"

CONNECT_TIMEOUT = 10.0
READ_BUFFER = 2**21


class _Body(BytesPayload):
    """The body of a write, which is sent together with its headers. If the fence is closed, neither
    is sent."""

    async def write_with_length(self, writer: AbstractStreamWriter, content_length: int | None) -> None:
        fence.check()
        await super().write_with_length(writer, content_length)


class Client:
    """A client of one cluster. Use it as an async context manager, or call `close`.

    `source` is a kubeconfig's path, a kubeconfig as a dict, or None for the pod's service account.
    A dict comes from a secret, so it may not name files or programs. `at` is the server for its
    credentials, if it is another one. After a 401, the configuration is read again, at most once in
    `reload_every` seconds. Every method raises ApiException, Unreachable if there is no
    answer, or BadConfig. Writes raise Fenced as soon as another replica may lead. Namespace ""
    means all namespaces, or a cluster-scoped kind.
    """

    def __init__(
        self,
        source: Source,
        *,
        context: str | None = None,
        at: Endpoint | None = None,
        timeout: float = 30.0,
        reload_every: float = 10.0,
        user_agent: str = "metal3-workloads-controllers",
    ) -> None:
        self._source, self._context, self._at = source, context, at
        self._timeout, self._reload_every = timeout, reload_every
        self._user_agent = user_agent
        self._access: Access | None = None
        self._host = ""
        self._session: aiohttp.ClientSession | None = None
        self._loading = asyncio.Lock()
        self._loaded_at = 0.0
        self._closed = False

    async def __aenter__(self) -> Client:
        await self.open()
        return self

    async def __aexit__(self, *exc: object) -> None:
        await self.close()

    async def open(self) -> None:
        """Read the configuration without sending anything. Raises BadConfig.

        Otherwise, the first request does this."""
        await self._ready()

    async def close(self) -> None:
        """Close all connections, including watches. Later requests raise Unreachable."""
        self._closed = True
        session, self._session, self._access = self._session, None, None
        if session is not None:
            await session.close()

    async def get(self, resource: Resource, name: str, namespace: str = "", *, subresource: str = "") -> Object:
        """Return one object."""
        return await self.request("GET", resource.path(namespace, name, subresource))

    async def find(self, resource: Resource, name: str, namespace: str = "") -> Object | None:
        """Return one object, or None if it does not exist."""
        try:
            return await self.get(resource, name, namespace)
        except ApiException as error:
            if error.not_found:
                return None
            raise

    async def list_page(
        self,
        resource: Resource,
        namespace: str = "",
        *,
        label_selector: str = "",
        field_selector: str = "",
        limit: int = 0,
        continue_token: str = "",
        resource_version: str = "",
    ) -> Object:
        """Return one page of a list, as the server's List object.

        It has `items`, `metadata.resourceVersion` and `metadata.continue`."""
        query = _query(
            labelSelector=label_selector,
            fieldSelector=field_selector,
            limit=limit,
            resourceVersion=resource_version,
            **{"continue": continue_token},
        )
        return await self.request("GET", resource.path(namespace), query=query)

    async def list_all(
        self, resource: Resource, namespace: str = "", *, label_selector: str = "", field_selector: str = "", page_size: int = 500
    ) -> tuple[list[Object], str]:
        """Return all objects, and the resourceVersion at which they were read.

        Starts again once if the snapshot expires between pages."""
        for attempt in range(2):
            items: list[Object] = []
            token = ""
            try:
                while True:
                    page = await self.list_page(
                        resource,
                        namespace,
                        label_selector=label_selector,
                        field_selector=field_selector,
                        limit=page_size,
                        continue_token=token,
                    )
                    items += page.get("items") or []
                    token = page["metadata"].get("continue") or ""
                    if not token:
                        return items, str(page["metadata"].get("resourceVersion") or "")
            except ApiException as error:
                if not error.expired or attempt:
                    raise
        raise AssertionError("unreachable")

    async def watch(
        self,
        resource: Resource,
        namespace: str = "",
        *,
        resource_version: str = "",
        label_selector: str = "",
        field_selector: str = "",
        timeout_seconds: int = 240,
        stall_timeout: float = 90.0,
        bookmarks: bool = True,
        metadata_only: bool = False,
        opened: Callable[[], None] | None = None,
    ) -> AsyncIterator[Object]:
        """Yield events {"type", "object"}, including bookmarks, until the server ends the watch.

        `opened` is called when the watch is accepted. With `metadata_only`, objects come as
        PartialObjectMetadata. An ERROR event is raised as ApiException (410: `expired`). Raises
        Unreachable if no data arrives for `stall_timeout` seconds or the connection breaks. Then
        continue from the last resourceVersion."""
        query = _query(
            watch="true",
            resourceVersion=resource_version,
            labelSelector=label_selector,
            fieldSelector=field_selector,
            timeoutSeconds=timeout_seconds,
            allowWatchBookmarks="true" if bookmarks else "",
        )
        timeout = aiohttp.ClientTimeout(total=None, sock_connect=CONNECT_TIMEOUT, sock_read=stall_timeout)
        accept = METADATA if metadata_only else JSON
        async with self._send("GET", resource.path(namespace), query=query, timeout=timeout, accept=accept) as response:
            await _raise_for_status(response)
            if opened is not None:
                opened()
            async for line in _lines(response.content):
                event = orjson.loads(line)
                if event["type"] == "ERROR":
                    raise from_status(event["object"], 500)
                yield event

    async def create(self, resource: Resource, obj: Object, namespace: str = "", *, name: str = "", subresource: str = "") -> Object:
        """POST a new object, or, with name and subresource, a body such as a binding."""
        return await self.request("POST", resource.path(namespace, name, subresource), body=obj)

    async def update(self, resource: Resource, obj: Object, *, subresource: str = "") -> Object:
        """PUT a whole object at the place in its metadata."""
        metadata = obj["metadata"]
        return await self.request("PUT", resource.path(metadata.get("namespace") or "", metadata["name"], subresource), body=obj)

    async def put(self, resource: Resource, name: str, namespace: str = "", *, subresource: str, body: Object) -> Object:
        """PUT to a subresource whose body is of another kind."""
        return await self.request("PUT", resource.path(namespace, name, subresource), body=body)

    async def patch(
        self,
        resource: Resource,
        name: str,
        patch: Any,
        namespace: str = "",
        *,
        subresource: str = "",
        content_type: str = MERGE_PATCH,
        query: Mapping[str, str] | None = None,
    ) -> Object:
        """PATCH an object, by default with a merge patch.

        Add metadata.resourceVersion for optimistic locking."""
        return await self.request("PATCH", resource.path(namespace, name, subresource), body=patch, content_type=content_type, query=query)

    async def delete(
        self,
        resource: Resource,
        name: str,
        namespace: str = "",
        *,
        uid: str = "",
        resource_version: str = "",
        propagation_policy: str = "",
    ) -> Object:
        """DELETE an object, on condition of its uid and resourceVersion if given."""
        preconditions = _query(uid=uid, resourceVersion=resource_version)
        body: Object = {"kind": "DeleteOptions", "apiVersion": "v1"}
        if preconditions:
            body["preconditions"] = preconditions
        if propagation_policy:
            body["propagationPolicy"] = propagation_policy
        return await self.request("DELETE", resource.path(namespace, name), body=body)

    async def request(
        self,
        method: str,
        path: str,
        *,
        query: Mapping[str, str] | None = None,
        body: Any = None,
        content_type: str = JSON,
        timeout: float | None = None,
    ) -> Object:
        """Send any request, and return its answer as decoded JSON."""
        if (tracer := tracing.active.tracer) is None:
            return await self._request(method, path, query, body, content_type, timeout)
        attributes = {"http.request.method": method, "server.address": self._host, "url.path": path}
        with tracer.span(f"{method} {self._host}".rstrip(), attributes):
            return await self._request(method, path, query, body, content_type, timeout)

    async def _request(
        self, method: str, path: str, query: Mapping[str, str] | None, body: Any, content_type: str, timeout: float | None
    ) -> Object:
        data = None if body is None else orjson.dumps(body)
        limit = aiohttp.ClientTimeout(total=timeout or self._timeout, sock_connect=CONNECT_TIMEOUT)
        for attempt in range(2):
            async with self._send(method, path, query=query, data=data, content_type=content_type, timeout=limit) as response:
                content = await response.read()
                if response.status < 300:
                    return orjson.loads(content) if content else {}
                error = from_response(response.status, content, response.headers.get("Retry-After"))
            if error.status != 401 or attempt or not await self._reload():
                raise error
        raise AssertionError("unreachable")

    @asynccontextmanager
    async def _send(
        self,
        method: str,
        path: str,
        *,
        timeout: aiohttp.ClientTimeout,
        query: Mapping[str, str] | None = None,
        data: bytes | None = None,
        content_type: str = "",
        accept: str = JSON,
    ) -> AsyncIterator[aiohttp.ClientResponse]:
        session, access = await self._ready()
        if session.closed:  # closed by a reload between two awaits
            raise Unreachable("the connection was renewed: try again")
        headers = {"Accept": accept}
        if data is not None:
            headers["Content-Type"] = content_type
        if method != "GET":
            fence.check()
        if authorization := await access.authorization():
            headers["Authorization"] = authorization
        if (tracer := tracing.active.tracer) is not None:
            headers.update(tracer.headers())
        began, answered = time.perf_counter(), False
        try:
            async with session.request(
                method,
                access.host + path,
                params=query,
                data=_Body(data) if data is not None else None,
                headers=headers,
                timeout=timeout,
                proxy=access.proxy,
                server_hostname=access.server_hostname,
                allow_redirects=False,
            ) as response:
                answered = True
                metrics.count(method, self._host, str(response.status), time.perf_counter() - began)
                yield response
        except (aiohttp.ClientConnectorError, aiohttp.ConnectionTimeoutError) as error:
            raise Unconnected(f"{access.host} cannot be reached: {error}") from error
        except TimeoutError:
            raise Unreachable(f"{access.host} did not answer in time") from None
        except (aiohttp.ClientError, ConnectionError, ssl.SSLError) as error:
            if method != "GET":
                fence.check()
            raise Unreachable(f"{access.host} cannot be reached: {error}") from error
        finally:
            if not answered:
                metrics.count(method, self._host, metrics.UNANSWERED, time.perf_counter() - began)

    async def _ready(self) -> tuple[aiohttp.ClientSession, Access]:
        if self._closed:
            raise Unreachable("the client is closed")
        if self._session is None or self._access is None:
            async with self._loading:
                if self._session is None or self._access is None:
                    await self._load()
        assert self._session is not None
        assert self._access is not None
        return self._session, self._access

    async def _load(self) -> None:
        access = await load(self._source, self._context, self._at)
        url = urlsplit(access.host)
        if url.scheme != "https" and url.hostname not in {"localhost", "127.0.0.1", "::1"}:
            raise BadConfig(f"the server's URL is {access.host}: only https is used outside this machine")
        # The pool has no limit: watches keep connections open, and workers bound the others.
        connector = aiohttp.TCPConnector(ssl=access.ssl_context or True, limit=0, keepalive_timeout=60)
        self._access, self._host = access, url.netloc
        self._session = aiohttp.ClientSession(connector=connector, read_bufsize=READ_BUFFER, headers={"User-Agent": self._user_agent})
        self._loaded_at = asyncio.get_running_loop().time()

    async def _reload(self) -> bool:
        """Read the configuration again, because its token may have been rotated.

        Returns False if that was done just now."""
        async with self._loading:
            if asyncio.get_running_loop().time() - self._loaded_at < self._reload_every:
                return False
            old = self._session
            try:
                await self._load()
            except BadConfig as error:
                raise Unreachable(f"the kubeconfig cannot be used any more: {error}") from error
            if old is not None:
                await old.close()
            return True


def _query(**parameters: str | int) -> dict[str, str]:
    return {key: str(value) for key, value in parameters.items() if value}


async def _raise_for_status(response: aiohttp.ClientResponse) -> None:
    if response.status >= 300:
        raise from_response(response.status, await response.read(), response.headers.get("Retry-After"))


async def _lines(content: aiohttp.StreamReader) -> AsyncIterator[bytes]:
    """Yield lines of any length. StreamReader.readline refuses lines beyond its buffer."""
    parts: list[bytes] = []
    async for chunk in content.iter_any():
        *lines, rest = chunk.split(b"\n")
        for line in lines:
            whole = b"".join([*parts, line])
            parts.clear()
            if whole:
                yield whole
        if rest:
            parts.append(rest)

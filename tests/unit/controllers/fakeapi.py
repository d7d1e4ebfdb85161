"""Simulate an API server in memory with the part of the protocol that controllers use.

It supports CRUD, merge patches, status, finalizers, optimistic locking, lists in pages, and watches
that a test can interrupt. It accepts any kind, and validates nothing."""

from __future__ import annotations

import asyncio
import copy
import uuid
from collections import Counter
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any

import orjson
from aiohttp import web
from aiohttp.test_utils import TestServer

from apiserver.apis.status import ApiError
from apiserver.registry.generic.patch import json_patch, merge_patch, operations_of

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Awaitable, Callable
    from ssl import SSLContext

Object = dict[str, Any]
Address = tuple[str, str, str]  # resource path, namespace, name
Hook = "Callable[[FakeApi, web.Request, Address, Object], Awaitable[Object | None]]"


class Failure(Exception):
    """Makes the fake answer with this Status."""

    def __init__(self, code: int, reason: str, message: str = "", **details: Any) -> None:
        super().__init__(message)
        self.status: Object = {
            "kind": "Status",
            "apiVersion": "v1",
            "status": "Failure",
            "code": code,
            "reason": reason,
            "message": message,
        }
        self.status["details"] = details


def patched(current: Object, patch: Any) -> Any:
    """Return the result of a merge patch, or of a JSON patch as the server applies it."""
    if not isinstance(patch, list):
        return merge_patch(current, patch)
    try:
        return json_patch(copy.deepcopy(current), operations_of(patch))
    except ApiError as error:
        raise Failure(error.code, error.reason, error.message) from None


class FakeApi:
    """An API server in memory.

    `objects`: by (resource path, namespace, name). `requests`: counts of "VERB
    resource[/subresource]". `conflicts`: counts of those answered with 409, unless the
    object's latest write was a test's own: no client can know of that in time.

    Events are `watch_delay` seconds late: until then, watchers know less than the responses to
    writes."""

    def __init__(self) -> None:
        self.objects: dict[Address, Object] = {}
        self.revision = 100
        self.oldest = 0
        self.history: list[tuple[int, str, Address, Object]] = []
        self.requests: Counter[str] = Counter()
        self.conflicts: Counter[str] = Counter()
        self._edited: set[Address] = set()
        self.watch_delay = 0.0
        self.tokens: set[str] | None = None
        self.hooks: dict[str, Any] = {}
        self.fail: Callable[[str, str], Failure | None] = lambda verb, path: None
        self.watch_hook: Callable[[web.StreamResponse], Awaitable[bool]] | None = None
        self._changed = asyncio.Event()
        self._cut = 0
        self._snapshots: dict[str, tuple[list[Object], int]] = {}
        self.url = ""

    @property
    def kubeconfig(self) -> Object:
        """Return a kubeconfig for Client."""
        return kubeconfig(self.url)

    @asynccontextmanager
    async def serving(self, tls: SSLContext | None = None) -> AsyncIterator[FakeApi]:
        """Serve on a free port of the loopback interface."""
        app = web.Application(client_max_size=2**24)
        app.router.add_route("*", "/{tail:.*}", self._handle)
        server = TestServer(app, scheme="https" if tls is not None else "http")
        await server.start_server(ssl=tls)
        self.url = str(server.make_url("")).rstrip("/")
        try:
            yield self
        finally:
            self.cut_watches()
            await server.close()
            await _closed(int(server.port or 0))

    # Operations of tests

    def put(self, resource: str, obj: Object) -> Object:
        """Create or replace an object as another client does."""
        metadata = obj.setdefault("metadata", {})
        address = (resource, metadata.get("namespace", ""), metadata["name"])
        self._edited.add(address)
        return self._store(address, obj)

    def get(self, resource: str, name: str, namespace: str = "") -> Object:
        """Return the object as it is now."""
        return copy.deepcopy(self.objects[(resource, namespace, name)])

    def find(self, resource: str, name: str, namespace: str = "") -> Object | None:
        """Return the object as it is now, or None."""
        found = self.objects.get((resource, namespace, name))
        return copy.deepcopy(found) if found is not None else None

    def all(self, resource: str) -> list[Object]:
        """Return all objects of a resource."""
        return [copy.deepcopy(obj) for address, obj in self.objects.items() if address[0] == resource]

    def edit(self, resource: str, name: str, patch: Object, namespace: str = "") -> Object:
        """Merge-patch an object as another client does, including its status."""
        address = (resource, namespace, name)
        self._edited.add(address)
        return self._store(address, merge_patch(self.objects[address], patch))

    def remove(self, resource: str, name: str, namespace: str = "") -> None:
        """Delete an object at once, whether it has finalizers or not."""
        self._remove((resource, namespace, name))

    def compact(self) -> None:
        """Forget the history, so that older watches get 410."""
        self.oldest = self.revision
        self.history.clear()

    def cut_watches(self) -> None:
        """End all watches."""
        self._cut += 1
        self._wake()

    # Storage

    def _wake(self) -> None:
        self._changed.set()
        self._changed = asyncio.Event()

    def _store(self, address: Address, obj: Object) -> Object:
        old = self.objects.get(address)
        new = copy.deepcopy(obj)
        metadata = new["metadata"]
        metadata["uid"] = old["metadata"]["uid"] if old else metadata.get("uid") or str(uuid.uuid4())
        if old is not None and {**old, "metadata": {**old["metadata"], "resourceVersion": ""}} == {
            **new,
            "metadata": {**metadata, "resourceVersion": ""},
        }:
            return copy.deepcopy(old)
        generation = (old or {"metadata": {}})["metadata"].get("generation", 0)
        metadata["generation"] = generation + (old is None or old.get("spec") != new.get("spec"))
        if metadata.get("deletionTimestamp") and not metadata.get("finalizers"):
            self._remove(address)
            return new
        self.revision += 1
        metadata["resourceVersion"] = str(self.revision)
        self.objects[address] = new
        self.history.append((self.revision, "ADDED" if old is None else "MODIFIED", address, new))
        self._wake()
        return copy.deepcopy(new)

    def _remove(self, address: Address) -> None:
        old = self.objects.pop(address)
        self.revision += 1
        gone = copy.deepcopy(old)
        gone["metadata"]["resourceVersion"] = str(self.revision)
        self.history.append((self.revision, "DELETED", address, gone))
        self._wake()

    # HTTP

    async def _handle(self, request: web.Request) -> web.StreamResponse:
        address = _parse(request.path)[:3]
        try:
            done = await self._dispatch(request)
            if request.method != "GET":
                self._edited.discard(address)
            return done
        except Failure as failure:
            if failure.status["code"] == 409 and address not in self._edited:
                self.conflicts[_counted(request)] += 1
            headers = {}
            if seconds := failure.status["details"].get("retryAfterSeconds"):
                headers["Retry-After"] = str(seconds)
            return web.json_response(failure.status, status=failure.status["code"], headers=headers)

    async def _dispatch(self, request: web.Request) -> web.StreamResponse:
        resource, namespace, name, subresource = _parse(request.path)
        plural = resource.rsplit("/", 1)[1]
        verb = "WATCH" if request.query.get("watch") else request.method
        self.requests[_counted(request)] += 1
        if self.tokens is not None and request.headers.get("Authorization", "").removeprefix("Bearer ") not in self.tokens:
            raise Failure(401, "Unauthorized")
        if failure := self.fail(verb, request.path):
            raise failure
        address = (resource, namespace, name)
        body = orjson.loads(await request.read()) if request.can_read_body else {}
        hook = self.hooks.get(f"{request.method} {plural}/{subresource}" if subresource else f"{request.method} {plural}")
        if hook is not None:
            answer = await hook(self, request, address, body)
            if answer is not None:
                return web.json_response(answer)
        if verb == "WATCH":
            return await self._watch(request, resource, namespace)
        if not name and verb == "GET":
            return web.json_response(self._list(request, resource, namespace))
        return web.json_response(getattr(self, f"_{verb.lower()}")(address, subresource, body, request))

    def _selected(self, request: web.Request, resource: str, namespace: str) -> Callable[[Address, Object], bool]:
        wanted = [part.partition("=") for part in request.query.get("labelSelector", "").split(",") if part]
        name = request.query.get("fieldSelector", "").removeprefix("metadata.name=")

        def selected(address: Address, obj: Object) -> bool:
            labels = obj["metadata"].get("labels") or {}
            clusters = address[0] == resource and namespace in ("", address[1]) and name in ("", address[2])
            return clusters and all(key in labels and (not equal or labels[key] == value) for key, equal, value in wanted)

        return selected

    def _list(self, request: web.Request, resource: str, namespace: str) -> Object:
        selected = self._selected(request, resource, namespace)
        if token := request.query.get("continue"):
            if token not in self._snapshots:
                raise Failure(410, "Expired", "the continue token is too old")
            items, revision = self._snapshots.pop(token)
        else:
            items, revision = [obj for address, obj in sorted(self.objects.items()) if selected(address, obj)], self.revision
        limit = int(request.query.get("limit", 0)) or len(items)
        metadata: Object = {"resourceVersion": str(revision)}
        if len(items) > limit:
            metadata["continue"] = uuid.uuid4().hex
            self._snapshots[metadata["continue"]] = (items[limit:], revision)
        return {"kind": "List", "apiVersion": "v1", "metadata": metadata, "items": items[:limit]}

    def expire_pages(self) -> None:
        """Expire the continue tokens issued so far, so that they get 410."""
        self._snapshots.clear()

    async def _watch(self, request: web.Request, resource: str, namespace: str) -> web.StreamResponse:
        asked = request.query.get("resourceVersion") or ""
        version = self.revision if asked == "0" else int(asked or 0)
        if version < self.oldest:
            raise Failure(410, "Expired", "too old resource version")
        selected, cut = self._selected(request, resource, namespace), self._cut
        initial = [obj for address, obj in sorted(self.objects.items()) if asked == "0" and selected(address, obj)]
        response = web.StreamResponse(headers={"Content-Type": "application/json"})
        await response.prepare(request)
        if self.watch_hook is not None and await self.watch_hook(response):
            return response
        for obj in initial:
            await response.write(orjson.dumps({"type": "ADDED", "object": obj}) + b"\n")
        if asked == "0":
            mark = {"metadata": {"resourceVersion": str(version)}}
            await response.write(orjson.dumps({"type": "BOOKMARK", "object": mark}) + b"\n")
        while cut == self._cut and not (request.transport is None or request.transport.is_closing()):
            changed = self._changed
            await asyncio.sleep(self.watch_delay)
            for revision, type_, address, obj in list(self.history):
                if revision > version and selected(address, obj):
                    await response.write(orjson.dumps({"type": type_, "object": obj}) + b"\n")
            version = self.revision
            await changed.wait()
        return response

    def _get(self, address: Address, subresource: str, body: Object, request: web.Request) -> Object:
        if address not in self.objects:
            raise Failure(404, "NotFound", f"{address[2]} not found", name=address[2])
        return self.objects[address]

    def _post(self, address: Address, subresource: str, body: Object, request: web.Request) -> Object:
        resource, namespace, _ = address
        address = (resource, namespace, body["metadata"]["name"])
        if address in self.objects:
            raise Failure(409, "AlreadyExists", f"{address[2]} already exists", name=address[2])
        if namespace:
            body["metadata"]["namespace"] = namespace
        return self._store(address, body)

    def _put(self, address: Address, subresource: str, body: Object, request: web.Request) -> Object:
        current = self._get(address, "", {}, request)
        return self._write(address, current, body, subresource)

    def _patch(self, address: Address, subresource: str, body: Object, request: web.Request) -> Object:
        current = self._get(address, "", {}, request)
        return self._write(address, current, patched(current, body), subresource)

    def _write(self, address: Address, current: Object, wanted: Object, subresource: str) -> Object:
        if wanted["metadata"].get("resourceVersion") not in (None, current["metadata"]["resourceVersion"]):
            raise Failure(409, "Conflict", "the object has been modified", name=address[2])
        if wanted["metadata"].get("uid") not in (None, current["metadata"]["uid"]):
            raise Failure(409, "Conflict", "uid mismatch", name=address[2])
        if subresource == "status":
            wanted = {**current, "status": wanted.get("status")}
        elif "status" in current:
            wanted = {**wanted, "status": current["status"]}
        return self._store(address, wanted)

    def _delete(self, address: Address, subresource: str, body: Object, request: web.Request) -> Object:
        current = self._get(address, "", {}, request)
        preconditions = body.get("preconditions") or {}
        for key, value in preconditions.items():
            if current["metadata"][key] != value:
                raise Failure(409, "Conflict", f"{key} does not match", name=address[2])
        if current["metadata"].get("finalizers"):
            metadata = {**current["metadata"], "deletionTimestamp": "2026-01-01T00:00:00Z"}
            return self._store(address, {**current, "metadata": metadata})
        self._remove(address)
        return {"kind": "Status", "status": "Success"}


async def _closed(port: int) -> None:
    """Wait a while until the sockets of all connections to the port are closed.

    A connection may be in the middle of its handshake when its server ends. If the loop ends first,
    the garbage collector finds an open transport in a later test, and fails that one."""
    loop = asyncio.get_running_loop()
    transports, deadline = getattr(loop, "_transports", {}), loop.time() + 5
    while any(_is_open(one, port) for one in list(transports.values())):
        if loop.time() > deadline:
            return
        await asyncio.sleep(0.01)


def _is_open(transport: asyncio.BaseTransport, port: int) -> bool:
    socket, ends = transport.get_extra_info("socket"), (transport.get_extra_info(end) for end in ("sockname", "peername"))
    return socket is not None and socket.fileno() != -1 and any(isinstance(end, tuple) and end[1] == port for end in ends)


def _counted(request: web.Request) -> str:
    """Return the name under which the request is counted."""
    resource, _, _, subresource = _parse(request.path)
    plural, verb = resource.rsplit("/", 1)[1], "WATCH" if request.query.get("watch") else request.method
    return f"{verb} {plural}" + (f"/{subresource}" if subresource else "")


def _parse(path: str) -> tuple[str, str, str, str]:
    parts = path.strip("/").split("/")
    group = "/".join(parts[:2]) if parts[0] == "api" else "/".join(parts[:3])
    rest = parts[2:] if parts[0] == "api" else parts[3:]
    namespace = ""
    if rest[0] == "namespaces" and len(rest) > 2:
        namespace, rest = rest[1], rest[2:]
    rest += ["", ""]
    return f"{group}/{rest[0]}", namespace, rest[1], rest[2]


def kubeconfig(url: str, token: str = "token-canary") -> Object:
    """Return a kubeconfig for a fake on the loopback interface."""
    return {
        "apiVersion": "v1",
        "kind": "Config",
        "clusters": [{"name": "fake", "cluster": {"server": url}}],
        "users": [{"name": "me", "user": {"token": token}}],
        "contexts": [{"name": "fake", "context": {"cluster": "fake", "user": "me"}}],
        "current-context": "fake",
    }


async def eventually(check: Callable[[], Any], timeout: float = 50.0) -> Any:
    """Wait until the check returns a true value and does not raise. Its last failure is the
    error."""
    deadline = asyncio.get_running_loop().time() + timeout
    while True:
        try:
            if result := check():
                return result
            problem: Exception = AssertionError("it did not become true in time")
        except (AssertionError, KeyError, TypeError, IndexError) as error:
            problem = error
        if asyncio.get_running_loop().time() > deadline:
            raise problem
        await asyncio.sleep(0.005)

"""Simulate the API of a management cluster that `serve` uses, over plain HTTP on loopback."""

from __future__ import annotations

import asyncio
import json
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any

from aiohttp import web

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from pathlib import Path

ADMISSION = "/apis/admissionregistration.k8s.io/v1"
OTHERS = ("/api/v1/resourcequotas", f"{ADMISSION}/mutatingwebhookconfigurations", f"{ADMISSION}/validatingwebhookconfigurations")


class FakeManagement:
    """The API. `config_map`, `namespaces` and `others` (by path, such as quotas) are served and
    watched.

    `permitted`: the (user, verb) pairs that reviews allow. `tokens`: the user names, by token.
    `patches`: the patches of APIServices."""

    def __init__(self, config_map: dict[str, str]) -> None:
        self.config_map = config_map
        self.namespaces = {"team": "Active"}
        self.others: dict[str, list[dict[str, Any]]] = {path: [] for path in OTHERS}
        self.permitted: set[tuple[str, str]] = set()
        self.tokens: dict[str, str] = {}
        self.patches = asyncio.Queue[tuple[str, dict[str, Any]]]()
        self.url = ""
        self._changed = asyncio.Event()
        self._revision = 1
        self._stopping = asyncio.Event()

    def change_config_map(self, data: dict[str, str]) -> None:
        """Change the ConfigMap, and notify the watch."""
        self.config_map = data
        self._revision += 1
        self._changed.set()

    def kubeconfig(self, folder: Path) -> Path:
        """Return a kubeconfig file for it."""
        path = folder / "management.kubeconfig"
        cluster = {"name": "m", "cluster": {"server": self.url}}
        context = {"name": "m", "context": {"cluster": "m", "user": "m"}}
        user = {"name": "m", "user": {"token": "server"}}
        path.write_text(json.dumps({"clusters": [cluster], "contexts": [context], "users": [user], "current-context": "m"}))
        return path

    @asynccontextmanager
    async def serving(self) -> AsyncIterator[FakeManagement]:
        """Serve for the duration of the block."""
        app = web.Application()
        app.router.add_get("/api/v1/namespaces", self._namespaces)
        app.router.add_get("/api/v1/namespaces/kube-system/configmaps", self._config_maps)
        app.router.add_get("/api/v1/namespaces/{name}", self._namespace)
        for path in OTHERS:
            app.router.add_get(path, self._other)
        app.router.add_put("/api/v1/namespaces/{namespace}/resourcequotas/{name}/status", self._quota)
        app.router.add_post("/apis/authorization.k8s.io/v1/subjectaccessreviews", self._access)
        app.router.add_post("/apis/authentication.k8s.io/v1/tokenreviews", self._token)
        app.router.add_get("/apis/apiregistration.k8s.io/v1/apiservices/{name}", self._service)
        app.router.add_patch("/apis/apiregistration.k8s.io/v1/apiservices/{name}", self._patch)
        runner = web.AppRunner(app, shutdown_timeout=0.1, handler_cancellation=True)
        await runner.setup()
        site = web.TCPSite(runner, "127.0.0.1", 0)
        await site.start()
        self.url = f"http://127.0.0.1:{runner.addresses[0][1]}"
        try:
            yield self
        finally:
            self._stopping.set()
            await runner.cleanup()

    async def _config_maps(self, request: web.Request) -> web.StreamResponse:
        assert request.query["fieldSelector"] == "metadata.name=extension-apiserver-authentication"
        if "watch" not in request.query:
            return self._list([self._object("extension-apiserver-authentication", "kube-system", data=self.config_map)])
        response = web.StreamResponse()
        await response.prepare(request)
        while True:
            await self._changed.wait()
            self._changed.clear()
            changed = self._object("extension-apiserver-authentication", "kube-system", data=self.config_map)
            await response.write(json.dumps({"type": "MODIFIED", "object": changed}).encode() + b"\n")

    async def _namespaces(self, request: web.Request) -> web.StreamResponse:
        if "watch" in request.query:
            return await self._silent(request)
        return self._list([self._object(name, status={"phase": phase}) for name, phase in self.namespaces.items()])

    async def _other(self, request: web.Request) -> web.StreamResponse:
        return await self._silent(request) if "watch" in request.query else self._list(self.others[request.path])

    async def _quota(self, request: web.Request) -> web.Response:
        written = await request.json()
        (quota,) = self.others["/api/v1/resourcequotas"]
        if written["metadata"]["resourceVersion"] != quota["metadata"]["resourceVersion"]:
            return web.json_response({"kind": "Status", "code": 409, "reason": "Conflict"}, status=409)
        self._revision += 1
        quota["metadata"]["resourceVersion"] = str(self._revision)
        quota["status"] = written["status"]
        return web.json_response(quota)

    async def _silent(self, request: web.Request) -> web.StreamResponse:
        """Serve a watch without events."""
        response = web.StreamResponse()
        await response.prepare(request)
        await self._stopping.wait()
        return response

    async def _namespace(self, request: web.Request) -> web.Response:
        name = request.match_info["name"]
        if name not in self.namespaces:
            return web.json_response({"kind": "Status", "code": 404, "reason": "NotFound"}, status=404)
        return web.json_response(self._object(name, status={"phase": self.namespaces[name]}))

    async def _access(self, request: web.Request) -> web.Response:
        spec = (await request.json())["spec"]
        verb = (spec.get("resourceAttributes") or spec.get("nonResourceAttributes"))["verb"]
        return web.json_response({"status": {"allowed": (spec["user"], verb) in self.permitted}}, status=201)

    async def _token(self, request: web.Request) -> web.Response:
        name = self.tokens.get((await request.json())["spec"]["token"])
        status = {"authenticated": True, "user": {"username": name}} if name else {"authenticated": False}
        return web.json_response({"status": status}, status=201)

    async def _service(self, request: web.Request) -> web.Response:
        return web.json_response({"metadata": {"resourceVersion": "1"}, "spec": {"service": {"name": "s"}}})

    async def _patch(self, request: web.Request) -> web.Response:
        self.patches.put_nowait((request.match_info["name"], await request.json()))
        return web.json_response({})

    def _object(self, name: str, namespace: str = "", **fields: Any) -> dict[str, Any]:
        metadata = {"name": name, "uid": name, "resourceVersion": str(self._revision)}
        return {"metadata": {**metadata, **({"namespace": namespace} if namespace else {})}, **fields}

    def _list(self, items: list[dict[str, Any]]) -> web.Response:
        return web.json_response({"kind": "List", "metadata": {"resourceVersion": str(self._revision)}, "items": items})

"""Run Keystone v3 and Nova 2.1 of one project on a free loopback port, which is written to stdout:
`python -m hack.cloud.openstack IMAGE...`.

It runs until it is ended, and accepts any application credential and any user whose secret is
`canary-secret`. It sends nothing to other machines, and stores nothing.
"""

from __future__ import annotations

import asyncio
import datetime
import itertools
import sys
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager
from typing import Any
from urllib.parse import urlencode

from aiohttp import web

from hack.cloud.nova import FLAVORS, STATUS, Nova, Refused, Server
from hack.cloud.process import running_simulation

Object = dict[str, Any]

REGION = "RegionOne"
SECRET = "canary-secret"
NAMES = {400: "badRequest", 403: "forbidden", 404: "itemNotFound", 406: "notAcceptable", 409: "conflictingRequest"}


class OpenStackCloud:
    """The HTTP API of one project.

    `nova` has the project's servers. `lifetime`: the seconds for which tokens claim to be valid.
    `tokens`: the accepted tokens. `page`: the number of servers in one page of a list. `compute`:
    Nova's URL in the catalog, if it differs from the real one."""

    def __init__(self, nova: Nova) -> None:
        self.nova = nova
        self.secret, self.lifetime, self.page = SECRET, 3600.0, 1000
        self.compute = ""
        self.tokens: set[str] = set()
        self._numbers = itertools.count(1)

    def app(self) -> web.Application:
        """Return the application that serves the API."""
        app = web.Application(client_max_size=1 << 20)
        app.router.add_post("/v3/auth/tokens", self._authenticate)
        compute = "/compute/v2.1"
        for method, path, handler in (
            ("GET", "/servers/detail", self._list),
            ("GET", "/servers/{id}", self._get),
            ("POST", "/servers", self._create),
            ("DELETE", "/servers/{id}", self._delete),
            ("POST", "/servers/{id}/action", self._act),
            ("POST", "/servers/{id}/metadata", self._note),
            ("DELETE", "/servers/{id}/metadata/{key}", self._forget),
            ("GET", "/flavors/detail", self._flavors),
        ):
            app.router.add_route(method, compute + path, self._guarded(handler))
        return app

    def _guarded(self, handler: Callable[[web.Request], Awaitable[web.Response]]) -> Callable[[web.Request], Awaitable[web.Response]]:
        """Wrap a handler: require a valid token, a known microversion, and JSON."""

        async def guarded(request: web.Request) -> web.Response:
            if request.headers.get("X-Auth-Token") not in self.tokens:
                return _error(401, "The request you have made requires authentication.", "error")
            if (version := request.headers.get("OpenStack-API-Version", "compute 2.1")) != "compute 2.1":
                return _error(406, f"Version {version} is not supported by the API.")
            if request.method == "POST" and not request.content_type.startswith("application/json"):
                return _error(415, f"Unsupported content type {request.content_type}")
            try:
                return await handler(request)
            except Refused as refused:
                return _error(refused.status, str(refused))

        return guarded

    async def _authenticate(self, request: web.Request) -> web.Response:
        wanted = (await request.json())["auth"]
        if not _known(wanted, self.secret):
            return _error(401, "The request you have made requires authentication.", "error")
        token = f"token-{next(self._numbers)}"
        self.tokens.add(token)
        expires = datetime.datetime.now(datetime.UTC) + datetime.timedelta(seconds=self.lifetime)
        url = self.compute or f"http://{request.host}/compute/v2.1"
        endpoints = [{"id": kind, "interface": kind, "region": REGION, "region_id": REGION, "url": url} for kind in ("public", "internal")]
        catalog = [{"type": "compute", "name": "the compute service", "id": "c", "endpoints": endpoints}]
        user = {"id": "u", "name": "user", "domain": {"id": "default", "name": "Default"}}
        body = {
            "methods": wanted["identity"]["methods"],
            "expires_at": f"{expires:%Y-%m-%dT%H:%M:%S.%fZ}",
            "catalog": catalog,
            "user": user,
        }
        return web.json_response(
            {"token": {**body, "roles": [{"id": "r", "name": "member"}]}}, status=201, headers={"X-Subject-Token": token}
        )

    async def _list(self, request: web.Request) -> web.Response:
        servers = self.nova.list()
        marker = request.query.get("marker")
        if marker:
            ids = [server.id for server in servers]
            if marker not in ids:
                raise Refused(400, f"marker [{marker}] not found")
            servers = servers[ids.index(marker) + 1 :]
        page = servers[: self.page]
        body: Object = {"servers": [_shown(server, request) for server in page]}
        if len(servers) > len(page):
            query = urlencode({"marker": page[-1].id})
            body["servers_links"] = [{"rel": "next", "href": f"{request.url.with_query(query)}"}]
        return web.json_response(body)

    async def _get(self, request: web.Request) -> web.Response:
        return web.json_response({"server": _shown(self.nova.get(request.match_info["id"]), request)})

    async def _create(self, request: web.Request) -> web.Response:
        made = self.nova.create(await request.json())
        return web.json_response({"server": {"id": made.id, "links": _links(made, request), "adminPass": "canary"}}, status=202)

    async def _delete(self, request: web.Request) -> web.Response:
        self.nova.delete(request.match_info["id"])
        return web.Response(status=204)

    async def _act(self, request: web.Request) -> web.Response:
        self.nova.act(request.match_info["id"], await request.json())
        return web.Response(status=202)

    async def _note(self, request: web.Request) -> web.Response:
        return web.json_response({"metadata": self.nova.note(request.match_info["id"], (await request.json()).get("metadata"))})

    async def _forget(self, request: web.Request) -> web.Response:
        self.nova.forget(request.match_info["id"], request.match_info["key"])
        return web.Response(status=204)

    async def _flavors(self, request: web.Request) -> web.Response:
        shown = {"ram": 2048, "disk": 8, "vcpus": 2, "OS-FLV-EXT-DATA:ephemeral": 0, "swap": "", "links": [], "rxtx_factor": 1.0}
        return web.json_response({"flavors": [{"id": id, "name": name, **shown} for id, name in FLAVORS.items()]})

    @asynccontextmanager
    async def serving(self) -> AsyncIterator[int]:
        """Serve on a free port of the loopback interface."""
        runner = web.AppRunner(self.app(), shutdown_timeout=0.1)
        await runner.setup()
        site = web.TCPSite(runner, "127.0.0.1", 0)
        await site.start()
        try:
            yield int(runner.addresses[0][1])
        finally:
            await runner.cleanup()


def _known(wanted: Object, secret: str) -> bool:
    identity = wanted["identity"]
    match identity["methods"]:
        case ["application_credential"]:
            return "scope" not in wanted and identity["application_credential"] == {"id": "credential", "secret": secret}
        case ["password"]:
            user = identity["password"]["user"]
            scope = {"project": {"domain": {"id": "default"}, "name": "machines"}}
            known = {"domain": {"name": "Default"}, "name": "user", "password": secret}
            return bool(user == known and wanted.get("scope") == scope)
    return False


def _shown(server: Server, request: web.Request) -> Object:
    """Return a server as a member of the project sees it in GET /servers/ID."""
    created = datetime.datetime.fromtimestamp(server.created, datetime.UTC)
    there = server.state not in {"building", "error"}
    address = {"addr": "10.0.0.5", "version": 4, "OS-EXT-IPS:type": "fixed", "OS-EXT-IPS-MAC:mac_addr": server.mac}
    shown: Object = {
        "id": server.id,
        "name": server.name,
        "status": STATUS[server.state],
        "OS-EXT-STS:vm_state": server.state,
        "OS-EXT-STS:task_state": server.task,
        "OS-EXT-STS:power_state": int(server.state == "active"),
        "metadata": server.metadata,
        "image": {"id": server.image},
        "flavor": {"id": server.flavor},
        "addresses": {"private": [address]} if there else {},
        "created": f"{created:%Y-%m-%dT%H:%M:%SZ}",
        "updated": f"{created:%Y-%m-%dT%H:%M:%SZ}",
        "hostId": "h",
        "tenant_id": "p",
        "user_id": "u",
        "links": _links(server, request),
    }
    return shown | ({"fault": {"code": 500, "message": server.fault}} if server.state == "error" else {})


def _links(server: Server, request: web.Request) -> list[Object]:
    return [{"rel": "self", "href": f"http://{request.host}/compute/v2.1/servers/{server.id}"}]


def _error(status: int, message: str, name: str = "") -> web.Response:
    return web.json_response({name or NAMES.get(status, "computeFault"): {"code": status, "message": message}}, status=status)


@contextmanager
def simulated_openstack(*images: str) -> Iterator[int]:
    """Yield the port of a process that has these images, which ends with the context."""
    with running_simulation(__name__, *images) as port:
        yield port


async def main(images: list[str]) -> None:
    """Serve until the process is ended."""
    nova = Nova(seconds=0.5)
    nova.images.update(images)
    async with OpenStackCloud(nova).serving() as port:
        print(port, flush=True)
        await asyncio.Event().wait()


if __name__ == "__main__":
    asyncio.run(main(sys.argv[1:]))

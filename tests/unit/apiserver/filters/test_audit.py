"""Check which stages of which requests are recorded, over a real port with all filters."""

from __future__ import annotations

import asyncio
import json
from typing import TYPE_CHECKING, Any

from aiohttp import web

from apiserver.apis.status import conflict
from apiserver.audit.event import Record, encode
from apiserver.audit.policy import Policy
from apiserver.filters.audit import Auditor
from apiserver.handlers.request.body import read_value
from storage.base import Unavailable
from tests.unit.apiserver.server.harness import CLIENTS, PROXIES, Setup, serving

if TYPE_CHECKING:
    from apiserver.handlers.request.call import Call

THINGS = "/apis/g/v1/namespaces/n/things"
ALICE = CLIENTS.issue("alice", ["devs"])


class Kept:
    """Keep all records, and set `ended` at the end of a request."""

    def __init__(self) -> None:
        self.records, self.ended = list[Record](), asyncio.Event()

    def put(self, record: Record) -> None:
        self.records.append(record)
        if record.stage == "ResponseComplete":
            self.ended.set()

    def events(self) -> list[dict[str, Any]]:
        return [json.loads(encode(record)) for record in self.records]

    def stages(self) -> list[str]:
        return [record.stage for record in self.records]


def audited(handler: Any, level: str = "Metadata", **rule: Any) -> tuple[Setup, Kept]:
    policy = {"apiVersion": "audit.k8s.io/v1", "kind": "Policy", "rules": [{"level": level, **rule}]}
    kept = Kept()
    return Setup(handler=handler, auditor=Auditor(Policy.model_validate(policy), kept)), kept


async def created(call: Call) -> web.StreamResponse:
    await read_value(call, "application/json")
    call.annotations["note"], call.details["quote"] = "a", "b"
    return web.json_response({"kind": "Thing", "spec": {"secret": "canary-answer"}}, status=201)


async def test_a_request_and_its_end() -> None:
    setup, kept = audited(created)
    headers = {"Audit-ID": "from-the-client", "X-Forwarded-For": "192.0.2.7, nonsense", "User-Agent": "x" * 2000}
    async with serving(setup) as port:
        body = {"metadata": {"name": "t"}, "spec": {"secret": "canary-body"}}
        async with port.client(ALICE).post(f"{THINGS}?dryRun=All", json=body, headers=headers) as response:
            assert (response.status, response.headers["Audit-ID"]) == (201, "from-the-client")
    received, complete = kept.events()
    assert (received["stage"], complete["stage"]) == ("RequestReceived", "ResponseComplete")
    assert "responseStatus" not in received
    assert complete["auditID"] == "from-the-client"
    assert complete["requestURI"] == f"{THINGS}?dryRun=All"
    assert (complete["verb"], complete["objectRef"]["name"], complete["user"]["username"]) == ("create", "t", "alice")
    assert complete["responseStatus"]["code"] == 201
    assert complete["sourceIPs"] == ["192.0.2.7", "127.0.0.1"]
    assert complete["userAgent"] == "x" * 1024 + "...TRUNCATED"
    assert complete["annotations"] == {"authorization.k8s.io/decision": "allow", "authorization.k8s.io/reason": "", "note": "a"}
    assert "canary" not in json.dumps([received, complete]), "Metadata has nothing of the bodies"


async def test_levels() -> None:
    for level, quoted in (("Request", ["canary-body"]), ("RequestResponse", ["canary-body", "canary-answer"]), ("None", [])):
        setup, kept = audited(created, level)
        async with serving(setup) as port, port.client(ALICE).post(THINGS, json={"spec": "canary-body"}) as response:
            await response.read()
        text = json.dumps(kept.events())
        assert [word for word in ("canary-body", "canary-answer") if word in text] == quoted
        assert bool(kept.records) is (level != "None")
        if kept.records:
            assert kept.events()[-1]["annotations"]["quote"] == "b"


async def test_stages_that_are_omitted() -> None:
    setup, kept = audited(created, omitStages=["RequestReceived"])
    async with serving(setup) as port, port.client(ALICE).post(THINGS, json={}) as response:
        await response.read()
    assert kept.stages() == ["ResponseComplete"]


async def test_refusals_and_failures() -> None:
    async def fails(call: Call) -> web.StreamResponse:
        match call.info.name:
            case "conflict":
                raise conflict("g", "things", "conflict", "taken")
            case "storage":
                raise Unavailable("away")
            case _:
                raise ValueError("canary")

    setup, kept = audited(fails, omitStages=["RequestReceived"])
    setup.rules.forbidden.add(("alice", "delete"))
    async with serving(setup) as port:
        client = port.client(ALICE)
        for name in ("conflict", "storage", "defect"):
            async with client.get(f"{THINGS}/{name}") as response:
                await response.read()
        async with client.delete(f"{THINGS}/x") as response:
            assert response.status == 403
    taken, away, panic, forbidden = kept.events()
    assert [event["responseStatus"]["code"] for event in kept.events()] == [409, 503, 500, 403]
    assert (taken["responseStatus"]["reason"], taken["responseStatus"]["details"]["name"]) == ("Conflict", "conflict")
    assert (away["stage"], panic["stage"]) == ("ResponseComplete", "Panic")
    assert "canary" not in json.dumps(panic)
    assert forbidden["annotations"]["authorization.k8s.io/decision"] == "forbid"


async def test_unauthenticated_requests_are_recorded() -> None:
    setup, kept = audited(created)
    async with serving(setup) as port:
        async with port.client().get(THINGS, headers={"Authorization": "Bearer canary"}) as response:
            assert response.status == 401
        async with port.client().get(THINGS) as response:
            assert response.status == 401
    bearer, nothing = kept.events()
    assert (bearer["stage"], bearer["user"]) == ("ResponseStarted", {})
    assert bearer["responseStatus"] == {"metadata": {}, "message": "Authentication failed, attempted: bearer", "code": 401}
    assert nothing["responseStatus"]["message"] == "Authentication failed, no credentials provided"
    assert "canary" not in json.dumps(kept.events())


async def test_impersonated_users_are_recorded() -> None:
    setup, kept = audited(created)
    async with serving(setup) as port, port.client(ALICE).post(THINGS, headers={"Impersonate-User": "bob"}) as response:
        await response.read()
    received, complete = kept.events()
    assert "impersonatedUser" not in received
    assert (complete["user"]["username"], complete["impersonatedUser"]["username"]) == ("alice", "bob")


async def test_the_front_proxys_user_is_the_user() -> None:
    setup, kept = audited(created)
    async with serving(setup) as port:
        proxy = port.client(PROXIES.issue("front-proxy-client"))
        async with proxy.post(THINGS, headers={"X-Remote-User": "carol"}) as response:
            await response.read()
    assert kept.events()[-1]["user"]["username"] == "carol"


async def test_a_watch_begins_and_ends() -> None:
    going_on = asyncio.Event()

    async def watch(call: Call) -> web.StreamResponse:
        response = web.StreamResponse()
        await response.prepare(call.http)
        await response.write(b"{}\n")
        await going_on.wait()
        await response.write_eof()
        return response

    setup, kept = audited(watch, "RequestResponse")
    async with serving(setup) as port, port.client(ALICE).get(f"{THINGS}?watch=true") as response:
        await response.content.readline()
        assert kept.stages() == ["RequestReceived", "ResponseStarted"]
        going_on.set()
        await response.read()
    assert kept.stages() == ["RequestReceived", "ResponseStarted", "ResponseComplete"]
    assert "responseObject" not in kept.events()[-1]


async def test_a_watch_that_is_refused_begins_and_ends_once() -> None:
    setup, kept = audited(created)
    setup.rules.forbidden.add(("alice", "watch"))
    async with serving(setup) as port, port.client(ALICE).get(f"{THINGS}?watch=true") as response:
        assert response.status == 403
        await response.read()
    assert kept.stages() == ["RequestReceived", "ResponseStarted", "ResponseComplete"]
    assert [event["responseStatus"]["code"] for event in kept.events()[1:]] == [403, 403]


async def test_disconnected_clients_and_timed_out_requests_are_recorded() -> None:
    began = asyncio.Event()

    async def stuck(call: Call) -> web.StreamResponse:
        began.set()
        await asyncio.Event().wait()
        raise AssertionError

    setup, kept = audited(stuck, omitStages=["RequestReceived"])
    setup.request_seconds = 0.2
    async with serving(setup) as port, port.client(ALICE).get(THINGS) as response:
        assert response.status == 504
    assert kept.events()[-1]["responseStatus"]["code"] == 504
    setup.request_seconds = 30
    async with serving(setup) as port:
        began.clear()
        kept.ended.clear()
        client = asyncio.ensure_future(port.client(ALICE).get(THINGS))
        await asyncio.wait_for(began.wait(), 60)
        client.cancel()
        await asyncio.wait_for(kept.ended.wait(), 60)
    assert kept.events()[-1]["responseStatus"] == {"metadata": {}, "status": "Failure", "message": "Connection closed early", "code": 499}

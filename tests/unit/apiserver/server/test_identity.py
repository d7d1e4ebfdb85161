"""Check as which user a request is authenticated, over real TLS: every attempt to appear as another
user fails."""

from __future__ import annotations

import asyncio
from datetime import timedelta

import aiohttp
import pytest
from multidict import CIMultiDict

from apiserver.apis.status import service_unavailable
from apiserver.authentication.requestheader import FrontProxy
from tests.unit.apiserver.authorities import HOUR, SERVER, Authority, Issued
from tests.unit.apiserver.server.harness import CLIENTS, FOREIGN, PROXIES, Setup, serving

CLAIM = {"X-Remote-User": "admin", "X-Remote-Group": "system:masters", "X-Remote-Extra-Scopes": "all"}
PROXY = PROXIES.issue("front-proxy-client")
ALICE = CLIENTS.issue("alice", ["devs", "ops"])


async def test_the_front_proxys_headers_name_the_user() -> None:
    headers = CIMultiDict(
        [
            ("x-remote-user", "bob@example.org"),
            ("X-Remote-Uid", "42"),
            ("X-Remote-Group", "a"),
            ("X-Remote-Group", "b"),
            ("X-Remote-Extra-Example.org%2fRole", "reader"),
            ("X-Remote-Extra-Example.org%2fRole", "writer"),
        ]
    )
    async with serving(Setup()) as port:
        assert await port.identity(PROXY, headers) == (
            200,
            {
                "name": "bob@example.org",
                "uid": "42",
                "groups": ["a", "b", "system:authenticated"],
                "extra": {"example.org/role": ["reader", "writer"]},
            },
        )


async def test_a_user_may_be_in_hundreds_of_groups() -> None:
    headers = CIMultiDict([("X-Remote-User", "bob"), *(("X-Remote-Group", f"group-{number}") for number in range(800))])
    async with serving(Setup()) as port:
        status, body = await port.identity(PROXY, headers)
    assert (status, len(body["groups"])) == (200, 801)


async def test_the_front_proxy_passes_anonymous_on_as_anonymous() -> None:
    async with serving(Setup()) as port:
        status, body = await port.identity(PROXY, {"X-Remote-User": "system:anonymous", "X-Remote-Group": "system:unauthenticated"})
    assert (status, body["groups"]) == (200, ["system:unauthenticated"])


async def test_a_client_certificate_decides_the_user_despite_identity_headers() -> None:
    async with serving(Setup()) as port:
        for headers in (None, CLAIM):
            status, body = await port.identity(ALICE, headers)
            assert (status, body["name"], body["groups"]) == (200, "alice", ["devs", "ops", "system:authenticated"])
            assert body["extra"] == {}


@pytest.mark.parametrize(
    "certificate",
    [
        None,
        PROXIES.issue("somebody-else"),
        PROXIES.issue(["front-proxy-client", "somebody-else"]),
        PROXIES.issue(["somebody-else", "front-proxy-client"]),
    ],
    ids=["no-certificate", "name-not-allowed", "allowed-name-first", "allowed-name-last"],
)
async def test_headers_of_anybody_else_are_refused(certificate: Issued | None) -> None:
    async with serving(Setup()) as port:
        status, body = await port.identity(certificate, CLAIM)
    assert (status, body["reason"]) == (401, "Unauthorized")


async def test_the_clients_authority_cannot_make_a_front_proxy() -> None:
    async with serving(Setup()) as port:
        status, body = await port.identity(CLIENTS.issue("front-proxy-client"), CLAIM)
    assert (status, body["name"], body["groups"]) == (200, "front-proxy-client", ["system:authenticated"])


async def test_the_proxies_authority_cannot_make_users() -> None:
    async with serving(Setup()) as port:
        status, body = await port.identity(PROXIES.issue("front-proxy-client", ["system:masters"]))
    assert (status, body["reason"]) == (401, "Unauthorized")


@pytest.mark.parametrize(
    "certificate",
    [
        PROXIES.issue("front-proxy-client", start=-2 * HOUR, end=-timedelta(seconds=2)),
        PROXIES.issue("front-proxy-client", start=HOUR / 2),
        PROXIES.issue("front-proxy-client", usages=SERVER),
        FOREIGN.issue("front-proxy-client"),
        Authority("front proxies").issue("front-proxy-client"),
    ],
    ids=["expired", "not-yet-valid", "server-only", "foreign", "authority-of-the-same-name"],
)
async def test_bad_certificates_do_not_get_through_the_handshake(certificate: Issued) -> None:
    async with serving(Setup()) as port:
        with pytest.raises((aiohttp.ClientError, ConnectionError)):
            await port.identity(certificate, CLAIM)


async def test_a_certificate_that_expires_while_connected_is_refused() -> None:
    setup = Setup()
    async with serving(setup) as port:
        client = port.client(PROXY)
        async with client.get("/version", headers=CLAIM) as response:
            assert response.status == 200
        setup.front_proxy._verifier._clock = lambda: PROXY.certificate.not_valid_after_utc.timestamp() + 1
        async with client.get("/version", headers=CLAIM) as response:
            assert response.status == 401


async def test_intermediates_sent_by_the_client_lead_to_the_authority() -> None:
    certificate = Authority("between", PROXIES).issue("front-proxy-client")
    async with serving(Setup()) as port:
        assert (await port.identity(certificate, CLAIM))[1]["name"] == "admin"


async def test_another_front_proxy_is_believed_from_the_next_request_on_and_the_old_one_no_more() -> None:
    setup = Setup()
    async with serving(setup) as port:
        client = port.client(PROXY)
        async with client.get("/version", headers=CLAIM) as response:
            assert response.status == 200
        setup.tls.accept([FOREIGN.certificate, CLIENTS.certificate])
        setup.front_proxy.replace(FrontProxy((FOREIGN.certificate,), ("front-proxy-client",)))
        async with client.get("/version", headers=CLAIM) as response:
            assert response.status == 401
        assert (await port.identity(FOREIGN.issue("front-proxy-client"), CLAIM))[0] == 200
        with pytest.raises((aiohttp.ClientError, ConnectionError)):
            await port.identity(PROXIES.issue("front-proxy-client"), CLAIM)


async def test_without_allowed_names_every_certificate_of_the_authority_is_a_front_proxy() -> None:
    async with serving(Setup(allowed_names=())) as port:
        assert (await port.identity(PROXIES.issue("whatever"), CLAIM))[1]["name"] == "admin"


@pytest.mark.parametrize("header", ["Bearer good", "bearer good", "Bearer good "])
async def test_a_token_that_the_review_accepts(header: str) -> None:
    async with serving(Setup()) as port:
        status, body = await port.identity(headers={"Authorization": header, **CLAIM})
    assert (status, body["name"], body["groups"]) == (200, "token-user", ["readers", "system:authenticated"])


@pytest.mark.parametrize("header", ["Bearer bad", "Basic Z29vZDpnb29k", "Bearer", "good", "Bearer g\u00f6\u00f6d"])
async def test_a_token_that_is_none(header: str) -> None:
    async with serving(Setup()) as port:
        for path in ("/version", "/apis/g/v1/things"):
            status, body = await port.identity(headers={"Authorization": header}, path=path)
            assert (status, body["reason"]) == (401, "Unauthorized")


async def test_tokens_are_reviewed_once_a_while_also_by_a_crowd() -> None:
    setup = Setup()
    async with serving(setup) as port:
        headers = {"Authorization": "Bearer good"}
        crowd = await asyncio.gather(*(port.identity(headers=headers) for _ in range(5)))
    assert {status for status, _ in crowd} == {200}
    assert setup.tokens.asked == 1


async def test_no_answer_about_a_token_is_a_503() -> None:
    setup = Setup()
    setup.tokens.failure = service_unavailable("tokens cannot be checked")
    async with serving(setup) as port:
        status, body = await port.identity(headers={"Authorization": "Bearer good"})
    assert (status, body["reason"], body["details"]) == (503, "ServiceUnavailable", {"retryAfterSeconds": 1})


async def test_anonymous_gets_health_and_nothing_else() -> None:
    setup = Setup()
    async with serving(setup) as port:
        for path in ("/healthz", "/livez", "/readyz", "/readyz/ping"):
            assert (await port.identity(path=path))[1]["name"] == "system:anonymous"
        for path in ("/", "/version", "/apis", "/metrics", "/healthzz", "/openapi/v3", "/apis/g/v1/things"):
            assert (await port.identity(path=path))[0] == 401
        # Bad credentials do not make a request anonymous.
        assert (await port.identity(headers={"Authorization": "Bearer bad"}, path="/healthz"))[0] == 401
    assert setup.rules.asked == []


async def test_impersonation() -> None:
    setup = Setup()
    async with serving(setup) as port:
        headers = {"Impersonate-User": "bob", "Impersonate-Group": "devs", "Impersonate-Extra-Example.org%2fx": "1", "X-Remote-User": "eve"}
        status, body = await port.identity(ALICE, headers)
        assert (status, body) == (
            200,
            {"name": "bob", "uid": "", "groups": ["devs", "system:authenticated"], "extra": {"example.org/x": ["1"]}},
        )
        assert [(user, verb) for user, verb, _ in setup.rules.asked] == [("alice", "impersonate")] * 3 + [("bob", "get")]
        setup.rules.forbidden = {("alice", "impersonate")}
        status, body = await port.identity(ALICE, headers)
        assert (status, body["message"]) == (
            403,
            'users "bob" is forbidden: User "alice" cannot impersonate resource "users" in API group "" at the cluster scope',
        )
        # An anonymous client cannot impersonate anybody, and an incomplete impersonation is
        # refused.
        assert (await port.identity(None, headers))[0] == 401
        assert (await port.identity(None, headers, path="/healthz"))[0] == 200
        for header in ("Impersonate-Group", "Impersonate-Uid", "Impersonate-Extra-x"):
            assert (await port.identity(ALICE, {header: "system:masters"}))[0] == 400


async def test_forbidden_is_worded_as_kube_apiservers() -> None:
    setup = Setup()
    setup.rules.forbidden = {("alice", verb) for verb in ("list", "get", "delete")}
    async with serving(setup) as port:
        _, body = await port.identity(ALICE, path="/apis/workload.metal3.io/v1alpha1/namespaces/y/workloads")
        assert body == {
            "kind": "Status",
            "apiVersion": "v1",
            "metadata": {},
            "status": "Failure",
            "message": 'workloads.workload.metal3.io is forbidden: User "alice" cannot list resource "workloads" in API group '
            '"workload.metal3.io" in the namespace "y"',
            "reason": "Forbidden",
            "details": {"group": "workload.metal3.io", "kind": "workloads"},
            "code": 403,
        }
        _, body = await port.identity(ALICE, path="/apis/g/v1/things/t/status")
        assert (
            body["message"]
            == 'things.g "t" is forbidden: User "alice" cannot get resource "things/status" in API group "g" at the cluster scope'
        )
        _, body = await port.identity(ALICE, path="/apis")
        assert body["message"] == 'forbidden: User "alice" cannot get path "/apis"'

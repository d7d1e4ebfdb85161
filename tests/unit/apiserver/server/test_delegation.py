"""Check which requests the management cluster gets, how its answers are read, and what happens
without an answer."""

from __future__ import annotations

import asyncio
import json
from typing import TYPE_CHECKING, Any

import pytest
from cryptography.hazmat.primitives.serialization import Encoding

from apiserver.apis.status import ApiError
from apiserver.client.client import Client
from apiserver.client.errors import ApiException
from apiserver.filters.authorization import Decision
from apiserver.handlers.request.call import parse
from apiserver.registry.generic.context import UserInfo
from apiserver.server.delegation import accessreview, extensionauth
from apiserver.server.delegation.accessreview import AccessReviews
from apiserver.server.delegation.namespaces import ManagementNamespaces
from apiserver.server.delegation.tokenreview import TokenReviews, user_from
from apiserver.server.delegation.trust import Trust
from apiserver.server.tls import ServerTls
from tests.unit.apiserver.server.harness import CLIENTS, FOREIGN, PROXIES, SERVER

if TYPE_CHECKING:
    from collections.abc import Mapping

BOB = UserInfo("bob", "7", ("devs",), {"scopes": ("a", "b")})
INFO = parse("PUT", "/apis/g/v1/namespaces/n/things/t/status", {})


class Cluster(Client):
    """Answer requests from a list, the last one again and again, and keep the requests."""

    def __init__(self, *answers: dict[str, Any] | ApiException) -> None:
        super().__init__(None)
        self.answers, self.asked = list(answers), list[tuple[str, str, Any]]()

    async def request(
        self,
        method: str,
        path: str,
        *,
        query: Mapping[str, str] | None = None,
        body: Any = None,
        content_type: str = "application/json",
        timeout: float | None = None,
    ) -> dict[str, Any]:
        self.asked.append((method, path, body))
        answer = self.answers.pop(0) if len(self.answers) > 1 else self.answers[0]
        if isinstance(answer, ApiException):
            raise answer
        return answer


async def test_everything_about_a_request_is_asked() -> None:
    cluster = Cluster({"status": {"allowed": True}})
    assert (await AccessReviews(cluster).authorize(BOB, INFO)).allowed
    assert cluster.asked == [
        (
            "POST",
            "/apis/authorization.k8s.io/v1/subjectaccessreviews",
            {
                "apiVersion": "authorization.k8s.io/v1",
                "kind": "SubjectAccessReview",
                "spec": {
                    "user": "bob",
                    "uid": "7",
                    "groups": ["devs"],
                    "extra": {"scopes": ["a", "b"]},
                    "resourceAttributes": {
                        "namespace": "n",
                        "verb": "update",
                        "group": "g",
                        "version": "v1",
                        "resource": "things",
                        "subresource": "status",
                        "name": "t",
                    },
                },
            },
        )
    ]
    assert accessreview.spec(UserInfo("x"), parse("GET", "/metrics", {})) == {
        "user": "x",
        "nonResourceAttributes": {"path": "/metrics", "verb": "get"},
    }


async def test_decisions_are_kept_apart_by_all_that_they_depend_on() -> None:
    cluster = Cluster({"status": {"allowed": True}})
    reviews = AccessReviews(cluster)
    users = [
        BOB,
        UserInfo("bob", "8", ("devs",), BOB.extra),
        UserInfo("bob", "7", (), BOB.extra),
        UserInfo("bob", "7", ("devs",)),
        UserInfo("eve"),
    ]
    requests = [
        ("PUT", "/apis/g/v1/namespaces/n/things/t/status"),
        ("PUT", "/apis/g/v1/namespaces/n/things/t"),
        ("PUT", "/apis/g/v1/namespaces/m/things/t/status"),
        ("PUT", "/apis/g/v1/namespaces/n/things/u/status"),
        ("PUT", "/apis/g/v2/namespaces/n/things/t/status"),
        ("PUT", "/apis/h/v1/namespaces/n/things/t/status"),
        ("PATCH", "/apis/g/v1/namespaces/n/things/t/status"),
        ("GET", "/version"),
        ("HEAD", "/version"),
        ("GET", "/metrics"),
    ]
    for _ in range(2):
        for user in users:
            for method, path in requests:
                await reviews.authorize(user, parse(method, path, {}))
    assert len(cluster.asked) == len(users) * len(requests)


@pytest.mark.parametrize(
    ("status", "expected"),
    [
        ({"allowed": True, "reason": "RBAC"}, Decision(True, "RBAC")),
        ({"allowed": False, "reason": "no"}, Decision(False, "no")),
        ({"allowed": True, "denied": True}, Decision(False, "", True)),
        ({"allowed": "true"}, Decision(False)),
        ({"evaluationError": "x"}, Decision(False)),
        ({}, Decision(False)),
    ],
)
def test_only_a_plain_yes_allows(status: dict[str, Any], expected: Decision) -> None:
    assert accessreview.decision(status) == expected


@pytest.mark.parametrize(
    ("codes", "asked"), [([0, 500, None], 3), ([503, 503, 503, None], 3), ([403, None], 1), ([404, None], 1), ([429, None], 2)]
)
async def test_trouble_is_tried_again_and_then_a_503(codes: list[int | None], asked: int) -> None:
    cluster = Cluster(*({"status": {"allowed": True}} if code is None else ApiException(code, "", "canary") for code in codes))
    reviews = AccessReviews(cluster, first_pause=0.0)
    if asked == len(codes):
        assert (await reviews.authorize(BOB, INFO)).allowed
    else:
        with pytest.raises(ApiError) as caught:
            await reviews.authorize(BOB, INFO)
        assert (caught.value.code, "canary" in caught.value.message) == (503, False)
    assert len(cluster.asked) == asked


async def test_a_cluster_that_never_answers_is_a_503() -> None:
    class Silent(Cluster):
        async def request(self, method: str, path: str, **_: Any) -> dict[str, Any]:
            await asyncio.Event().wait()
            return {}

    with pytest.raises(ApiError) as caught:
        await AccessReviews(Silent({}), seconds=0.05).authorize(BOB, INFO)
    assert caught.value.code == 503


async def test_tokens_are_reviewed() -> None:
    cluster = Cluster({"status": {"authenticated": True, "user": {"username": "sa", "uid": "1", "groups": ["g"], "extra": {"k": ["v"]}}}})
    assert await TokenReviews(cluster).review("secret") == UserInfo("sa", "1", ("g",), {"k": ("v",)})
    assert cluster.asked[0][2]["spec"] == {"token": "secret"}
    assert await TokenReviews(cluster).review("x" * 100_000) is None
    assert len(cluster.asked) == 1
    with pytest.raises(ApiError) as caught:
        await TokenReviews(Cluster(ApiException(0, "", "refused")), first_pause=0.0).review("secret")
    assert caught.value.code == 503


@pytest.mark.parametrize(
    "status",
    [
        {},
        {"authenticated": False, "user": {"username": "x"}},
        {"authenticated": "true", "user": {"username": "x"}},
        {"authenticated": True, "user": {}},
        {"authenticated": True, "error": "odd", "user": {"username": "x"}},
    ],
)
def test_only_an_authenticated_name_is_a_user(status: dict[str, Any]) -> None:
    assert user_from(status) is None


async def test_namespaces_come_from_the_copy_unless_it_lacks_them_or_the_truth_is_wanted() -> None:
    copy, source = {"metadata": {"name": "copy"}}, {"metadata": {"name": "source"}}
    cluster = Cluster(source)
    namespaces = ManagementNamespaces(cluster, {"known": copy}.get)
    assert await namespaces.get("known") == copy
    assert cluster.asked == []
    assert await namespaces.get("known", live=True) == source
    assert await namespaces.get("new") == source
    assert [path for _, path, _ in cluster.asked] == ["/api/v1/namespaces/known", "/api/v1/namespaces/new"]
    assert await ManagementNamespaces(Cluster(ApiException(404, "", "")), lambda _: None).get("x") is None
    with pytest.raises(ApiError) as caught:
        await ManagementNamespaces(Cluster(ApiException(0, "", "")), lambda _: None).get("x")
    assert caught.value.code == 503


def config_map(**data: Any) -> dict[str, Any]:
    return {"data": {key.replace("_", "-"): value if isinstance(value, str) else json.dumps(value) for key, value in data.items()}}


def pem(*authorities: Any) -> str:
    return "".join(one.certificate.public_bytes(Encoding.PEM).decode() for one in authorities)


def test_the_config_map_is_read() -> None:
    found = extensionauth.parse(
        config_map(
            requestheader_client_ca_file=pem(PROXIES),
            requestheader_allowed_names=["a", ""],
            requestheader_username_headers=["X-U"],
            requestheader_uid_headers=["X-Uid"],
            requestheader_group_headers=["X-G"],
            requestheader_extra_headers_prefix=["X-E-"],
            client_ca_file=pem(CLIENTS, FOREIGN),
        )
    )
    assert (found.proxy.allowed_names, found.proxy.username_headers, found.proxy.uid_headers) == (("a",), ("X-U",), ("X-Uid",))
    assert (found.proxy.group_headers, found.proxy.extra_prefixes) == (("X-G",), ("X-E-",))
    assert (found.proxy.bundle, found.client_bundle) == ((PROXIES.certificate,), (CLIENTS.certificate, FOREIGN.certificate))
    assert extensionauth.parse({}).proxy.bundle == ()


@pytest.mark.parametrize("data", [{"client_ca_file": "x"}, {"requestheader_allowed_names": "a"}, {"requestheader_group_headers": {"a": 1}}])
def test_a_config_map_that_cannot_be_used(data: dict[str, Any]) -> None:
    with pytest.raises(extensionauth.BadExtensionAuthentication, match="is not a"):
        extensionauth.parse(config_map(**data))


def test_trust_keeps_its_authorities_when_the_new_ones_are_malformed() -> None:
    trust, tls = Trust(), ServerTls(SERVER.pem, SERVER.key_pem)
    trust.attach(tls)
    assert not trust.known
    assert not trust.authorities
    trust.config_map(config_map(client_ca_file="nonsense"))
    assert not trust.known
    good = config_map(requestheader_client_ca_file=pem(PROXIES), requestheader_allowed_names=["p"], client_ca_file=pem(CLIENTS))
    trust.config_map(good)
    assert trust.known
    for nonsense in (None, config_map(client_ca_file="nonsense")):
        trust.config_map(nonsense)
        assert trust.authorities == {PROXIES.certificate, CLIENTS.certificate}
    trust.file([FOREIGN.certificate])
    assert trust.clients.bundle == {CLIENTS.certificate, FOREIGN.certificate}
    assert tls._authorities == trust.authorities
    trust.config_map(config_map(client_ca_file=pem(CLIENTS)))
    assert trust.authorities == {CLIENTS.certificate, FOREIGN.certificate}


@pytest.mark.parametrize(("names", "believed"), [([], False), (["front-proxy-client"], True)])
def test_a_shared_authority_makes_front_proxies_only_by_name(names: list[str], believed: bool) -> None:
    trust = Trust()
    trust.config_map(config_map(requestheader_client_ca_file=pem(CLIENTS), requestheader_allowed_names=names, client_ca_file=pem(CLIENTS)))
    assert bool(trust.front_proxies.proxy.bundle) is believed


async def test_one_users_reviews_under_way_are_bounded() -> None:
    full = asyncio.Event()

    class Slow(Cluster):
        async def request(self, *arguments: Any, **named: Any) -> dict[str, Any]:
            self.asked.append(arguments)
            if len(self.asked) > accessreview.REVIEWS_OF_ONE:
                full.set()
            await asyncio.Event().wait()
            raise AssertionError

    cluster = Slow({})
    reviews = AccessReviews(cluster)
    many = [parse("GET", f"/apis/g/v1/namespaces/n/things/t{number}", {}) for number in range(accessreview.REVIEWS_OF_ONE + 5)]
    asked = [asyncio.create_task(reviews.authorize(BOB, info)) for info in many]
    refused = [await one for one in asyncio.as_completed([asyncio.create_task(_code(task)) for task in asked[-5:]])]
    assert refused == [429] * 5
    other = asyncio.create_task(reviews.authorize(UserInfo("alice"), INFO))
    async with asyncio.timeout(60):
        await full.wait()
    await reviews.close()
    await asyncio.gather(*asked, other, return_exceptions=True)


async def _code(task: asyncio.Task[Any]) -> int:
    try:
        await task
    except ApiError as error:
        return error.code
    return 0

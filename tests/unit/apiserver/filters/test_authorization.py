"""Check which authorizer decides, and what refused users read."""

from __future__ import annotations

import pytest

from apiserver.apis.status import ApiError, service_unavailable
from apiserver.filters.authorization import Authorizer, Decision, PrivilegedGroup, UnionAuthorizer, refusal
from apiserver.handlers.request.call import RequestInfo, parse
from apiserver.registry.generic.context import UserInfo

BOB = UserInfo("bob")
INFO = parse("GET", "/apis/g/v1/namespaces/n/things/t", {})


class Says:
    """An authorizer that always gives the same answer."""

    def __init__(self, answer: Decision | ApiError) -> None:
        self._answer = answer

    async def authorize(self, user: UserInfo, info: RequestInfo) -> Decision:
        if isinstance(self._answer, ApiError):
            raise self._answer
        return self._answer


YES, NO, NEVER, UNKNOWN = (
    Says(Decision(True)),
    Says(Decision(False, "no")),
    Says(Decision(False, "never", True)),
    Says(service_unavailable("?")),
)


@pytest.mark.parametrize(
    ("authorizers", "allowed", "reason"),
    [
        ([], False, ""),
        ([NO, YES], True, ""),
        ([NEVER, YES], False, "never"),
        ([YES, NEVER], True, ""),
        ([NO, NO], False, "no, no"),
        ([UNKNOWN, YES], True, ""),
        ([UNKNOWN, NEVER], False, "never"),
    ],
)
async def test_the_first_that_knows_decides(authorizers: list[Authorizer], allowed: bool, reason: str) -> None:
    decision = await UnionAuthorizer(authorizers).authorize(BOB, INFO)
    assert (decision.allowed, decision.reason) == (allowed, reason)


async def test_not_knowing_is_not_allowing() -> None:
    with pytest.raises(ApiError) as caught:
        await UnionAuthorizer([UNKNOWN, NO]).authorize(BOB, INFO)
    assert caught.value.code == 503


async def test_system_masters_are_allowed_everything() -> None:
    for groups, allowed in (("system:masters",), True), (("system:masters-of-none", "masters"), False):
        assert (await PrivilegedGroup().authorize(UserInfo("x", groups=groups), INFO)).allowed is allowed


@pytest.mark.parametrize(
    ("path", "method", "reason", "message"),
    [
        (
            "/apis/g/v1/namespaces/n/things/t",
            "PATCH",
            "",
            'things.g "t" is forbidden: User "bob" cannot patch resource "things" in API group "g" in the namespace "n"',
        ),
        (
            "/apis/g/v1/namespaces/n/things/t/status",
            "PUT",
            "RBAC: x",
            'things.g "t" is forbidden: User "bob" cannot update resource "things/status" in API group "g" in the namespace "n": RBAC: x',
        ),
        (
            "/apis/g/v1/things",
            "DELETE",
            "",
            'things.g is forbidden: User "bob" cannot deletecollection resource "things" in API group "g" at the cluster scope',
        ),
        ("/api/v1/nodes", "GET", "", 'nodes is forbidden: User "bob" cannot list resource "nodes" in API group "" at the cluster scope'),
        ("/openapi/v2", "GET", "", 'forbidden: User "bob" cannot get path "/openapi/v2"'),
    ],
)
def test_refusals_are_kube_apiservers(path: str, method: str, reason: str, message: str) -> None:
    assert refusal(BOB, parse(method, path, {}), reason).message == message

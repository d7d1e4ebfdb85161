"""Check which user Impersonate-* headers name, and which rights the impersonation needs."""

from __future__ import annotations

import pytest
from multidict import CIMultiDict, CIMultiDictProxy

from apiserver.apis.status import ApiError
from apiserver.filters.impersonation import _completed, questions, wanted
from apiserver.registry.generic.context import UserInfo


def asked(user: UserInfo) -> list[tuple[str, str, str, str, str]]:
    assert {(one.verb, one.is_resource, one.version) for one in questions(user)} == {("impersonate", True, "v1")}
    return [(one.group, one.resource, one.subresource, one.namespace, one.name) for one in questions(user)]


def test_each_part_of_an_identity_is_a_question() -> None:
    headers = CIMultiDict([("impersonate-user", "bob"), ("Impersonate-Uid", "7"), ("Impersonate-Group", "a"), ("Impersonate-Group", "b")])
    headers.extend([("Impersonate-Extra-K%2fx", "1"), ("Impersonate-Extra-k%2Fx", "2")])
    user = wanted(CIMultiDictProxy(headers))
    assert user == UserInfo("bob", "7", ("a", "b"), {"k/x": ("1", "2")})
    assert asked(user) == [
        ("", "users", "", "", "bob"),
        ("", "groups", "", "", "a"),
        ("", "groups", "", "", "b"),
        ("authentication.k8s.io", "uids", "", "", "7"),
        ("authentication.k8s.io", "userextras", "k/x", "", "1"),
        ("authentication.k8s.io", "userextras", "k/x", "", "2"),
    ]


@pytest.mark.parametrize(
    "name", ["system:serviceaccount:", "system:serviceaccount:n", "system:serviceaccount:n:", "system:serviceaccount:n:a:b"]
)
def test_what_only_looks_like_a_service_account_is_a_user(name: str) -> None:
    assert asked(UserInfo(name)) == [("", "users", "", "", name)]


def test_service_accounts_bring_their_groups() -> None:
    user = UserInfo("system:serviceaccount:n:a")
    assert asked(user) == [("", "serviceaccounts", "", "n", "a")]
    assert _completed(user).groups == ("system:serviceaccounts", "system:serviceaccounts:n", "system:authenticated")
    assert _completed(UserInfo(user.name, groups=("g",))).groups == ("g", "system:authenticated")


def test_anonymous_stays_unauthenticated() -> None:
    assert _completed(UserInfo("system:anonymous")).groups == ("system:unauthenticated",)
    assert _completed(UserInfo("x", groups=("system:unauthenticated",))).groups == ("system:unauthenticated",)


def test_no_headers_no_wish() -> None:
    assert wanted(CIMultiDictProxy(CIMultiDict({"Impersonate": "x", "X-Impersonate-User": "y"}))) is None


def test_impersonation_headers_that_are_not_text_are_refused() -> None:
    for headers in ({"Impersonate-User": "\udcff"}, {"Impersonate-User": "x", "Impersonate-Extra-%ff": "1"}):
        with pytest.raises(ApiError) as caught:
            wanted(CIMultiDictProxy(CIMultiDict(headers)))
        assert caught.value.code == 400

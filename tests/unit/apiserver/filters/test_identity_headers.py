"""Cover identity and bearer: pure readers of what clients write."""

from __future__ import annotations

from urllib.parse import unquote

import pytest
from hypothesis import given
from hypothesis import strategies as st
from multidict import CIMultiDict, CIMultiDictProxy

from apiserver.apis.status import ApiError
from apiserver.authentication.requestheader import FrontProxy, identity
from apiserver.authentication.token import bearer
from apiserver.filters.paths import is_health
from apiserver.registry.generic.context import UserInfo

NAMES = st.sampled_from(
    ["X-Remote-User", "x-remote-user", "X-Remote-Group", "X-Remote-Extra-a", "X-Remote-Extra-%zz", "X-Remote-Extra-", "Other"]
)


def read(*headers: tuple[str, str], proxy: FrontProxy | None = None) -> UserInfo | None:
    return identity(CIMultiDictProxy(CIMultiDict(headers)), proxy or FrontProxy())


@given(st.lists(st.tuples(NAMES, st.text(max_size=8))))
def test_unusual_identity_headers_name_exactly_their_user_or_are_refused(headers: list[tuple[str, str]]) -> None:
    try:
        user = read(*headers)
    except ApiError:
        assert any("\udc80" <= char <= "\udcff" for header in headers for char in unquote("".join(header), errors="surrogateescape"))
        return
    named = [value for name, value in headers if name.lower() == "x-remote-user" and value]
    assert (user.name if user else None) == (named[0] if named else None)


def test_configured_headers_are_read_in_order() -> None:
    proxy = FrontProxy(username_headers=("X-A", "X-B"), group_headers=("X-G", "X-H"), uid_headers=("X-U",), extra_prefixes=("X-E-", "X-F-"))
    user = read(
        ("X-Remote-User", "no"), ("X-B", "b"), ("X-H", "h"), ("X-G", "g"), ("X-U", "u"), ("X-F-k", "1"), ("x-e-K", "2"), proxy=proxy
    )
    assert user == UserInfo("b", "u", ("g", "h"), {"k": ("1", "2")})


def test_bytes_that_are_no_text_are_refused() -> None:
    with pytest.raises(ApiError):
        read(("X-Remote-User", "a"), ("X-Remote-Group", "\udcff"))
    with pytest.raises(ApiError):
        read(("X-Remote-User", "a"), ("X-Remote-Extra-%ff", "x"))


@pytest.mark.parametrize(
    ("header", "token"),
    [
        ("", ""),
        ("Bearer abc", "abc"),
        ("BEARER abc def", "abc"),
        (" Bearer abc", "abc"),
        ("Bearer", ""),
        ("Bearer  abc", ""),
        ("Basic abc", ""),
    ],
)
def test_bearer(header: str, token: str) -> None:
    assert bearer(header) == token


def test_health_paths() -> None:
    assert [is_health(path) for path in ("/healthz", "/livez/", "/readyz/a/b")] == [True] * 3
    assert [is_health(path) for path in ("/", "/healthz2", "/api/healthz", "healthz", "/x/readyz")] == [False] * 5

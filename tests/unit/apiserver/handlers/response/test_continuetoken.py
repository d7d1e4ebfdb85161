"""Cover continue tokens."""

from __future__ import annotations

import base64

import pytest
from hypothesis import given
from hypothesis import strategies as st

from apiserver.apis.status import ApiError
from apiserver.handlers.response.continuetoken import Token


@given(st.integers(1, 2**62) | st.just(-1), st.text(min_size=1, max_size=20), st.integers(-1, 10**6))
def test_tokens_come_back(revision: int, start: str, remaining: int) -> None:
    token = Token(revision, start, remaining)
    assert Token.decode(token.encode()) == token


@given(st.text(max_size=30) | st.binary(max_size=30).map(lambda raw: base64.urlsafe_b64encode(raw).decode()))
def test_anything_else_is_a_bad_request(text: str) -> None:
    with pytest.raises(ApiError) as refused:
        Token.decode(text)
    assert refused.value.code == 400


@pytest.mark.parametrize(
    "value",
    [
        b"[]",
        b"{}",
        b'{"v":"meta.k8s.io/v1","rv":0,"start":"a"}',
        b'{"v":"meta.k8s.io/v1","rv":1,"start":""}',
        b'{"v":"meta.k8s.io/v1","rv":true,"start":"a"}',
        b'{"v":"x","rv":1,"start":"a"}',
    ],
)
def test_tokens_of_others_are_refused(value: bytes) -> None:
    with pytest.raises(ApiError):
        Token.decode(base64.urlsafe_b64encode(value).decode())

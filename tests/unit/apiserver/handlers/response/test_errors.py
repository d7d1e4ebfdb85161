"""Check storage errors as clients see them, and responses to clients that accept none of our
formats."""

from __future__ import annotations

import orjson
import pytest
from aiohttp.test_utils import make_mocked_request

from apiserver.apis.status import too_many_requests
from apiserver.handlers.request.call import Call
from apiserver.handlers.response.errors import from_storage, render
from storage.base import Compacted, Conflict, Corrupt, Full, FutureRevision, StorageError, TooLarge, Unavailable


@pytest.mark.parametrize(
    ("error", "code", "reason"),
    [
        (Conflict("/registry/g/ws/ns/a", 3, 4), 409, "Conflict"),
        (Compacted(3, 7), 410, "Expired"),
        (FutureRevision(9, 7), 504, "Timeout"),
        (TooLarge("/registry/g/ws/ns/a"), 413, "RequestEntityTooLarge"),
        (Full("/dev/sda1 is full: /registry has no room"), 503, "ServiceUnavailable"),
        (Unavailable("disk /dev/sda1 is gone"), 503, "ServiceUnavailable"),
        (Corrupt("key /registry/secrets/x"), 500, "InternalError"),
    ],
)
def test_storage_errors_say_nothing_of_the_storage(error: StorageError, code: int, reason: str) -> None:
    found = from_storage(error)
    assert (found.code, found.reason) == (code, reason)
    assert not any(word in found.message for word in ("/registry", "/dev/sda1"))


def test_a_full_storage_and_one_that_does_not_answer_have_different_errors() -> None:
    found, unknown = from_storage(Full("")), from_storage(Unavailable(""))
    assert "nothing was stored: delete" in found.message
    assert "may or may not have happened" in unknown.message
    assert (found.retry_after or 0) > (unknown.retry_after or 0)


def test_an_error_is_in_json_for_clients_that_take_nothing_of_ours() -> None:
    call = Call(make_mocked_request("GET", "/x", headers={"Accept": "application/cbor"}))
    call.warnings.append('careful:\n"this"')
    response = render(too_many_requests("too many", 7), call)
    assert (response.status, response.headers["Retry-After"], response.content_type) == (429, "7", "application/json")
    assert response.headers["Warning"] == '299 - "careful: \\"this\\""'
    assert isinstance(response.body, bytes)
    assert orjson.loads(response.body)["details"] == {"retryAfterSeconds": 7}

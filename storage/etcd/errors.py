"""Define the errors between this process and etcd, and convert them into errors of a Store.

GatewayError and its subclasses stay inside this package:

    GatewayError
    +-- NotSent   the request cannot have reached etcd: it may be sent again, elsewhere
    +-- Broken    the connection failed, or no answer came in time: the outcome is unknown
    +-- Refused   etcd answered with an error: code (gRPC's numbers) and message
"""

from __future__ import annotations

from collections.abc import Mapping
from enum import IntEnum
from typing import Any

import orjson

from storage.base import Corrupt, Full, StorageError, TooLarge, Unavailable


class Code(IntEnum):
    """The gRPC status codes that this package distinguishes."""

    CANCELLED = 1
    UNKNOWN = 2
    INVALID_ARGUMENT = 3
    DEADLINE_EXCEEDED = 4
    PERMISSION_DENIED = 7
    RESOURCE_EXHAUSTED = 8
    FAILED_PRECONDITION = 9
    INTERNAL = 13
    UNAVAILABLE = 14
    DATA_LOSS = 15
    UNAUTHENTICATED = 16


_ELSEWHERE = {Code.CANCELLED, Code.UNKNOWN, Code.DEADLINE_EXCEEDED, Code.RESOURCE_EXHAUSTED, Code.INTERNAL, Code.UNAVAILABLE}


class GatewayError(Exception):
    """Base class of the three errors."""

    @property
    def repeatable(self) -> bool:
        """Return whether a request that changes nothing may succeed at another endpoint or
        later."""
        return True


class NotSent(GatewayError):
    """No connection was made."""


class Broken(GatewayError):
    """The connection was lost, or stayed silent for too long."""


class Refused(GatewayError):
    """etcd answered with an error."""

    def __init__(self, code: int, message: str) -> None:
        super().__init__(message)
        self.code, self.message = code, message

    @property
    def repeatable(self) -> bool:
        return self.code in _ELSEWHERE and not (self.no_space or self.too_large)

    @property
    def compacted(self) -> bool:
        return "required revision has been compacted" in self.message

    @property
    def future(self) -> bool:
        return "required revision is a future revision" in self.message

    @property
    def too_large(self) -> bool:
        return "request is too large" in self.message or "message larger than max" in self.message

    @property
    def no_space(self) -> bool:
        return "database space exceeded" in self.message

    @property
    def stale_token(self) -> bool:
        """Return whether a new token will help.

        The token expired, or it is older than a restart or a change of users or roles. etcd did
        nothing."""
        return self.code == Code.UNAUTHENTICATED or "invalid auth token" in self.message or "revision of auth store is old" in self.message


def from_body(status: int, body: bytes) -> Refused:
    """Return the error of an HTTP response whose status is not 200.

    The body is the gateway's JSON, or the answer of a proxy in between."""
    try:
        decoded = orjson.loads(body)
    except orjson.JSONDecodeError:
        decoded = None
    if isinstance(decoded, dict) and "code" in decoded:
        return from_error(decoded)
    if status == 404:
        hint = "there is no etcd gateway: check the address, and that etcd runs with --enable-grpc-gateway"
        return Refused(Code.FAILED_PRECONDITION, hint)
    return Refused(Code.UNAVAILABLE, f"HTTP status {status}: {body[:200].decode(errors='replace')!r}")


def from_error(error: Mapping[str, Any]) -> Refused:
    """Return the error from decoded JSON.

    Up to etcd 3.5 the fields are `error` (and `grpc_code` in streams); since 3.6 only `code` and
    `message`."""
    code = error.get("code", error.get("grpc_code", Code.UNKNOWN))
    return Refused(int(code), str(error.get("message") or error.get("error") or f"error {code}"))


_WAY_OUT: dict[int, str] = {
    Code.PERMISSION_DENIED: "grant its user a role with readwrite permission on the store's prefix",
    Code.UNAUTHENTICATED: "check user and password",
    Code.INVALID_ARGUMENT: "if that is about users: give the store a user and a password",
    Code.RESOURCE_EXHAUSTED: "it has too much to do: try again later",
}
_SPACE = (
    "it is full and refuses writes: compact and defragment it (etcdctl compaction, etcdctl defrag), raise --quota-backend-bytes if need "
    "be, then etcdctl alarm disarm; nothing is lost"
)


def to_storage(error: GatewayError, where: str) -> StorageError:
    """Return the corresponding StorageError for the etcd at `where`, with a message that says what
    to do."""
    if not isinstance(error, Refused):
        return Unavailable(f"etcd at {where}: {error}: check that it runs and can be reached from here")
    if error.too_large:
        return TooLarge(
            f"etcd at {where} refuses a commit as too large ({error.message}): write less at once, or raise its --max-request-bytes"
        )
    if error.code == Code.DATA_LOSS:
        return Corrupt(f"etcd at {where}: {error.message}: restore the member or the cluster from a snapshot (etcdutl snapshot restore)")
    if error.no_space:
        return Full(f"etcd at {where}: {error.message}: {_SPACE}")
    way_out = _WAY_OUT.get(error.code)
    return Unavailable(f"etcd at {where}: {error.message}" + (f": {way_out}" if way_out else ""))

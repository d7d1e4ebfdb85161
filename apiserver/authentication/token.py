"""Authentication by bearer token. Tokens are judged elsewhere (TokenReview); here answers are cached, by digest: tokens are not kept.

Nobody is authenticated yet, so what is bounded is counted by remote address: the reviews under way, and the tokens that were refused.
Tokens that were accepted within 10 seconds are not touched by either bound.
"""

from __future__ import annotations

import hashlib
import hmac
import os
from typing import TYPE_CHECKING, Protocol

from apiserver.apis.status import unauthorized
from apiserver.authentication.remote import client_of, remote
from apiserver.authentication.ttlcache import ExpiringCache
from apiserver.flowcontrol.gate import Allowance, Gate

if TYPE_CHECKING:
    from apiserver.handlers.request.call import Call
    from apiserver.registry.generic.context import UserInfo

__all__ = ["TokenAuthenticator", "TokenReviewer", "bearer"]

ACCEPTED_SECONDS = 10.0
REFUSED_SECONDS = 2.0
REVIEWS, REVIEWS_OF_ONE = 32, 16
"""Reviews under way: of all clients, and of one address, those that wait included."""
FAILURES, FAILURES_PER_SECOND = 40, 2.0
"""Refused tokens of one address, at once and in the long run. Beyond that its unknown tokens are answered with 429, unasked."""


class TokenReviewer(Protocol):
    """Who a token belongs to."""

    async def review(self, token: str) -> UserInfo | None:
        """The identity, None for a token that is not valid. Raises ApiError (503) when that cannot be found out within seconds."""


class TokenAuthenticator:
    """Believes what the reviewer says, for 10 seconds; a refusal for 2."""

    def __init__(self, reviewer: TokenReviewer) -> None:
        self._reviewer = reviewer
        self._salt = os.urandom(32)
        self._gate, self._failures = Gate(REVIEWS, REVIEWS_OF_ONE), Allowance(FAILURES, FAILURES_PER_SECOND)
        self._answers: ExpiringCache[UserInfo | None] = ExpiringCache(
            lambda user: REFUSED_SECONDS if user is None else ACCEPTED_SECONDS, apart=lambda user: user is None
        )

    async def authenticate(self, call: Call) -> UserInfo | None:
        """See Authenticator."""
        token = bearer(call.http.headers.get("Authorization", ""))
        if not token:
            return None
        digest = hmac.digest(self._salt, token.encode("utf-8", "surrogateescape"), hashlib.sha256)
        client = client_of(remote(call.http))
        user = await self._answers.get(digest, lambda: self._review(client, token))
        if user is None:
            raise unauthorized()
        return user

    async def _review(self, client: str, token: str) -> UserInfo | None:
        self._failures.check(client)
        async with self._gate.enter(client):
            self._failures.check(client)  # others of this client may have failed while this one waited
            user = await self._reviewer.review(token)
        if user is None:
            self._failures.use(client)
        return user

    async def close(self) -> None:
        """Ends the reviews under way."""
        await self._answers.close()


def bearer(header: str) -> str:
    """The token in an Authorization header, "" where there is none. Raises ApiError (401) for one that is not ASCII."""
    scheme, _, rest = header.strip().partition(" ")
    token = rest.split(" ", 1)[0] if scheme.lower() == "bearer" else ""
    if not token.isascii():
        raise unauthorized()
    return token

"""Authenticate by bearer token with TokenReviews, and cache the answers by digest.

Tokens themselves are not kept. The user is not known yet, so limits apply by remote address: to
running reviews, and to refused tokens. Tokens that were accepted within 10 seconds are not subject
to either limit.
"""

from __future__ import annotations

import hashlib
import hmac
import os
from typing import Protocol

from aiohttp import web

from apiserver.apis.status import unauthorized
from apiserver.authentication.remote import client_of, remote
from apiserver.authentication.ttlcache import ExpiringCache
from apiserver.flowcontrol.gate import Allowance, Gate
from apiserver.handlers.request.call import Call
from apiserver.registry.generic.context import UserInfo

ACCEPTED_SECONDS = 10.0
REFUSED_SECONDS = 2.0
REVIEWS, REVIEWS_OF_ONE = 32, 16
"""The largest numbers of running reviews: of all clients, and of one address, including waiting
ones."""
FAILURES, FAILURES_PER_SECOND = 40, 2.0
"""The number of refused tokens of one address, at once and per second.

Beyond that, its unknown tokens are answered with 429 without a review."""


class TokenReviewer(Protocol):
    """Finds the user of a token."""

    async def review(self, token: str) -> UserInfo | None:
        """Return the user, or None for an invalid token.

        Raises ApiError (503) if the review does not succeed within seconds."""


class TokenAuthenticator:
    """Trusts the reviewer's answer for 10 seconds, and a refusal for 2."""

    def __init__(self, reviewer: TokenReviewer) -> None:
        self._reviewer = reviewer
        self._salt = os.urandom(32)
        self._gate, self._failures = Gate(REVIEWS, REVIEWS_OF_ONE), Allowance(FAILURES, FAILURES_PER_SECOND)
        self._answers: ExpiringCache[UserInfo | None] = ExpiringCache(
            lambda user: REFUSED_SECONDS if user is None else ACCEPTED_SECONDS, apart=lambda user: user is None
        )

    async def authenticate(self, call: Call) -> UserInfo | None:
        """Return the token's user. See Authenticator."""
        token = bearer(call.http.headers.get("Authorization", ""))
        return await self.authenticate_token(call.http, token) if token else None

    async def authenticate_token(self, http: web.BaseRequest, token: str) -> UserInfo:
        """Return the user of a token that the request has. Raises ApiError."""
        digest = hmac.digest(self._salt, token.encode("utf-8", "surrogateescape"), hashlib.sha256)
        client = client_of(remote(http))
        user = await self._answers.get(digest, lambda: self._review(client, token))
        if user is None:
            raise unauthorized()
        return user

    async def _review(self, client: str, token: str) -> UserInfo | None:
        self._failures.check(client)
        async with self._gate.enter(client):
            # other requests of this client may have failed while this one waited
            self._failures.check(client)
            user = await self._reviewer.review(token)
        if user is None:
            self._failures.use(client)
        return user

    async def close(self) -> None:
        """Cancel the running reviews."""
        await self._answers.close()


def bearer(header: str) -> str:
    """Return the token in an Authorization header, "" if there is none.

    Raises ApiError (401) for a token that is not ASCII."""
    scheme, _, rest = header.strip().partition(" ")
    token = rest.split(" ", 1)[0] if scheme.lower() == "bearer" else ""
    if not token.isascii():
        raise unauthorized()
    return token

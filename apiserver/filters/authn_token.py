"""Authentication by bearer token. Tokens are judged elsewhere (TokenReview); here answers are cached, by digest: tokens are not kept."""

from __future__ import annotations

import hashlib
import hmac
import os
from typing import TYPE_CHECKING, Protocol

from apiserver.apis.status import unauthorized
from apiserver.filters.expiring import ExpiringCache

if TYPE_CHECKING:
    from apiserver.endpoints.call import Call
    from apiserver.registry.context import UserInfo

__all__ = ["TokenAuthenticator", "TokenReviewer", "bearer"]

ACCEPTED_SECONDS = 10.0
REFUSED_SECONDS = 2.0


class TokenReviewer(Protocol):
    """Who a token belongs to."""

    async def review(self, token: str) -> UserInfo | None:
        """The identity, None for a token that is not valid. Raises ApiError (503) when that cannot be found out within seconds."""


class TokenAuthenticator:
    """Believes what the reviewer says, for 10 seconds; a refusal for 2."""

    def __init__(self, reviewer: TokenReviewer) -> None:
        self._reviewer = reviewer
        self._salt = os.urandom(32)
        self._answers: ExpiringCache[UserInfo | None] = ExpiringCache(lambda user: REFUSED_SECONDS if user is None else ACCEPTED_SECONDS)

    async def authenticate(self, call: Call) -> UserInfo | None:
        """See Authenticator."""
        token = bearer(call.http.headers.get("Authorization", ""))
        if not token:
            return None
        digest = hmac.digest(self._salt, token.encode("utf-8", "surrogateescape"), hashlib.sha256)
        user = await self._answers.get(digest, lambda: self._reviewer.review(token))
        if user is None:
            raise unauthorized()
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

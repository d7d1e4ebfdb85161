"""Join authenticators, and find out the user of each request.

The authenticators are in apiserver.authentication. Anonymous requests reach only the health paths;
others get 401.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

from aiohttp import web

from apiserver.apis.status import ApiError, unauthorized
from apiserver.filters.paths import is_health
from apiserver.handlers.request.call import Call, Filter, Handler
from apiserver.registry.generic.context import UserInfo

AUTHENTICATED = "system:authenticated"
UNAUTHENTICATED = "system:unauthenticated"
ANONYMOUS = UserInfo("system:anonymous", groups=(UNAUTHENTICATED,))


class Authenticator(Protocol):
    """One way of authentication."""

    async def authenticate(self, call: Call) -> UserInfo | None:
        """Return the user, or None if the request has no credentials of this kind.

        Raises ApiError: 401 for invalid credentials, 503 if they cannot be checked now."""


class UnionAuthenticator:
    """Tries authenticators in order, until one returns a user.

    If none does and one refused, the refusal counts: a request with bad credentials is not
    anonymous."""

    def __init__(self, authenticators: Sequence[Authenticator]) -> None:
        self._authenticators = tuple(authenticators)

    async def authenticate(self, call: Call) -> UserInfo | None:
        """Return the user of the first authenticator that has one. See Authenticator.

        A 503 takes precedence over a 401, because the credentials might be valid."""
        refusal: ApiError | None = None
        for authenticator in self._authenticators:
            try:
                user = await authenticator.authenticate(call)
            except ApiError as error:
                refusal = error if refusal is None or refusal.code < error.code else refusal
                continue
            if user is not None:
                return user
        if refusal is not None:
            raise refusal
        return None


def with_authentication(authenticator: Authenticator) -> Filter:
    """Set call.user."""

    def wrap(handler: Handler) -> Handler:
        async def handle(call: Call) -> web.StreamResponse:
            user = await authenticator.authenticate(call)
            if user is not None:
                call.user = _authenticated(user)
            elif is_health(call.info.path):
                call.user = ANONYMOUS
            else:
                raise unauthorized()
            return await handler(call)

        return handle

    return wrap


def _authenticated(user: UserInfo) -> UserInfo:
    """Add the group system:authenticated, unless the front proxy says that the user is
    anonymous."""
    if user.name == ANONYMOUS.name or AUTHENTICATED in user.groups or UNAUTHENTICATED in user.groups:
        return user
    return UserInfo(user.name, user.uid, (*user.groups, AUTHENTICATED), user.extra)

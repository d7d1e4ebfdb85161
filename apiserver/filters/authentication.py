"""Authentication: who sends the request. Implementations are in the authn_* modules; this one joins them and is the filter.

Anonymous requests get no further than the health paths: everybody else has to say who they are (401).
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

from apiserver.apis.status import ApiError, unauthorized
from apiserver.filters.paths import is_health
from apiserver.registry.generic.context import UserInfo

if TYPE_CHECKING:
    from collections.abc import Sequence

    from aiohttp import web

    from apiserver.handlers.request.call import Call, Filter, Handler

__all__ = ["ANONYMOUS", "AUTHENTICATED", "UNAUTHENTICATED", "Authenticator", "UnionAuthenticator", "with_authentication"]

AUTHENTICATED = "system:authenticated"
UNAUTHENTICATED = "system:unauthenticated"
ANONYMOUS = UserInfo("system:anonymous", groups=(UNAUTHENTICATED,))


class Authenticator(Protocol):
    """One way to tell who sends a request."""

    async def authenticate(self, call: Call) -> UserInfo | None:
        """The identity, or None when the request has no credentials of this kind.

        Raises ApiError: 401 when it has such credentials and they are not believed, 503 when that cannot be found out now."""


class UnionAuthenticator:
    """The first that knows the request's sender. When none does, and one refused, that refusal counts: a request with bad
    credentials is not an anonymous one."""

    def __init__(self, authenticators: Sequence[Authenticator]) -> None:
        self._authenticators = tuple(authenticators)

    async def authenticate(self, call: Call) -> UserInfo | None:
        """See Authenticator. A 503 wins over a 401, as the one in doubt might have believed."""
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
    """Sets call.user."""

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
    """The user with the group that everybody has who was authenticated, unless it is said to be anonymous (by the front proxy)."""
    if user.name == ANONYMOUS.name or AUTHENTICATED in user.groups or UNAUTHENTICATED in user.groups:
        return user
    return UserInfo(user.name, user.uid, (*user.groups, AUTHENTICATED), user.extra)

"""Authenticate and authorize callers of the gateway."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import replace

from apiserver.apis.status import unauthorized
from apiserver.authentication.token import TokenAuthenticator
from apiserver.filters.authorization import Authorizer, Decision
from apiserver.filters.paths import is_health
from apiserver.gateway.headers import NO_TOKEN, credential
from apiserver.handlers.request.call import Call, RequestInfo
from apiserver.registry.generic.context import UserInfo


class BearerOnly:
    """Authenticates by bearer token, which is the only credential that can be passed on."""

    def __init__(self, tokens: TokenAuthenticator) -> None:
        self._tokens = tokens

    async def authenticate(self, call: Call) -> UserInfo | None:
        """Return the token's user. See Authenticator. Only health checks may be anonymous."""
        token, _ = credential(call.http.headers)
        if token:
            return await self._tokens.authenticate_token(call.http, token)
        if is_health(call.info.path):
            return None
        raise unauthorized(NO_TOKEN)


class ByViewGroup:
    """Authorizes requests for the view by the rules for the group that serves it elsewhere.

    So tenants need no rights on the real hosts, and rights on them give none on the view. `kinds`
    are the resources that are served in `group` here, and in `view_group` elsewhere."""

    def __init__(self, rules: Authorizer, group: str, view_group: str, kinds: Collection[str]) -> None:
        self._rules, self._group, self._view_group, self._kinds = rules, group, view_group, frozenset(kinds)

    async def authorize(self, user: UserInfo, info: RequestInfo) -> Decision:
        """Return the decision. See Authorizer."""
        if not (info.is_resource and info.group == self._group and info.resource in self._kinds):
            return await self._rules.authorize(user, info)
        decision = await self._rules.authorize(user, replace(info, group=self._view_group))
        why = f'at this endpoint, rules for the API group "{self._view_group}" decide'
        return decision if decision.allowed else replace(decision, reason=f"{decision.reason}; {why}" if decision.reason else why)

"""Authorisation: may this user do this. Every path but health is asked for; refusals are worded as kube-apiserver's."""

from __future__ import annotations

import json
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Protocol

from apiserver.apis.status import ApiError, forbidden
from apiserver.filters.paths import is_health
from apiserver.registry.generic.registry import PRIVATE

if TYPE_CHECKING:
    from collections.abc import Collection, Sequence

    from aiohttp import web

    from apiserver.handlers.request.call import Call, Filter, Handler, RequestInfo
    from apiserver.registry.generic.context import UserInfo

__all__ = ["Authorizer", "Decision", "PrivilegedGroup", "UnionAuthorizer", "refusal", "with_authorization"]

MASTERS = "system:masters"
READING = frozenset({"get", "list", "watch"})


@dataclass(frozen=True, slots=True)
class Decision:
    """`reason` is shown to the user when it is not allowed. `denied`: nobody asked later may allow it."""

    allowed: bool
    reason: str = ""
    denied: bool = False


class Authorizer(Protocol):
    """Decides over one request."""

    async def authorize(self, user: UserInfo, info: RequestInfo) -> Decision:
        """Raises ApiError (503) when it cannot be decided now; never allows then."""


class PrivilegedGroup:
    """Allows everything to system:masters, without asking anybody: they can mend what others depend on."""

    async def authorize(self, user: UserInfo, info: RequestInfo) -> Decision:
        """See Authorizer."""
        return Decision(MASTERS in user.groups)


class UnionAuthorizer:
    """Allowed by the first that allows, unless one before it denies. With nobody to ask, nothing is allowed."""

    def __init__(self, authorizers: Sequence[Authorizer]) -> None:
        self._authorizers = tuple(authorizers)

    async def authorize(self, user: UserInfo, info: RequestInfo) -> Decision:
        """See Authorizer. One that cannot decide leaves it to the others; only when none allows does its error count."""
        reasons: list[str] = []
        failure: ApiError | None = None
        for authorizer in self._authorizers:
            try:
                decision = await authorizer.authorize(user, info)
            except ApiError as error:
                failure = failure or error
                continue
            if decision.allowed or decision.denied:
                return decision
            if decision.reason:
                reasons.append(decision.reason)
        if failure is not None:
            raise failure
        return Decision(False, ", ".join(reasons))


def with_authorization(authorizer: Authorizer, reduced: Collection[tuple[str, str]] = ()) -> Filter:
    """Lets through what the authorizer allows to call.user. `reduced`: the (group, resource)s which not everybody who may read them
    may read in full; the authorizer is asked about that apart."""

    def wrap(handler: Handler) -> Handler:
        async def handle(call: Call) -> web.StreamResponse:
            if not is_health(call.info.path):
                assert call.user is not None, "authentication comes before authorisation"
                decision = await authorizer.authorize(call.user, call.info)
                allowed = decision.allowed and not decision.denied
                call.annotations["authorization.k8s.io/decision"] = "allow" if allowed else "forbid"
                call.annotations["authorization.k8s.io/reason"] = decision.reason
                if not allowed:
                    raise refusal(call.user, call.info, decision.reason)
                if (call.info.group, call.info.resource) in reduced and call.info.verb in READING:
                    call.privileged = (await authorizer.authorize(call.user, in_full(call.info))).allowed
            return await handler(call)

        return handle

    return wrap


def in_full(info: RequestInfo) -> RequestInfo:
    """The question whether what `info` asks for may be read in full."""
    full = replace(info)
    full.verb, full.subresource = "get", PRIVATE
    return full


def refusal(user: UserInfo, info: RequestInfo, reason: str = "") -> ApiError:
    """The 403 for a request (k8s.io/apiserver, responsewriters.ForbiddenStatusError)."""
    text = f"{_sentence(user, info)}: {reason}" if reason else _sentence(user, info)
    if not info.is_resource:
        return ApiError(403, "Forbidden", f"forbidden: {text}")
    return forbidden(info.group, info.resource, info.name, text)


def _sentence(user: UserInfo, info: RequestInfo) -> str:
    subject = f"User {_quoted(user.name)} cannot {info.verb}"
    if not info.is_resource:
        return f"{subject} path {_quoted(info.path)}"
    resource = f"{info.resource}/{info.subresource}" if info.subresource else info.resource
    where = f"in the namespace {_quoted(info.namespace)}" if info.namespace else "at the cluster scope"
    return f"{subject} resource {_quoted(resource)} in API group {_quoted(info.group)} {where}"


def _quoted(text: str) -> str:
    return json.dumps(text, ensure_ascii=False)

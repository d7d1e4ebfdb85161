"""Authorize requests on every path except health. Refusals are worded as in kube-apiserver."""

from __future__ import annotations

import json
from collections.abc import Collection, Sequence
from dataclasses import dataclass, replace
from typing import Protocol

from aiohttp import web

from apiserver.apis.status import ApiError, forbidden
from apiserver.filters.paths import is_health
from apiserver.handlers.request.call import Call, Filter, Handler, RequestInfo
from apiserver.registry.generic.context import UserInfo
from apiserver.registry.generic.registry import PRIVATE
from apiserver.registry.generic.resource import READING

MASTERS = "system:masters"


@dataclass(frozen=True, slots=True)
class Decision:
    """An authorizer's decision.

    The user sees `reason` if the request is not allowed. With `denied`, no later authorizer may
    allow it."""

    allowed: bool
    reason: str = ""
    denied: bool = False


class Authorizer(Protocol):
    """Decides about one request."""

    async def authorize(self, user: UserInfo, info: RequestInfo) -> Decision:
        """Return the decision. Raises ApiError (503) if it cannot be made now."""


class PrivilegedGroup:
    """Allows everything to system:masters, without asking another server.

    Such users can repair the components that other authorizers depend on."""

    async def authorize(self, user: UserInfo, info: RequestInfo) -> Decision:
        """Return the decision. See Authorizer."""
        return Decision(MASTERS in user.groups)


class UnionAuthorizer:
    """Allows what the first authorizer allows, unless an earlier one denies it.

    Without authorizers, nothing is allowed."""

    def __init__(self, authorizers: Sequence[Authorizer]) -> None:
        self._authorizers = tuple(authorizers)

    async def authorize(self, user: UserInfo, info: RequestInfo) -> Decision:
        """Return the decision. See Authorizer.

        An authorizer that fails leaves the decision to the others. Its error counts only if none
        allows."""
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
    """Let requests pass that the authorizer allows to call.user.

    `reduced` has each (group, resource) that some readers may not read in full. The authorizer is
    asked about that separately."""

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
    """Return the request that stands for reading the objects of `info` in full."""
    full = replace(info)
    full.verb, full.subresource = "get", PRIVATE
    return full


def refusal(user: UserInfo, info: RequestInfo, reason: str = "") -> ApiError:
    """Return the 403 for a request (k8s.io/apiserver, responsewriters.ForbiddenStatusError)."""
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

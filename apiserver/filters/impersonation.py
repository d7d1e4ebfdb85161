"""Let authorized users act as others with Impersonate-* headers (kubectl --as).

The front proxy resolves and removes these headers itself, so they come only from direct clients.
The semantics are those of k8s.io/apiserver's WithImpersonation.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from urllib.parse import unquote

from aiohttp import web
from multidict import CIMultiDictProxy

from apiserver.apis.status import bad_request
from apiserver.authentication.requestheader import is_text
from apiserver.filters.authentication import ANONYMOUS, AUTHENTICATED, UNAUTHENTICATED
from apiserver.filters.authorization import Authorizer, refusal
from apiserver.handlers.request.call import Call, Filter, Handler, RequestInfo
from apiserver.registry.generic.context import SERVICE_ACCOUNT, UserInfo

USER, UID, GROUP, EXTRA = "Impersonate-User", "Impersonate-Uid", "Impersonate-Group", "Impersonate-Extra-"
ANY = re.compile("impersonate-", re.IGNORECASE).match


def with_impersonation(authorizer: Authorizer) -> Filter:
    """Replace call.user by the impersonated user. Refuse the request if that is not allowed."""

    def wrap(handler: Handler) -> Handler:
        async def handle(call: Call) -> web.StreamResponse:
            other = wanted(call.http.headers)
            if other is not None:
                assert call.user is not None, "authentication comes first"
                for question in questions(other):
                    decision = await authorizer.authorize(call.user, question)
                    if not decision.allowed or decision.denied:
                        raise refusal(call.user, question, decision.reason)
                call.user = _completed(other)
            return await handler(call)

        return handle

    return wrap


def wanted(headers: CIMultiDictProxy[str]) -> UserInfo | None:
    """Return the user in the headers, unmodified, or None. Raises ApiError (400)."""
    if not any(map(ANY, headers)):
        return None
    extra: dict[str, tuple[str, ...]] = {}
    for header, value in headers.items():
        if header.lower().startswith(EXTRA.lower()):
            key = unquote(header[len(EXTRA) :].lower(), errors="surrogateescape")
            extra[key] = (*extra.get(key, ()), value)
    user = UserInfo(headers.get(USER, ""), headers.get(UID, ""), tuple(headers.getall(GROUP, ())), extra)
    if not user.name:
        if user.uid or user.groups or user.extra:
            raise bad_request("requested impersonation of groups, a uid or extra values without impersonating a user")
        return None
    if not is_text(user):
        raise bad_request("the user to impersonate is not UTF-8")
    return user


def questions(user: UserInfo) -> Iterator[RequestInfo]:
    """Yield the requests that must be allowed to impersonate this user."""
    parts = user.name.removeprefix(SERVICE_ACCOUNT).split(":")
    if user.name.startswith(SERVICE_ACCOUNT) and len(parts) == 2 and all(parts):
        yield _question("", "serviceaccounts", parts[1], namespace=parts[0])
    else:
        yield _question("", "users", user.name)
    for group in user.groups:
        yield _question("", "groups", group)
    if user.uid:
        yield _question("authentication.k8s.io", "uids", user.uid)
    for key, values in user.extra.items():
        for value in values:
            yield _question("authentication.k8s.io", "userextras", value, subresource=key)


def _question(group: str, resource: str, name: str, *, namespace: str = "", subresource: str = "") -> RequestInfo:
    return RequestInfo(
        is_resource=True,
        verb="impersonate",
        group=group,
        version="v1",
        namespace=namespace,
        resource=resource,
        subresource=subresource,
        name=name,
    )


def _completed(user: UserInfo) -> UserInfo:
    """Return the user with the groups that are added automatically."""
    groups = user.groups
    parts = user.name.removeprefix(SERVICE_ACCOUNT).split(":")
    if not groups and user.name.startswith(SERVICE_ACCOUNT) and len(parts) == 2:
        groups = ("system:serviceaccounts", f"system:serviceaccounts:{parts[0]}")
    own = UNAUTHENTICATED if user.name == ANONYMOUS.name else AUTHENTICATED
    if AUTHENTICATED not in groups and UNAUTHENTICATED not in groups:
        groups = (*groups, own)
    return UserInfo(user.name, user.uid, groups, user.extra)

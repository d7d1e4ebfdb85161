"""Authorize by the management cluster's RBAC (authorization.k8s.io/v1 SubjectAccessReview)."""

from __future__ import annotations

import logging
from collections.abc import Hashable
from typing import Any

from apiserver.apis.status import service_unavailable
from apiserver.authentication.ttlcache import ExpiringCache
from apiserver.client.client import Client
from apiserver.client.errors import ApiException
from apiserver.filters.authorization import Decision
from apiserver.flowcontrol.gate import Gate
from apiserver.handlers.request.call import RequestInfo
from apiserver.registry.generic.context import UserInfo
from apiserver.server.delegation.reviews import FIRST_PAUSE, ask, summary

log = logging.getLogger(__name__)

PATH = "/apis/authorization.k8s.io/v1/subjectaccessreviews"
SECONDS = 10.0
KEPT_SECONDS = 10.0
"""The seconds for which a decision is cached.

A revoked permission may still work for that time, as with kube-apiserver's own webhooks."""
REVIEWS, REVIEWS_OF_ONE = 128, 64
"""The largest numbers of running reviews: of all users, and of one user, including waiting ones."""


class AccessReviews:
    """The Authorizer of the management cluster.

    If the cluster does not answer within `seconds`, requests are refused with 503, never
    allowed."""

    def __init__(self, client: Client, seconds: float = SECONDS, *, first_pause: float = FIRST_PAUSE) -> None:
        self._client, self._seconds, self._first_pause = client, seconds, first_pause
        self._gate = Gate(REVIEWS, REVIEWS_OF_ONE)
        self._decisions: ExpiringCache[Decision] = ExpiringCache(lambda _: KEPT_SECONDS)

    async def authorize(self, user: UserInfo, info: RequestInfo) -> Decision:
        """Return the decision. See Authorizer."""
        return await self._decisions.get(_key(user, info), lambda: self._review(user, info))

    async def close(self) -> None:
        """Cancel the running reviews."""
        await self._decisions.close()

    async def _review(self, user: UserInfo, info: RequestInfo) -> Decision:
        body = {"apiVersion": "authorization.k8s.io/v1", "kind": "SubjectAccessReview", "spec": spec(user, info)}
        try:
            async with self._gate.enter(user.name):
                return decision(await ask(self._client, PATH, body, self._seconds, first_pause=self._first_pause))
        except ApiException as error:
            log.warning("SubjectAccessReview failed: %s", summary(error))
            raise service_unavailable("permissions cannot be checked now; try again") from None


def spec(user: UserInfo, info: RequestInfo) -> dict[str, Any]:
    """Return the spec of the review for a request."""
    asked: dict[str, Any] = {"user": user.name}
    if user.uid:
        asked["uid"] = user.uid
    if user.groups:
        asked["groups"] = list(user.groups)
    if user.extra:
        asked["extra"] = {key: list(values) for key, values in user.extra.items()}
    if not info.is_resource:
        return {**asked, "nonResourceAttributes": {"path": info.path, "verb": info.verb}}
    attributes = {
        "namespace": info.namespace,
        "verb": info.verb,
        "group": info.group,
        "version": info.version,
        "resource": info.resource,
        "subresource": info.subresource,
        "name": info.name,
    }
    return {**asked, "resourceAttributes": {key: value for key, value in attributes.items() if value}}


def decision(status: dict[str, Any]) -> Decision:
    """Return the decision in a SubjectAccessReview's status. `denied` takes precedence over
    `allowed`."""
    denied = status.get("denied") is True
    return Decision(status.get("allowed") is True and not denied, str(status.get("reason") or ""), denied)


def _key(user: UserInfo, info: RequestInfo) -> Hashable:
    extra = tuple(sorted(user.extra.items())) if user.extra else ()
    who = (user.name, user.uid, user.groups, extra)
    if not info.is_resource:
        return who, info.verb, info.path
    return who, info.verb, info.group, info.version, info.namespace, info.resource, info.subresource, info.name

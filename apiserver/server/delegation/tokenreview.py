"""Validate bearer tokens by the management cluster (authentication.k8s.io/v1 TokenReview)."""

from __future__ import annotations

import logging
from typing import Any

from apiserver.apis.status import service_unavailable
from apiserver.client.client import Client
from apiserver.client.errors import ApiException
from apiserver.registry.generic.context import UserInfo
from apiserver.server.delegation.reviews import FIRST_PAUSE, ask, summary

log = logging.getLogger(__name__)

PATH = "/apis/authentication.k8s.io/v1/tokenreviews"
SECONDS = 10.0
MAX_TOKEN = 64 * 1024


class TokenReviews:
    """The TokenReviewer of the management cluster.

    Tokens must have the cluster's own audience, like those that its API server accepts."""

    def __init__(self, client: Client, *, first_pause: float = FIRST_PAUSE) -> None:
        self._client, self._first_pause = client, first_pause

    async def review(self, token: str) -> UserInfo | None:
        """Return the user of the token, or None. See TokenReviewer."""
        if len(token) > MAX_TOKEN:
            return None
        body = {"apiVersion": "authentication.k8s.io/v1", "kind": "TokenReview", "spec": {"token": token}}
        try:
            return user_from(await ask(self._client, PATH, body, SECONDS, first_pause=self._first_pause))
        except ApiException as error:
            log.warning("TokenReview failed: %s", summary(error))
            raise service_unavailable("bearer tokens cannot be checked now; try again") from None


def user_from(status: dict[str, Any]) -> UserInfo | None:
    """Return the user in a TokenReview's status, or None unless it is authenticated and has a
    name."""
    user = status.get("user") or {}
    if status.get("authenticated") is not True or status.get("error") or not user.get("username"):
        return None
    extra = {str(key): tuple(map(str, values)) for key, values in (user.get("extra") or {}).items()}
    return UserInfo(str(user["username"]), str(user.get("uid") or ""), tuple(map(str, user.get("groups") or ())), extra)

"""Keeps spec.caBundle of our APIServices at the authority of a self-made serving certificate, so that kube-apiserver can verify us.

Limits: the APIServices themselves are the operator's; one that is not there, or that kube-apiserver serves itself (a CRD of the same
group), is left alone.
"""

from __future__ import annotations

import asyncio
import base64
import logging
from typing import TYPE_CHECKING, Any

from apiserver.client.errors import ApiException
from apiserver.server.registration import API_SERVICES

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from apiserver.client.client import Client

__all__ = ["CaBundleKeeper", "wanted_patch"]

log = logging.getLogger(__name__)

EVERY_SECONDS = 30.0
FIRST_RETRY = 1.0


class CaBundleKeeper:
    """`names`: of the APIServices, such as v1alpha1.metal3.io. `bundle`: the PEM to have there."""

    def __init__(self, client: Client, names: Iterable[str], bundle: Callable[[], bytes]) -> None:
        self._client, self._names, self._bundle = client, tuple(names), bundle
        self._said: dict[str, str] = {}

    async def run(self) -> None:
        """Looks again and again: manifests that are applied anew take the bundle away."""
        pause = FIRST_RETRY
        while True:
            settled = [await self.keep(name) for name in self._names]
            pause = EVERY_SECONDS if all(settled) else min(pause * 2, EVERY_SECONDS)
            await asyncio.sleep(pause)

    async def keep(self, name: str) -> bool:
        """Puts one APIService right. Returns whether it now is, or is none of ours."""
        try:
            found = await self._client.request("GET", API_SERVICES + name)
            patch = wanted_patch(found, self._bundle())
            if patch is None:
                return self._say(name, "")
            if not patch:
                return True  # see registration, which says so
            await self._client.request("PATCH", API_SERVICES + name, body=patch, content_type="application/merge-patch+json")
        except ApiException as error:
            return self._say(name, _advice(error))
        log.info("APIService %s: caBundle set to this server's authority", name)
        return self._say(name, "")

    def _say(self, name: str, complaint: str) -> bool:
        if complaint and self._said.get(name) != complaint:
            log.warning("APIService %s: %s", name, complaint)
        self._said[name] = complaint
        return not complaint


def wanted_patch(found: dict[str, Any], bundle: bytes) -> dict[str, Any] | None:
    """The merge patch that puts an APIService right; None when it is right, empty when it must be left alone."""
    spec = found.get("spec") or {}
    if not spec.get("service"):
        return {}
    encoded = base64.b64encode(bundle).decode()
    if spec.get("caBundle") == encoded and not spec.get("insecureSkipTLSVerify"):
        return None
    # With the resourceVersion, so that a change in between is looked at anew. Verification and no verification exclude each other.
    version = (found.get("metadata") or {}).get("resourceVersion")
    return {"metadata": {"resourceVersion": version}, "spec": {"caBundle": encoded, "insecureSkipTLSVerify": None}}


def _advice(error: ApiException) -> str:
    match error.status:
        case 404:
            return "it is not there: apply the APIService manifests"
        case 403:
            return "this server's account may not get and patch apiservices: apply the RBAC manifests, or use --tls-cert-file"
        case _:
            return f"it cannot be read or patched now (HTTP status {error.status})"

"""Keep spec.caBundle of this server's APIServices up to date, so that kube-apiserver can verify it.

The bundle is the authority of a self-made serving certificate. The operator owns the APIServices
themselves. An APIService that does not exist, or that kube-apiserver serves itself (a CRD of the
same group), is left unchanged.
"""

from __future__ import annotations

import base64
import logging
from collections.abc import Callable, Iterable
from typing import Any

from apiserver.client.client import Client
from apiserver.client.errors import ApiException
from apiserver.server.background import check_forever
from apiserver.server.registration import API_SERVICES

log = logging.getLogger(__name__)


class CaBundleKeeper:
    """Updates APIServices.

    `names` are their names, such as v1alpha1.metal3.io. `bundle` returns the PEM to set."""

    def __init__(self, client: Client, names: Iterable[str], bundle: Callable[[], bytes]) -> None:
        self._client, self._names, self._bundle = client, tuple(names), bundle
        self._logged: dict[str, str] = {}

    async def run(self) -> None:
        """Check periodically, because manifests that are applied again remove the bundle."""
        await check_forever(self._keep_all)

    async def _keep_all(self) -> bool:
        return all([await self.keep(name) for name in self._names])

    async def keep(self, name: str) -> bool:
        """Update one APIService. Return whether it is correct now, or not ours."""
        try:
            found = await self._client.request("GET", API_SERVICES + name)
            patch = wanted_patch(found, self._bundle())
            if patch is None:
                return self._log_change(name, "")
            if not patch:
                return True  # registration reports this case
            await self._client.request("PATCH", API_SERVICES + name, body=patch, content_type="application/merge-patch+json")
        except ApiException as error:
            return self._log_change(name, _advice(error))
        log.info("APIService %s: caBundle set to this server's authority", name)
        return self._log_change(name, "")

    def _log_change(self, name: str, complaint: str) -> bool:
        if complaint and self._logged.get(name) != complaint:
            log.warning("APIService %s: %s", name, complaint)
        self._logged[name] = complaint
        return not complaint


def wanted_patch(found: dict[str, Any], bundle: bytes) -> dict[str, Any] | None:
    """Return the merge patch for an APIService: None if it is correct, empty if it must not be
    changed."""
    spec = found.get("spec") or {}
    if not spec.get("service"):
        return {}
    encoded = base64.b64encode(bundle).decode()
    if spec.get("caBundle") == encoded and not spec.get("insecureSkipTLSVerify"):
        return None
    # The resourceVersion makes a concurrent change a conflict. A bundle and skipped verification
    # exclude each other.
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

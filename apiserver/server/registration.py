"""Check whether kube-apiserver passes this server's groups on to it, and report what to do if not.

If a group has a CustomResourceDefinition, kube-aggregator keeps the group's APIService for itself,
regardless of applied manifests. Tenants then see the objects of that definition, or nothing, while
this server runs. The same holds while kube-apiserver cannot reach this server, which the
APIService's condition Available says. So the server reports both in its log, in /readyz?verbose and
in a metric. It stays ready, because its other group is served, and a definition that is added later
must not end that.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Iterable, Iterator
from typing import Any

from apiserver.client.client import Client
from apiserver.client.errors import ApiException
from apiserver.server.background import check_forever

log = logging.getLogger(__name__)

API_SERVICES = "/apis/apiregistration.k8s.io/v1/apiservices/"
BMO = "v1alpha1.metal3.io"
OTHER = "workload.metal3.io"
GRACE = 30.0
"""The seconds for which an APIService may be unavailable before that is reported.

kube-apiserver needs some of them to notice that a server has started."""
_NO_REPLICA = (
    "its Service has no ready pod: see `kubectl -n metal3-workloads-system get pods,endpointslices`, and compare the Service's "
    "selector with the labels of the pods"
)
_SERVICE = "its Service is missing or has another port: apply the manifests again"
_UNREACHED = (
    "kube-apiserver gets no good answer from this server: let the control plane's nodes connect to its pods' port 6443 (NetworkPolicies, "
    "firewalls, a control plane outside of the pods' network: docs/operating.md, Network policies)"
)
_UNVERIFIED = (
    "kube-apiserver cannot verify this server's certificate: the server sets spec.caBundle itself and its log says why it could not; with "
    "cert-manager, see the annotation cert-manager.io/inject-ca-from of the APIService"
)
_ADVICE = {
    "ServiceNotFound": _SERVICE,
    "ServicePortError": _SERVICE,
    "EndpointsNotFound": _NO_REPLICA,
    "MissingEndpoints": _NO_REPLICA,
    "FailedDiscoveryCheck": _UNREACHED,
}


class Registrations:
    """Checks APIServices.

    `names` are their names, such as v1alpha1.metal3.io. `problems` has the text for each wrong
    one."""

    def __init__(self, client: Client, names: Iterable[str], clock: Callable[[], float] = time.monotonic) -> None:
        self._client, self._names = client, tuple(names)
        self._clock = clock
        self._unavailable: dict[str, float] = {}
        self.problems: dict[str, str] = {}

    async def run(self) -> None:
        """Check periodically, because definitions and APIServices come and go."""
        await check_forever(self.check)

    async def check(self) -> bool:
        """Check all APIServices once, and log changes. Return whether all are right."""
        for name in self._names:
            before, found = self.problems.get(name, ""), await self._check(name)
            if found and found != before:
                log.warning("APIService %s: %s", name, found)
            elif before and not found:
                log.info("APIService %s: kube-apiserver passes its group on to this server now", name)
            self.problems = {other: text for other, text in {**self.problems, name: found}.items() if text}
        return not self.problems

    async def _check(self, name: str) -> str:
        try:
            found = await self._client.request("GET", API_SERVICES + name)
        except ApiException as error:
            return _advice(error)
        wrong = problem(name, found)
        unavailable = None if wrong else _unavailable(found)
        if unavailable is None:
            self._unavailable.pop(name, None)
            return wrong
        now = self._clock()
        if now - self._unavailable.setdefault(name, now) < GRACE:
            return self.problems.get(name, "")
        return _unavailable_text(unavailable)

    def report(self) -> str:
        """Return all problems as text, "" if there are none."""
        return "; ".join(f"APIService {name}: {text}" for name, text in self.problems.items())

    def values(self) -> Iterator[tuple[dict[str, str], float]]:
        """Yield the values of a gauge: 1 for each correct APIService, 0 for others."""
        for name in self._names:
            yield {"apiservice": name}, float(name not in self.problems)


def problem(name: str, found: dict[str, Any]) -> str:
    """Return what is wrong with an APIService, "" if it refers to a server such as this one."""
    if (found.get("spec") or {}).get("service"):
        return ""
    group = name.partition(".")[2]
    why = f"kube-apiserver serves {group} itself, for a CustomResourceDefinition: tenants reach none of this server's kinds of that group"
    if name != BMO:
        return f"{why}. Both cannot be in one cluster: install this server where that definition is not"
    return (
        f"{why}. Install manifests/overlays/beside-bmo instead, which gives `serve` and `controllers` --host-view-group={OTHER}, and takes "
        "the tenants' rights on real hosts away"
    )


def _unavailable(found: dict[str, Any]) -> dict[str, Any] | None:
    """Return the condition Available of an APIService if it is False."""
    conditions = (found.get("status") or {}).get("conditions") or ()
    return next((item for item in conditions if item.get("type") == "Available" and item.get("status") == "False"), None)


def _unavailable_text(condition: dict[str, Any]) -> str:
    """Return the effect of an unavailable APIService, and the remedy.

    The condition's message has addresses, and everyone may read /readyz: it is left out."""
    reason, message = str(condition.get("reason") or "no reason"), str(condition.get("message") or "")
    advice = _ADVICE.get(reason, "")
    if "x509" in message or "certificate" in message:
        advice = _UNVERIFIED
    what = f"it is not available ({reason}), so that tenants reach nothing and no namespace can be deleted"
    return f"{what}{advice and f': {advice}'}. `kubectl describe apiservice` shows kube-apiserver's own words"


def _advice(error: ApiException) -> str:
    match error.status:
        case 404:
            return "it is not there: apply the APIService manifests"
        case 403:
            return "this server's account may not get apiservices, so it cannot tell whether it is reached: apply the RBAC manifests"
        case _:
            return f"it cannot be read now (HTTP status {error.status})"

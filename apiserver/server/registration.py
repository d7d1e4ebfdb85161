"""Check whether kube-apiserver passes this server's groups on to it, and report what to do if not.

If a group has a CustomResourceDefinition, kube-aggregator keeps the group's APIService for itself,
whatever is applied. Tenants then see the objects of that definition, or nothing, while this server
runs. So the server reports it in its log, in /readyz?verbose and in a metric. It stays ready,
because its other group is served, and a definition that is added later must not end that.
"""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Any

from apiserver.client.errors import ApiException
from apiserver.server.background import check_forever

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from apiserver.client.client import Client

__all__ = ["API_SERVICES", "Registrations", "problem"]

log = logging.getLogger(__name__)

API_SERVICES = "/apis/apiregistration.k8s.io/v1/apiservices/"
BMO = "v1alpha1.metal3.io"
OTHER = "workload.metal3.io"


class Registrations:
    """Checks APIServices.

    `names` are their names, such as v1alpha1.metal3.io. `problems` has the text for each wrong
    one."""

    def __init__(self, client: Client, names: Iterable[str]) -> None:
        self._client, self._names = client, tuple(names)
        self.problems: dict[str, str] = {}

    async def run(self) -> None:
        """Check periodically, because definitions and APIServices come and go."""
        await check_forever(self.look)

    async def look(self) -> bool:
        """Check all APIServices once, and log changes. Return whether all are right."""
        for name in self._names:
            said, found = self.problems.get(name, ""), await self._look(name)
            if found and found != said:
                log.warning("APIService %s: %s", name, found)
            elif said and not found:
                log.info("APIService %s: kube-apiserver passes its group on to this server now", name)
            self.problems = {other: text for other, text in {**self.problems, name: found}.items() if text}
        return not self.problems

    async def _look(self, name: str) -> str:
        try:
            return problem(name, await self._client.request("GET", API_SERVICES + name))
        except ApiException as error:
            return _advice(error)

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


def _advice(error: ApiException) -> str:
    match error.status:
        case 404:
            return "it is not there: apply the APIService manifests"
        case 403:
            return "this server's account may not get apiservices, so it cannot tell whether it is reached: apply the RBAC manifests"
        case _:
            return f"it cannot be read now (HTTP status {error.status})"

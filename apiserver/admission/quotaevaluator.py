"""Decide which quotas count a kind, and which of several creations fit into all of them.

The use of a quota is the larger of two numbers. One is status.used, which all servers and the quota
controller write. The other is the number of objects that this server has or is about to create. The
first may lack a creation that a recount has overtaken. The second may lack creations of other
replicas.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from collections.abc import Set as AbstractSet
from dataclasses import dataclass, field
from decimal import ROUND_CEILING, Decimal
from typing import Any

from apiserver.registry.generic.resource import Resource

_QUANTITY = re.compile(r"([+-]?[0-9.]+)([numkMGTPE]|[KMGTPE]i|[eE][+-]?[0-9]+)?")
_DECIMAL = {"n": -9, "u": -6, "m": -3, "": 0, "k": 3, "M": 6, "G": 9, "T": 12, "P": 15, "E": 18}
_BINARY = {"Ki": 10, "Mi": 20, "Gi": 30, "Ti": 40, "Pi": 50, "Ei": 60}


class StatusUnknown(Exception):
    """The use of a quota has not been counted yet. The argument is the quota's name."""


@dataclass(frozen=True, slots=True)
class Limit:
    """The limit and the use of one kind in one ResourceQuota."""

    quota: str
    hard: int
    used: int


@dataclass(frozen=True, slots=True)
class Request:
    """One creation.

    charged: the quotas whose status already counts it. dry: whether it is a dry run.
    additional: the number of things that count but are not objects of the kind (see ChargedHosts)."""

    name: str
    charged: AbstractSet[str] = frozenset()
    dry: bool = False
    additional: int = 0


@dataclass(slots=True)
class Outcome:
    """The decisions.

    `refusals` has an entry for each request, None if it fits. `used` has the new use of each quota
    whose use changes."""

    refusals: list[str | None] = field(default_factory=list)
    used: dict[str, int] = field(default_factory=dict)


def counted_as(resource: Resource) -> str:
    """Return the name under which quotas count objects of a kind."""
    return f"count/{resource.plural}.{resource.group}" if resource.group else f"count/{resource.plural}"


def limits(quotas: Iterable[Mapping[str, Any]], counted: str) -> list[Limit]:
    """Return the limits of a namespace's quotas for this count, in the order of their names.

    As in kube-apiserver, status.hard counts, and quotas with scopes never do. Raises StatusUnknown."""
    found = []
    for quota in sorted(quotas, key=lambda quota: str(quota["metadata"]["name"])):
        status = quota.get("status") or {}
        hard, used = (status.get("hard") or {}).get(counted), (status.get("used") or {}).get(counted)
        if hard is None or not applies(quota):
            continue
        if used is None:
            raise StatusUnknown(quota["metadata"]["name"])
        found.append(Limit(quota["metadata"]["name"], quantity(hard), quantity(used)))
    return found


def applies(quota: Mapping[str, Any]) -> bool:
    """Return whether the quota has no scopes. Scopes are about pods and volume claims."""
    spec = quota.get("spec") or {}
    return not spec.get("scopes") and not (spec.get("scopeSelector") or {}).get("matchExpressions")


def check_requests(found: Sequence[Limit], requests: Sequence[Request], held: AbstractSet[str], counted: str) -> Outcome:
    """Decide for each request in turn whether it fits into all limits, after the previous ones.

    `held` are the names of the objects that exist here, or are about to."""
    outcome, names = Outcome(), set(held)
    used = {limit.quota: limit.used for limit in found}
    for request in requests:
        after, additional = len(names | {request.name}), request.additional
        exceeded = [
            limit for limit in found if limit.quota not in request.charged and max(used[limit.quota] + 1, after) + additional > limit.hard
        ]
        outcome.refusals.append(refusal(exceeded[0], max(used[exceeded[0].quota], len(names)), counted, additional) if exceeded else None)
        if not exceeded and not request.dry:
            names.add(request.name)
            for limit in found:
                if limit.quota not in request.charged:
                    used[limit.quota] = max(used[limit.quota] + 1, after)
    outcome.used = {limit.quota: used[limit.quota] for limit in found if used[limit.quota] != limit.used}
    return outcome


def with_used(quota: Mapping[str, Any], counted: str, used: int) -> dict[str, Any]:
    """Return the quota with another count in its status, to be PUT under its resourceVersion."""
    status = quota.get("status") or {}
    changed = {**status, "used": {**(status.get("used") or {}), counted: str(used)}}
    return {"apiVersion": "v1", "kind": "ResourceQuota", **quota, "status": changed}


def quantity(text: object) -> int:
    """Return a Kubernetes quantity as a whole number, rounded up. Raises ValueError."""
    matched = _QUANTITY.fullmatch(str(text))
    if matched is None:
        raise ValueError(f"not a quantity: {text}")
    number, suffix = Decimal(matched[1]), matched[2] or ""
    if suffix in _BINARY:
        number *= 2 ** _BINARY[suffix]
    elif suffix in _DECIMAL:
        number = number.scaleb(_DECIMAL[suffix])
    else:
        number = number.scaleb(int(suffix[1:]))
    return int(number.to_integral_value(ROUND_CEILING))


def refusal(limit: Limit, used: int, counted: str, additional: int = 0) -> str:
    """Return the refusal in kube-apiserver's words, followed by the number of hosts that count
    besides objects."""
    asked, taken, most = (f"{counted}={number}" for number in (1, used + additional, limit.hard))
    words = f"exceeded quota: {limit.quota}, requested: {asked}, used: {taken}, limited: {most}"
    return f"{words}; {_ADDITIONAL.format(additional)}" if additional else words


_ADDITIONAL = (
    "{} of them are hosts that earlier Workloads of the namespace left retained, not cleaned or marked as unhealthy: "
    "ask the hardware's owner to free them"
)

"""Plan which free hosts each namespace sees.

With a limit per namespace, the kinds of hardware take turns, so that a namespace sees some of each.
Within a kind, rendezvous hashing gives each namespace its own selection. So tenants rarely want the
same host, and few offers move when a host is added or removed.
"""

from __future__ import annotations

import hashlib
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from heapq import nlargest
from itertools import zip_longest

from apiserver.apis.bounded import bounded_lru_cache
from apiserver.apis.host import dirty_for, is_open_to, reserved_for, unavailable_reason
from apiserver.client.objects import Object, name_of

MIX, MASK = 0x9E3779B97F4A7C15, 2**64 - 1


@dataclass(frozen=True, slots=True)
class Offered:
    """Describe a free host by its kind of hardware, and by the uid of the only namespace that may
    have it.

    Such a namespace has data on it (`dirty_for`, "" for none) or a Reservation (`reserved_for`)."""

    name: str
    kind: str
    dirty_for: str | None = None
    reserved_for: str | None = None


def held_offers(host: Object, namespaces: Mapping[str, str]) -> list[str]:
    """Return the namespace in which a host that is not free is shown nevertheless, or an empty
    list.

    That namespace has the consumer that already uses the host at its source."""
    status = host.get("status") or {}
    held = status.get("held") if status.get("report") and not host["metadata"].get("deletionTimestamp") else None
    return [held["namespace"]] if held and namespaces.get(held["namespace"]) == (held.get("namespaceUID") or "") else []


def offered(host: Object) -> Offered:
    """Return the Host as an offer."""
    return Offered(name_of(host), hardware_kind(host), dirty_for(host), reserved_for(host))


def hardware_kind(host: Object) -> str:
    """Return the host's kind. Hosts of one kind have equivalent hardware."""
    hardware = host["status"]["report"]["status"].get("hardware") or {}
    cpu, disks = hardware.get("cpu") or {}, hardware.get("storage") or ()
    size = sum(int(disk.get("sizeBytes") or 0) for disk in disks)
    return f"{cpu.get('arch')}/{cpu.get('count')}/{hardware.get('ramMebibytes')}/{size}/{len(hardware.get('nics') or ())}"


def current_offers(host: Object) -> list[str]:
    """Return the namespaces to which the Host is offered."""
    return list(host["spec"].get("offers") or [])


def changes(hosts: Sequence[Object], namespaces: Mapping[str, str], limit: int | None) -> list[tuple[str, list[str]]]:
    """Return the necessary changes of a class's offers: names of Hosts with their namespaces.

    Claimed hosts stay unchanged. `namespaces` maps names to uids."""
    unclaimed = [host for host in hosts if not host["spec"].get("claimRef")]
    wanted = {name_of(host): held_offers(host, namespaces) for host in unclaimed if unavailable_reason(host)}
    wanted |= plan((offered(host) for host in unclaimed if not unavailable_reason(host)), namespaces, limit)
    return [(name_of(host), wanted[name_of(host)]) for host in unclaimed if current_offers(host) != wanted[name_of(host)]]


def plan(hosts: Iterable[Offered], namespaces: Mapping[str, str], limit: int | None) -> dict[str, list[str]]:
    """Return the sorted namespaces that see each host, by host name.

    `namespaces` maps names to uids. `limit` is the largest number of hosts per namespace, None for
    no limit. Hosts that are set aside for a namespace are shown to it beyond the limit."""
    kept = defaultdict[str, list[Offered]](list)
    known = list[Offered]()
    for host in hosts:
        (known if host.reserved_for is None else kept[host.reserved_for]).append(host)
    points = {host.name: _point(host.name) for host in known} if limit is not None else {}
    result: dict[str, set[str]] = {host.name: set() for host in (*known, *(host for some in kept.values() for host in some))}
    for namespace, uid in namespaces.items():
        eligible = [host for host in known if is_open_to(host.dirty_for, uid)]
        chosen = eligible if limit is None or len(eligible) <= limit else _choose(eligible, _point(namespace), points, limit)
        own = (host for host in kept.get(uid, ()) if is_open_to(host.dirty_for, uid))
        for host in (*chosen, *own):
            result[host.name].add(namespace)
    return {name: sorted(seen) for name, seen in result.items()}


def _choose(hosts: Sequence[Offered], namespace: int, points: Mapping[str, int], limit: int) -> list[Offered]:
    kinds: dict[str, list[Offered]] = defaultdict(list)
    for host in hosts:
        kinds[host.kind].append(host)
    # The high bits of the product depend on all bits of both numbers. That mixes as well as hashing
    # each pair, at a tenth of the cost.
    best = (nlargest(limit, kinds[kind], key=lambda host: ((points[host.name] ^ namespace) * MIX) & MASK) for kind in sorted(kinds))
    return [host for turn in zip_longest(*best) for host in turn if host is not None][:limit]


@bounded_lru_cache(1 << 16, 253)
def _point(name: str) -> int:
    return int.from_bytes(hashlib.blake2b(name.encode(), digest_size=8).digest(), "big")

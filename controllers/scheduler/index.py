"""Index free hosts, so that the best fit is found by a lookup and a few comparisons.

The cost of a lookup does not depend on the number of hosts. Workloads differ in the amounts that
they need, but little in the labels that they select by. The index has a bucket for each set of such
labels. A bucket holds groups of hosts that are equivalent in every relevant property. It sorts the
groups with equal values of the selected labels by capacity.
"""

from __future__ import annotations

import math
from bisect import bisect_left, insort
from collections import Counter, OrderedDict
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from itertools import count, islice

from controllers.kinds import FAILURE_DOMAIN
from controllers.scheduler.fit import Candidate, Requirements, capacity, demand, hash_seed, is_kept, ring_order, unfit_reason

BUCKETS = 32
"""The most label sets that are indexed. A new set costs a scan of all hosts."""
ROUNDING = 1e-6
_serials = count()


@dataclass(slots=True)
class _Group:
    """Holds equivalent hosts: `sample` is one of them, `names` is sorted, `order` is their
    capacity."""

    order: float
    sample: Candidate
    names: list[str] = field(default_factory=list)
    serial: int = field(default_factory=lambda: next(_serials))

    def nearest(self, point: str) -> str:
        """Return the first name on the ring, seen from the point."""
        return self.names[bisect_left(self.names, point) % len(self.names)]


@dataclass(frozen=True, slots=True)
class _Keys:
    """Names the labels that Workloads select by: those with one value (`equal`), and all others."""

    equal: tuple[str, ...]
    other: tuple[str, ...]


class _Bucket:
    """Groups all hosts by the labels of one set."""

    def __init__(self, keys: _Keys, want: Requirements) -> None:
        self._keys, self._want = keys, want
        self._groups: dict[tuple[object, ...], _Group] = {}
        self._rows: dict[tuple[str | None, ...], list[tuple[float, int, _Group]]] = {}

    def add(self, host: Candidate) -> None:
        equivalence = self._equivalence(host)
        group = self._groups.get(equivalence)
        if group is None:
            group = self._groups[equivalence] = _Group(capacity(host, self._want), host)
            insort(self._rows.setdefault(self._equal(host.labels), []), (group.order, group.serial, group))
        insort(group.names, host.name)

    def remove(self, host: Candidate) -> None:
        equivalence = self._equivalence(host)
        group = self._groups[equivalence]
        del group.names[bisect_left(group.names, host.name)]
        if not group.names:
            del self._groups[equivalence]
            row = self._rows[self._equal(host.labels)]
            del row[bisect_left(row, (group.order, group.serial))]
            if not row:
                del self._rows[self._equal(host.labels)]

    def row(self, labels: Mapping[str, str], least: float) -> Iterator[_Group]:
        """Return the groups with these labels, from the capacity `least` on, smallest first."""
        row = self._rows.get(self._equal(labels), [])
        return (group for _, _, group in islice(row, bisect_left(row, (least,)), None))

    def _equal(self, labels: Mapping[str, str]) -> tuple[str | None, ...]:
        return tuple(labels.get(key) for key in self._keys.equal)

    def _equivalence(self, host: Candidate) -> tuple[object, ...]:
        return *host.shape, *self._equal(host.labels), *(host.labels.get(key) for key in self._keys.other)


class HostIndex:
    """Indexes the free hosts of one class. `scanned` counts the groups examined so far, as a
    measure of the work."""

    def __init__(self) -> None:
        self._hosts: dict[str, Candidate] = {}
        self._buckets: OrderedDict[_Keys, _Bucket] = OrderedDict()
        self._kept: Counter[str] = Counter()
        """The number of hosts that Reservations keep, by the uid of their namespace."""
        self.scanned = 0

    def __len__(self) -> int:
        return len(self._hosts)

    def __iter__(self) -> Iterator[Candidate]:
        """Iterate over all hosts, in no particular order."""
        return iter(self._hosts.values())

    def add(self, host: Candidate) -> None:
        """Add a host. It replaces one of the same name."""
        self.remove(host.name)
        self._hosts[host.name] = host
        if host.reserved_for is not None:
            self._kept[host.reserved_for] += 1
        for bucket in self._buckets.values():
            bucket.add(host)

    def remove(self, name: str) -> Candidate | None:
        """Remove a host, and return it if it was there."""
        host = self._hosts.pop(name, None)
        if host is not None:
            self._uncount(host)
            for bucket in self._buckets.values():
                bucket.remove(host)
        return host

    def _uncount(self, host: Candidate) -> None:
        if host.reserved_for is not None:
            self._kept[host.reserved_for] -= 1
            if not self._kept[host.reserved_for]:
                del self._kept[host.reserved_for]

    def best(self, want: Requirements) -> Candidate | None:
        """Return the host that fits best, or None."""
        labels = self._labels(want)
        if want.failure_domain and labels.get(FAILURE_DOMAIN, want.failure_domain) == want.failure_domain:
            found = self._best(want, {**labels, FAILURE_DOMAIN: want.failure_domain})
            if found is not None:
                return found
        return self._best(want, labels)

    def domains(self, want: Requirements, keys: Iterable[str]) -> dict[str, set[str]]:
        """Return the values of the labels `keys`, which the rules look at, of all hosts that
        fit."""
        found: dict[str, set[str]] = {key: set() for key in keys}
        for group in self._fitting(want, self._labels(want)) if found else ():
            for key, values in found.items():
                if key in group.sample.labels:
                    values.add(group.sample.labels[key])
        return found

    def _labels(self, want: Requirements) -> dict[str, str]:
        return (want.selector or {}).get("matchLabels") or {}

    def _fitting(self, want: Requirements, labels: Mapping[str, str]) -> Iterator[_Group]:
        """Yield the groups of hosts that have these labels and fit, smallest first."""
        for group in self._bucket(want, labels).row(labels, demand(want) - ROUNDING):
            self.scanned += 1
            if unfit_reason(group.sample, want) is None:
                yield group

    def _best(self, want: Requirements, labels: Mapping[str, str]) -> Candidate | None:
        """Return the best of the hosts that have these labels, or None.

        Of those that its placement prefers equally, hosts that a Reservation keeps for the
        namespace come first."""
        point, chosen, looks_for_kept = hash_seed(want.seed), "", want.namespace_uid in self._kept
        least: tuple[tuple[float, ...], bool, float] = ((), True, math.inf)
        for group in self._fitting(want, labels):
            if group.order > least[2] and not want.rules.preferences and not (least[1] and looks_for_kept):
                break
            rank = (want.rules.cost(group.sample.labels), not is_kept(group.sample, want), group.order)
            name = group.nearest(point)
            if not chosen or rank < least:
                least, chosen = rank, name
            elif rank == least:
                chosen = min(chosen, name, key=lambda name: ring_order(point, name))
        return self._hosts[chosen] if chosen else None

    def _bucket(self, want: Requirements, labels: Mapping[str, str]) -> _Bucket:
        expressions = (requirement["key"] for requirement in (want.selector or {}).get("matchExpressions") or ())
        # Labels with amounts are separate from compared ones, because they also decide the order.
        other = (*sorted({*expressions, *want.rules.keys}), "", *sorted(key for key, _, _ in want.resources))
        keys = _Keys(tuple(sorted(labels)), other)
        bucket = self._buckets.get(keys)
        if bucket is None:
            bucket = self._buckets[keys] = _Bucket(keys, want)
            for host in self._hosts.values():
                bucket.add(host)
            if len(self._buckets) > BUCKETS:
                self._buckets.popitem(last=False)
        self._buckets.move_to_end(keys)
        return bucket

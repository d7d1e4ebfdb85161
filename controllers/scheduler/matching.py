"""Match a batch of Workloads with hosts as a whole: as many as possible, on the least capacity.

A choice one by one may give a Workload the only host that another one could have. Here, each host
is offered in turn, the smallest first. It is used if one more Workload can then have a host, and
earlier Workloads may change their hosts for that (an augmenting path). The sets of hosts that can
be used together are the independent sets of a transversal matroid. So this yields a maximum
matching, and among all maximum matchings one of least total capacity.

Equivalent hosts are treated as one, and so are equal Workloads. The part of the graph that a failed
search has reached cannot be improved later, and is never searched again. So the cost grows with the
number of kinds of hosts, and not with the number of hosts.
"""

from __future__ import annotations

from collections import defaultdict, deque
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace

import orjson

from controllers.scheduler.fit import Candidate, Requirements, capacity, is_kept, label_keys, unfit_reason

MOST_KINDS, MOST_KEYS = 32, 128
"""The most different requirements in a batch, and the most labels that they look at."""
_PLAIN = Requirements("", "")
"""Requirements without labels, by which a host's capacity includes all that it has."""


@dataclass(slots=True)
class Plan:
    """Maps the keys of Workloads to hosts. `work` counts comparisons and steps of searches."""

    hosts: dict[str, str] = field(default_factory=dict)
    work: int = 0


def too_different(wants: Iterable[Requirements]) -> str | None:
    """Return why the batch cannot be planned as a whole, or None."""
    kinds = {_kind(want): want for want in wants}
    if len(kinds) > MOST_KINDS:
        return f"the gang's members have {len(kinds)} different requirements: use at most {MOST_KINDS}"
    keys = {key for want in kinds.values() for key in label_keys(want)}
    return f"the gang's members look at {len(keys)} labels of hosts: use at most {MOST_KEYS}" if len(keys) > MOST_KEYS else None


def plan(hosts: Iterable[Candidate], wants: Mapping[str, Requirements]) -> Plan:
    """Return a host for as many of the Workloads as possible, on the least capacity.

    The Workloads are of one namespace, and not `too_different`."""
    kinds: dict[object, list[str]] = defaultdict(list)
    for key, want in wants.items():
        kinds[_kind(want)].append(key)
    samples = [wants[keys[0]] for keys in kinds.values()]
    groups = _groups(hosts, samples)
    fits = (sum(1 << place for place, want in enumerate(samples) if unfit_reason(group[0], want) is None) for group in groups)
    matching = Matching([len(keys) for keys in kinds.values()], ((len(group), mask) for group, mask in zip(groups, fits, strict=True)))
    result = Plan(work=len(matching.given) * len(samples) + matching.steps)
    waiting = [deque(keys) for keys in kinds.values()]
    for group, given in zip(groups, matching.given, strict=False):
        names = iter(sorted(host.name for host in group))
        result.hosts |= {waiting[place].popleft(): next(names) for place, count in given.items() for _ in range(count)}
    return result


def _kind(want: Requirements) -> object:
    """Return a key that equal requirements share."""
    return replace(want, seed="", selector=None), orjson.dumps(want.selector, option=orjson.OPT_SORT_KEYS)


def _groups(hosts: Iterable[Candidate], wants: Sequence[Requirements]) -> list[list[Candidate]]:
    """Return the hosts by what the requirements look at.

    Those that a Reservation keeps for the namespace come first, then those of least capacity."""
    keys = sorted({key for want in wants for key in label_keys(want)})
    own = wants[0] if wants else _PLAIN
    groups: dict[tuple[object, ...], list[Candidate]] = defaultdict(list)
    for host in hosts:
        groups[*host.shape, *map(host.labels.get, keys)].append(host)
    return sorted(groups.values(), key=lambda group: (not is_kept(group[0], own), capacity(group[0], _PLAIN), group[0].name))


class Matching:
    """A maximum matching of demands with supplies.

    `demands` are the numbers of equal requests. `supplies` are the numbers of equal hosts, the
    cheapest first, each with a bit for every demand that it can serve; they are read as far as
    needed. `given` is, for each supply that was read, what it gives to which demand. `steps` counts
    the work."""

    def __init__(self, demands: Sequence[int], supplies: Iterable[tuple[int, int]]) -> None:
        self._left, self._masks = list(demands), list[int]()
        self.given: list[dict[int, int]] = []
        self._from: list[set[int]] = [set() for _ in demands]
        self._closed, self._missing, self.steps = 0, sum(demands), 0
        for supply, (count, mask) in enumerate(supplies):
            self._masks.append(mask)
            self.given.append({})
            self._use(supply, count)
            if not self._missing:
                break

    def _use(self, supply: int, count: int) -> None:
        """Use as much as possible of a supply. What later supplies add cannot make more of it
        usable."""
        while count and self._missing and (path := self._path(supply)) is not None:
            for giver, demand, instead in path:
                self._give(giver, demand, 1)
                if instead is not None:
                    self._give(giver, instead, -1)
            self._left[path[0][1]] -= 1
            self._missing -= 1
            count -= 1

    def _give(self, supply: int, demand: int, more: int) -> None:
        given = self.given[supply]
        given[demand] = given.get(demand, 0) + more
        if given[demand]:
            self._from[demand].add(supply)
        else:
            del given[demand]
            self._from[demand].discard(supply)

    def _path(self, start: int) -> list[tuple[int, int, int | None]] | None:
        """Return the steps that let one more of the supply be used, the last demand first.

        Each is a supply, the demand that it serves now, and the one that it served before."""
        seen, reached = self._closed, {}
        served: dict[int, int | None] = {start: None}
        queue = deque([start])
        while queue:
            supply = queue.popleft()
            new = self._masks[supply] & ~seen
            seen |= new
            for demand in _bits(new):
                self.steps += 1
                reached[demand] = supply
                if self._left[demand]:
                    return list(_steps(demand, reached, served))
                for other in self._from[demand] - served.keys():
                    self.steps += 1
                    served[other] = demand
                    queue.append(other)
        self._closed = seen
        return None


def _steps(demand: int, reached: Mapping[int, int], served: Mapping[int, int | None]) -> Iterator[tuple[int, int, int | None]]:
    last: int | None = demand
    while last is not None:
        supply = reached[last]
        yield supply, last, served[supply]
        last = served[supply]


def _bits(mask: int) -> Iterator[int]:
    while mask:
        lowest = mask & -mask
        yield lowest.bit_length() - 1
        mask ^= lowest

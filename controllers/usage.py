"""Sum up the use of hosts in a period: allocated and powered-on seconds by namespace, class and
size.

All numbers are computed from UsageRecords, which the server keeps. Times are seconds since the
epoch, and periods are half-open: a second that begins at the end of a period belongs to the next
one.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from apiserver.apis.usagerecord import AMOUNTS, HOLDER
from apiserver.client.clock import seconds_of, timestamp
from apiserver.client.objects import Object, name_of

Key = tuple[str, str, str, str]


@dataclass(slots=True)
class Use:
    """The use of hosts of one class and size by one namespace, in seconds. `hosts`: the Hosts'
    names."""

    allocated: int = 0
    powered_on: int = 0
    hosts: set[str] = field(default_factory=set)

    def add(self, host: str, allocated: int, powered_on: int) -> None:
        """Add seconds of one host."""
        self.allocated, self.powered_on = self.allocated + allocated, self.powered_on + powered_on
        self.hosts.add(host)


@dataclass(frozen=True, slots=True)
class Report:
    """The use in a period from `begin` to `end`.

    `estimated`: the period cuts an interval of which only the sum is known, such as a day. The
    share of the period is then estimated in proportion to time."""

    begin: int
    end: int
    uses: Mapping[Key, Use]
    estimated: bool

    def rows(self) -> list[dict[str, Any]]:
        """Return a row for each namespace, class and size."""
        return [
            {
                **dict(zip(HOLDER, key, strict=True)),
                "hosts": len(use.hosts),
                **dict(zip(AMOUNTS, (use.allocated, use.powered_on), strict=True)),
            }
            for key, use in sorted(self.uses.items())
        ]

    def total(self) -> dict[str, int]:
        """Return the sums over all rows. A host that several namespaces had is one host."""
        hosts = {name for use in self.uses.values() for name in use.hosts}
        sums = (sum(use.allocated for use in self.uses.values()), sum(use.powered_on for use in self.uses.values()))
        return {"hosts": len(hosts), **dict(zip(AMOUNTS, sums, strict=True))}


def report(records: Iterable[Object], begin: int, end: int, now: int) -> Report:
    """Return the use from `begin` to `end`. Hosts that are still in use count up to `now`."""
    uses: dict[Key, Use] = {}
    estimated = False
    for record in records:
        for interval in intervals(record, now):
            times = seconds_of(interval["from"]), seconds_of(interval["to"])
            if max(begin, times[0]) >= min(end, times[1]):
                continue
            parts = [_share(interval[amount], *times, begin, end) for amount in AMOUNTS]
            estimated = estimated or (not _is_even(interval, times[1] - times[0]) and not begin <= times[0] <= times[1] <= end)
            uses.setdefault(holder(interval), Use()).add(name_of(record), parts[0], parts[1])
    return Report(begin, end, uses, estimated)


def intervals(record: Object, now: int) -> list[dict[str, Any]]:
    """Return the intervals of a record, and the present use of its host as an interval up to
    `now`."""
    found = list(record["spec"].get("intervals") or ())
    current = record["spec"].get("current")
    if current and now > seconds_of(current["since"]):
        whole = now - seconds_of(current["since"])
        times = {"from": current["since"], "to": timestamp(now)}
        found.append({**current, **times, "allocatedSeconds": whole, "poweredOnSeconds": whole if current["poweredOn"] else 0})
    return found


def holder(interval: Mapping[str, Any]) -> Key:
    """Return the namespace, its uid, the class and the size of an interval."""
    namespace, uid, class_name, size = (str(interval.get(part) or "") for part in HOLDER)
    return namespace, uid, class_name, size


def _share(amount: int, start: int, stop: int, begin: int, end: int) -> int:
    """Return the part of an interval's amount that belongs to the period, in proportion to time.

    The parts of adjoining periods add up to the amount."""
    until = [amount * (min(max(time, start), stop) - start) // (stop - start) for time in (begin, end)]
    return until[1] - until[0]


def _is_even(interval: Mapping[str, Any], length: int) -> bool:
    """Return whether all seconds of the interval are alike, so that the amounts of a part are
    exact."""
    return interval["allocatedSeconds"] == length and interval["poweredOnSeconds"] in (0, length)

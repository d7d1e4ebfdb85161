"""Record which namespaces had a host, and for how long, in the commits that change it.

A UsageRecord is computed from the Host: each write that changes a Host's namespace, class, size or
power also writes its record, in the same commit. So no process has to count, and a crash can
neither lose use nor count it twice. As for quotas, a host belongs to a namespace from the binding
until other namespaces can have the host.

Times are those of the server's clock, in whole seconds. A record's times never go back: while the
clock is behind the record's last time, no time is counted, so none is counted twice.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from typing import Any

import orjson

from apiserver.apis.quantity import MI, human
from apiserver.apis.uid import new_uid
from apiserver.apis.usagerecord import AMOUNTS, HOLDER
from apiserver.client.clock import seconds_of, timestamp
from apiserver.registry.generic.registry import Registry
from apiserver.registry.generic.resource import lookup
from storage.base import Operation

BYTES = 64 * 1024
"""The largest size in bytes of a record's intervals. A commit to etcd has room for them beside the
largest Host, Workload and view."""
DAY = 86400

Spec = dict[str, Any]


def operations(records: Registry, host: Mapping[str, Any], *, begins: bool = False, missed: bool = False) -> list[Operation]:
    """Return the operations that update the record in the commit that stores `host`, possibly none.

    A missing record is created only if the write `begins` a claim: a full store accepts no new key,
    and a release must not need one. `missed`: a server of an earlier version has changed the Host
    without its record."""
    name, second = host["metadata"]["name"], int(time.time())
    entry = records.find("", name)
    if entry is None:
        if not begins:
            return []
        metadata = {"name": name, "uid": new_uid(), "creationTimestamp": timestamp(second), "generation": 1}
        kind = {"apiVersion": records.resource.api_version, "kind": records.resource.kind}
        return [records.put(None, {**kind, "metadata": metadata, "spec": updated_spec(None, host, second)})]
    record = entry.object()
    spec = updated_spec(caught_up(record["spec"], host, second) if missed else record["spec"], host, second)
    return [] if spec is record["spec"] else [records.put(entry, {**record, "spec": spec})]


def size(host: Mapping[str, Any]) -> str | None:
    """Return the size of the machine, such as "16 CPU, 64Gi, 1Ti"."""
    hardware = lookup(host, "status.report.status.hardware") or {}
    cpus, memory = (hardware.get("cpu") or {}).get("count"), hardware.get("ramMebibytes")
    disks = sum(int(disk.get("sizeBytes") or 0) for disk in hardware.get("storage") or ())
    parts = (f"{cpus} CPU" if cpus else "", human(int(memory) * MI) if memory else "", human(disks) if disks else "")
    return ", ".join(part for part in parts if part) or None


def holder_fields(host: Mapping[str, Any]) -> dict[str, Any] | None:
    """Return the fields of UsageRecord.spec.current for the Host, without `since`; None if no
    namespace has the host."""
    spec = host["spec"]
    holder = spec.get("claimRef") or spec.get("chargedTo")
    if not holder:
        return None
    found = {"namespace": holder["namespace"], "namespaceUID": holder.get("namespaceUID")}
    found |= {"className": spec["className"], "size": size(host)}
    return {**_without_empty(found), "poweredOn": lookup(host, "status.report.status.poweredOn") is True}


def updated_spec(spec: Spec | None, host: Mapping[str, Any], now: int) -> Spec:
    """Return the record's spec after the write of this Host. Returns `spec` itself if nothing
    changes. `now` is in seconds since the epoch."""
    if spec is None:
        spec = _spec_from_history(host, now)
    held, before = holder_fields(host), spec.get("current")
    if held is not None and before is not None and held["className"] == before.get("className") and "size" in before:
        held = {"size": before["size"], **held}  # a host that is inspected again has no size meanwhile
    if held == (before and {field: value for field, value in before.items() if field != "since"}):
        return spec
    at = max(now, _last(spec))
    intervals = list(spec.get("intervals") or ())
    if before is not None and at > seconds_of(before["since"]):
        whole = at - seconds_of(before["since"])
        intervals = bounded([*intervals, _interval(before, seconds_of(before["since"]), at, whole if before["poweredOn"] else 0)])
    present = {**held, "since": timestamp(at)} if held is not None else None
    return _without_empty({"host": host["spec"]["source"]["name"], "current": present, "intervals": intervals})


def caught_up(spec: Spec, host: Mapping[str, Any], now: int) -> Spec:
    """Return the record's spec with the claims that a server of an earlier version did not record.

    That server ended the claim that the record shows as present. The history of claims has its end,
    and the later claims."""
    current = spec.get("current")
    if current is not None:
        since, same = seconds_of(current["since"]), _same_namespace(current)
        ends = [seconds_of(claim["releasedAt"]) for claim in _history(host) if "releasedAt" in claim and _same_namespace(claim) == same]
        end = min((end for end in ends if end >= since), default=None)
        if end is None:
            return spec
        spec = updated_spec(spec, without_holder(host), min(end, now))
    missed = _intervals(host, _last(spec), now)
    return {**spec, "intervals": bounded([*(spec.get("intervals") or ()), *missed])} if missed else spec


def without_holder(host: Mapping[str, Any]) -> dict[str, Any]:
    """Return the Host without the fields that say which namespace has it."""
    return {**host, "spec": {field: value for field, value in host["spec"].items() if field not in ("claimRef", "chargedTo")}}


def released(spec: Spec, now: int) -> Spec:
    """Return the record's spec after its Host was deleted."""
    host = {"spec": {"source": {"name": spec.get("host", "")}}}
    return updated_spec(spec, host, now)


def ended(spec: Spec) -> int | None:
    """Return when the host was last in use, in seconds since the epoch, or None if it still is."""
    return None if spec.get("current") else _last(spec)


def bounded(intervals: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Return intervals of at most BYTES, with the same sums.

    The older half of a full record is summed up in up to four steps: for each holder by day, by
    month and as a whole, and finally for all holders together."""
    for same in (_same_day, _same_month, _same_holder, _same_record):
        if len(orjson.dumps(intervals)) <= BYTES:
            break
        half = len(intervals) // 2
        intervals = [*_summed(intervals[:half], same), *intervals[half:]]
    return intervals


def _spec_from_history(host: Mapping[str, Any], now: int) -> Spec:
    """Return the spec of a new record, computed from the history of claims in the Host's status."""
    return _without_empty({"host": host["spec"]["source"]["name"], "intervals": bounded(_intervals(host, 0, now))})


def _history(host: Mapping[str, Any]) -> list[dict[str, Any]]:
    return [claim for claim in (host.get("status") or {}).get("history") or () if "boundAt" in claim]


def _intervals(host: Mapping[str, Any], last: int, now: int) -> list[dict[str, Any]]:
    """Return the intervals after `last` that the host's history of claims shows.

    The history has no power, so its intervals count as powered off."""
    intervals: list[dict[str, Any]] = []
    for claim in _history(host):
        begin, end = max(last, seconds_of(claim["boundAt"])), min(now, seconds_of(claim["releasedAt"]) if "releasedAt" in claim else now)
        if end > begin:
            holder = {"className": host["spec"]["className"], "size": size(host), **claim}
            intervals.append(_interval(_without_empty(holder), begin, end, 0))
            last = end
    return intervals


def _same_namespace(holder: Mapping[str, Any]) -> tuple[Any, ...]:
    return holder["namespace"], holder.get("namespaceUID")


def _interval(holder: Mapping[str, Any], begin: int, end: int, powered_on: int) -> dict[str, Any]:
    times = {"from": timestamp(begin), "to": timestamp(end), "allocatedSeconds": end - begin, "poweredOnSeconds": powered_on}
    return {**{field: holder[field] for field in HOLDER if field in holder}, **times}


def _last(spec: Spec) -> int:
    """Return the latest time of the record."""
    times = [interval["to"] for interval in spec.get("intervals") or ()]
    current = spec.get("current")
    latest = max((*times, current["since"] if current else ""), default="")
    return seconds_of(latest) if latest else 0


def _summed(intervals: list[dict[str, Any]], same: Callable[[dict[str, Any]], tuple[Any, ...] | None]) -> list[dict[str, Any]]:
    """Return the intervals after adding up those for which `same` returns equal keys. An interval
    for which it returns None stays unchanged."""
    found: dict[tuple[Any, ...], dict[str, Any]] = {}
    for number, interval in enumerate(intervals):
        key = same(interval) or (number,)
        found[key] = _sum(found[key], interval) if key in found else interval
    return sorted(found.values(), key=lambda interval: str(interval["from"]))


def _sum(one: dict[str, Any], other: dict[str, Any]) -> dict[str, Any]:
    holder = {field: one[field] for field in HOLDER if field in one and one[field] == other.get(field)}
    total = {field: one[field] + other[field] for field in AMOUNTS}
    return {"namespace": "", **holder, "from": min(one["from"], other["from"]), "to": max(one["to"], other["to"]), **total}


def _same_holder(interval: dict[str, Any]) -> tuple[Any, ...]:
    return tuple(interval.get(field) for field in HOLDER)


def _same_day(interval: dict[str, Any]) -> tuple[Any, ...] | None:
    begin, end = seconds_of(interval["from"]) // DAY, (seconds_of(interval["to"]) - 1) // DAY
    return (begin, *_same_holder(interval)) if begin == end else None


def _same_month(interval: dict[str, Any]) -> tuple[Any, ...] | None:
    begin, end = interval["from"][:7], timestamp(seconds_of(interval["to"]) - 1)[:7]
    return (begin, *_same_holder(interval)) if begin == end else None


def _same_record(interval: dict[str, Any]) -> tuple[Any, ...]:
    return ("all",)


def _without_empty(values: dict[str, Any]) -> dict[str, Any]:
    return {field: value for field, value in values.items() if value}

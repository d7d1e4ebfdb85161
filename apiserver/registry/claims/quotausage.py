"""Count the machines that a namespace keeps from others, by class, with their CPUs and memory.

A Workload with a host counts as that host, however small its requirements are. A Workload without a
host counts as its requirements. A host that the namespace keeps without a Workload counts as well
(see charge). All counts are computed from stored objects, so none can be lost or be wrong for long.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection
from typing import Any

from apiserver.apis.quantity import parse_quantity
from apiserver.registry.claims.claims import Claims
from apiserver.registry.generic.entry import Entry

HOSTS, CPU, MEMORY = "hosts", "cpu", "memory"
RESOURCES = (HOSTS, CPU, MEMORY)
ALL = "workload.metal3.io"
OF_CLASS = ".workloadclass.workload.metal3.io"
MOST = 2**63 - 1
"""The largest amount of anything, as in a Kubernetes quantity."""


def is_counted(name: str) -> bool:
    """Return whether this module counts the resource of this name in a quota."""
    prefix, _, resource = name.rpartition("/")
    return resource in RESOURCES and (prefix == ALL or (prefix.endswith(OF_CLASS) and prefix != OF_CLASS))


def of_workload(spec: dict[str, Any], host: Entry | None) -> Counter[str]:
    """Return the amounts that a Workload with this spec counts, by their names in quotas.

    `host` is the Host that the Workload has, or is about to get."""
    wanted = spec.get("requirements") or {}
    total = Sums()
    total.add(host, str(spec.get("className") or ""), str(wanted.get("cpuCount") or ""), str(wanted.get("ram") or ""))
    return total.named()


def of_namespace(claims: Claims, namespace: str, workload: str = "", taken: Collection[str] = ()) -> Counter[str]:
    """Return the amounts that the namespace keeps from others.

    The Workload named `workload` is not counted, nor are the hosts `taken`, which it may get."""
    total, had = Sums(), _had(claims, namespace)
    for entry in claims.workloads.collection.range(claims.workloads.resource.key(namespace, "")):
        if entry.name != workload:
            fields = entry.fields
            host = had.get((entry.name, fields[".uid"])) if had else None
            total.add(host, fields["spec.className"], fields[".cpu"], fields[".ram"])
    _add_left(total, claims, namespace, taken)
    return total.named()


def of_left(claims: Claims, namespace: str, taken: Collection[str] = ()) -> Counter[str]:
    """Return the amounts of the hosts that the namespace keeps without a Workload, except
    `taken`."""
    total = Sums()
    _add_left(total, claims, namespace, taken)
    return total.named()


def _add_left(total: Sums, claims: Claims, namespace: str, taken: Collection[str]) -> None:
    for host in claims.hosts_without_workload(namespace):
        if host.name not in taken:
            total.add(host, "", "", "")


def _had(claims: Claims, namespace: str) -> dict[tuple[str, str], Entry]:
    """Return the namespace's Hosts by the name and uid of their Workload."""
    found = {}
    for host in claims.hosts.collection.index("holder", namespace):
        claim = (".claimName", ".claimUID") if host.fields[".claimNamespace"] else (".chargedName", ".chargedUID")
        found[host.fields[claim[0]], host.fields[claim[1]]] = host
    return found


class Sums:
    """Adds amounts by class. The names of the sums are built only once, because a namespace may
    have many objects."""

    def __init__(self) -> None:
        self._numbers: dict[tuple[str, str, str], int] = {}

    def add(self, host: Entry | None, class_name: str, cpu: str, memory: str) -> None:
        """Add a host, or a Workload without one.

        A host that was not inspected counts as the Workload's requirements."""
        if host is not None:
            class_name, cpu = host.fields["spec.className"], host.fields[".cpu"] or cpu
            memory = f"{host.fields['.ram']}Mi" if host.fields[".ram"] else memory
        what = class_name, cpu, memory
        self._numbers[what] = self._numbers.get(what, 0) + 1

    def named(self) -> Counter[str]:
        """Return the sums by their names in quotas."""
        found = Counter[str]()
        for class_name, (hosts, cpu, memory) in self._by_class().items():
            for prefix in (ALL, f"{class_name}{OF_CLASS}") if class_name else (ALL,):
                found.update({f"{prefix}/{HOSTS}": hosts, f"{prefix}/{CPU}": cpu, f"{prefix}/{MEMORY}": memory})
        return found

    def _by_class(self) -> dict[str, tuple[int, int, int]]:
        sums: dict[str, tuple[int, int, int]] = {}
        for (class_name, cpu, memory), number in self._numbers.items():
            before = sums.get(class_name, (0, 0, 0))
            sums[class_name] = before[0] + number, before[1] + number * _number(cpu), before[2] + number * _number(memory)
        return sums


def _number(text: str) -> int:
    return int(min(parse_quantity(text), MOST)) if text else 0

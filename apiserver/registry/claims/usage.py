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
    return _of(host, str(spec.get("className") or ""), str(wanted.get("cpuCount") or ""), str(wanted.get("ram") or ""))


def of_namespace(claims: Claims, namespace: str, workload: str = "", taken: Collection[str] = ()) -> Counter[str]:
    """Return the amounts that the namespace keeps from others.

    The Workload named `workload` is not counted, nor are the hosts `taken`, which it may get."""
    found, had = Counter[str](), _had(claims, namespace)
    for entry in claims.workloads.collection.range(claims.workloads.resource.key(namespace, "")):
        if entry.name != workload:
            fields = entry.fields
            found.update(_of(had.get((entry.name, fields[".uid"])), fields["spec.className"], fields[".cpu"], fields[".ram"]))
    found.update(of_left(claims, namespace, taken))
    return found


def of_left(claims: Claims, namespace: str, taken: Collection[str] = ()) -> Counter[str]:
    """Return the amounts of the hosts that the namespace keeps without a Workload, except
    `taken`."""
    found = Counter[str]()
    for host in claims.hosts_without_workload(namespace):
        if host.name not in taken:
            found.update(_of(host, "", "", ""))
    return found


def _had(claims: Claims, namespace: str) -> dict[tuple[str, str], Entry]:
    """Return the namespace's Hosts by the name and uid of their Workload."""
    found = {}
    for host in claims.hosts.collection.index("holder", namespace):
        claim = (".claimName", ".claimUID") if host.fields[".claimNamespace"] else (".chargedName", ".chargedUID")
        found[host.fields[claim[0]], host.fields[claim[1]]] = host
    return found


def _of(host: Entry | None, class_name: str, cpu: str, memory: str) -> Counter[str]:
    """Return the amounts of a host, or of a Workload without one.

    A host that was not inspected counts as the Workload's requirements."""
    if host is not None:
        class_name, cpu = host.fields["spec.className"], host.fields[".cpu"] or cpu
        memory = f"{host.fields['.ram']}Mi" if host.fields[".ram"] else memory
    amounts = {HOSTS: 1, CPU: _number(cpu), MEMORY: _number(memory)}
    prefixes = (ALL, f"{class_name}{OF_CLASS}") if class_name else (ALL,)
    return Counter({f"{prefix}/{resource}": amount for prefix in prefixes for resource, amount in amounts.items()})


def _number(text: str) -> int:
    return int(min(parse_quantity(text), MOST)) if text else 0

"""Which host suits a Workload best: the smallest that will do. Pure; `freeindex` finds it without looking at all hosts.

A host fits or has reasons why not. Of those that fit, one in the wanted failure domain comes first, then the one with least
capacity; ties are spread by a hash of both, so that Workloads at work at the same time prefer different hosts.
"""

from __future__ import annotations

import hashlib
import math
from collections import Counter
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from apiserver.apis.host import reserved_for
from apiserver.apis.quantity import GI, MI, parse_quantity
from apiserver.client.objects import Object, matches, name_of

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

__all__ = [
    "OTHERS_DATA",
    "OWN",
    "Candidate",
    "Needs",
    "around",
    "candidate",
    "capacity",
    "demand",
    "explain",
    "label_keys",
    "labelled",
    "misfit",
    "misfits",
    "needs",
    "point_of",
    "too_complex",
]

MOST_TERMS = 64
"""Labels, expressions and counted resources of a Workload that are compared with each host."""
MOST_VALUES = 256
"""Values of all its expressions together."""
MOST_SAID = 8
"""Values of an expression that a message repeats."""


OTHERS_DATA = "are not available"
"""Why a host that is not clean is nothing for other namespaces."""
OWN = "are its own already"
"""Why a host that a Workload of the same namespace has is not available."""


@dataclass(frozen=True, slots=True)
class Candidate:
    """A free host, with what matters for choosing it. `ram` and `storage` are bytes. `dirty_for`: see reserved_for."""

    name: str
    labels: dict[str, str] = field(default_factory=dict)
    architecture: str = ""
    cpus: int = 0
    ram: int = 0
    storage: int = 0
    nics: int = 0
    dirty_for: str | None = None
    extras: float = 0.0
    """How much it has of what its labels count (such as GPUs): not to be wasted on those who did not ask."""

    @property
    def shape(self) -> tuple[object, ...]:
        """What fit depends on, labels apart: hosts of one shape are as good as each other."""
        return self.architecture, self.cpus, self.ram, self.storage, self.nics, self.dirty_for, self.extras


@dataclass(frozen=True, slots=True)
class Needs:
    """What a Workload needs. `resources` are labels that hold at least so much. `own`: only a host will do that holds data of its
    namespace."""

    namespace_uid: str
    seed: str
    selector: Object | None = None
    architecture: str = ""
    cpus: int = 0
    ram: float = 0
    ram_text: str = ""
    storage: float = 0
    storage_text: str = ""
    nics: int = 0
    resources: tuple[tuple[str, float, str], ...] = ()
    failure_domain: str = ""
    own: bool = False


def candidate(host: Object) -> Candidate:
    """The Host as a candidate."""
    status = host["status"]
    report = status["report"]
    hardware = report["status"].get("hardware") or {}
    labels = report.get("labels") or {}
    cpu = hardware.get("cpu") or {}
    return Candidate(
        name=name_of(host),
        labels=labels,
        architecture=cpu.get("arch") or report["spec"].get("architecture") or "",
        cpus=int(cpu.get("count") or 0),
        ram=int(hardware.get("ramMebibytes") or 0) * MI,
        storage=sum(int(disk.get("sizeBytes") or 0) for disk in hardware.get("storage") or ()),
        nics=len(hardware.get("nics") or ()),
        dirty_for=reserved_for(host),
        extras=sum(math.log2(1 + int(value)) for key, value in labels.items() if "/" in key and value.isdecimal()),
    )


def too_complex(workload: Object) -> str | None:
    """Return why the Workload is not compared with hosts: each look at a host would take too long. None if it is."""
    spec = workload["spec"]
    selector = spec.get("hostSelector") or {}
    expressions = selector.get("matchExpressions") or ()
    terms = len(selector.get("matchLabels") or ()) + len(expressions) + len((spec.get("requirements") or {}).get("resources") or ())
    if terms > MOST_TERMS:
        return f"spec.hostSelector and spec.requirements.resources have {terms} terms: use at most {MOST_TERMS}"
    values = sum(len(requirement.get("values") or ()) for requirement in expressions)
    return f"spec.hostSelector has {values} values: use at most {MOST_VALUES}" if values > MOST_VALUES else None


def needs(workload: Object, namespace_uid: str = "") -> Needs:
    """What the Workload's spec asks for, in the namespace with this uid."""
    spec, metadata = workload["spec"], workload["metadata"]
    wanted = spec.get("requirements") or {}
    ram, storage = wanted.get("ram") or 0, wanted.get("storage") or 0
    return Needs(
        namespace_uid=namespace_uid,
        seed=metadata["uid"],
        selector=spec.get("hostSelector"),
        architecture=wanted.get("architecture") or "",
        cpus=wanted.get("cpuCount") or 0,
        ram=parse_quantity(ram),
        ram_text=str(ram),
        storage=parse_quantity(storage),
        storage_text=str(storage),
        nics=wanted.get("nics") or 0,
        resources=tuple((key, parse_quantity(value), str(value)) for key, value in sorted((wanted.get("resources") or {}).items())),
        failure_domain=spec.get("failureDomain") or "",
    )


def misfit(host: Candidate, want: Needs) -> str | None:
    """Why the host will not do, as a phrase that many hosts may share; None when it fits. The first reason found counts."""
    if host.dirty_for is not None and (not host.dirty_for or host.dirty_for != want.namespace_uid):
        return OTHERS_DATA
    if want.own and host.dirty_for is None:
        return "are new to the namespace"
    if not matches(want.selector, host.labels):
        return _unmatched(want.selector, host.labels)
    if want.architecture and host.architecture != want.architecture:
        return f"are not {want.architecture}"
    for have, need, text in (
        (host.cpus, want.cpus, f"less than {want.cpus} CPUs"),
        (host.ram, want.ram, f"less than {want.ram_text} of memory"),
        (host.storage, want.storage, f"less than {want.storage_text} of storage"),
        (host.nics, want.nics, f"fewer than {want.nics} NICs"),
    ):
        if have < need:
            return f"have {text}"
    for key, amount, text in want.resources:
        if labelled(host.labels, key) < amount:
            return f"have less than {text} of {key}"
    return None


def _unmatched(selector: Object | None, labels: dict[str, str]) -> str:
    """The first part of the selector that does not match, in words."""
    selector = selector or {}
    for key, value in sorted((selector.get("matchLabels") or {}).items()):
        if labels.get(key) != value:
            return f"lack label {key}={value}"
    for requirement in selector.get("matchExpressions") or ():
        if not matches({"matchExpressions": [requirement]}, labels):
            values = _listed(requirement.get("values") or ())
            return f"do not match {requirement['key']} {requirement['operator']}{values}"
    return "do not match the host selector"


def _listed(values: Sequence[str]) -> str:
    more = ", …" if len(values) > MOST_SAID else ""
    return f" ({', '.join(values[:MOST_SAID])}{more})" if values else ""


def capacity(host: Candidate, want: Needs) -> float:
    """How much the host has, 1 more for each doubling of a dimension: the least of those that fit is the best fit.

    Depends on the host and on which labels the Workload counts, not on how much it needs: so hosts can be kept in this order."""
    hardware = _volume(host.cpus, host.ram, host.storage, host.nics)
    if not want.resources:
        return round(hardware + host.extras, 9)
    return round(hardware + sum(math.log2(1 + labelled(host.labels, key)) for key, _, _ in want.resources), 9)


def demand(want: Needs) -> float:
    """How much capacity a host has at least if it fits."""
    return _volume(want.cpus, want.ram, want.storage, want.nics) + sum(math.log2(1 + amount) for _, amount, _ in want.resources)


def _volume(cpus: float, ram: float, storage: float, nics: float) -> float:
    return math.log2(1 + cpus) + math.log2(1 + ram / GI) + math.log2(1 + storage / GI) + math.log2(1 + nics)


def labelled(labels: Mapping[str, str], key: str) -> float:
    """The number that the label holds; 0 without one."""
    try:
        return parse_quantity(labels.get(key, "0"))
    except ValueError:
        return 0.0


def point_of(seed: str) -> str:
    """Where on the ring of host names a Workload begins to look. Names are UUIDs made by hashing, hence evenly spread."""
    return hashlib.blake2b(seed.encode(), digest_size=8).hexdigest()


def around(point: str, name: str) -> tuple[bool, str]:
    """A host's place on the ring, seen from the point."""
    return name < point, name


def misfits(hosts: Iterable[Candidate], want: Needs) -> Counter[str]:
    """Why none of the hosts will do, counted; those that would are not."""
    keys, verdicts, reasons = label_keys(want), dict[tuple[object, ...], str | None](), Counter[str]()
    for host in hosts:
        alike = (*host.shape, *(host.labels.get(key) for key in keys))
        if alike not in verdicts:
            verdicts[alike] = misfit(host, want)
        if (reason := verdicts[alike]) is not None:
            reasons[reason] += 1
    return reasons


def label_keys(want: Needs) -> tuple[str, ...]:
    """The labels that decide whether a host fits."""
    selector = want.selector or {}
    expressions = (requirement["key"] for requirement in selector.get("matchExpressions") or ())
    return (*(selector.get("matchLabels") or {}), *expressions, *(key for key, _, _ in want.resources))


def explain(reasons: Mapping[str, int]) -> str:
    """Why no host fits, counted as kube-scheduler does: "0/12 hosts are available to this namespace: 8 lack label gpu=yes, 4 are its own".

    Hosts that others have are not among them: a tenant would read from the number what others have."""
    total = sum(reasons.values())
    if total == 0:
        return f"no host of the class is available to this namespace: {_NEXT}"
    parts = sorted(reasons.items(), key=lambda item: (-item[1], item[0]))
    counted = ", ".join(f"{count} {_singular(reason) if count == 1 else reason}" for reason, count in parts)
    return f"0/{total} hosts are available to this namespace: {counted}; {_NEXT}"


_NEXT = "a host that becomes free and fits is bound at once; or change spec (className, hostSelector, requirements)"


_SINGULAR = {"are": "is", "have": "has", "lack": "lacks", "do": "does", "hold": "holds"}


def _singular(reason: str) -> str:
    verb, _, rest = reason.partition(" ")
    return f"{_SINGULAR.get(verb, verb)} {rest}"

"""Decide which host fits a Workload best: the smallest one that suffices.

The scheduler's index finds that host without examining all hosts. A host fits, or there is a reason
why not. Of the hosts that fit, those in the wanted failure domain, or those that the placement
prefers, come first. Among these, the least capacity wins. A hash of Workload and host breaks ties,
so that concurrent Workloads prefer different hosts.
"""

from __future__ import annotations

import hashlib
import math
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field

from apiserver.apis.host import dirty_for, is_open_to, reserved_for
from apiserver.apis.quantity import GI, MI, parse_quantity
from apiserver.client.objects import Object, matches, name_of
from controllers.scheduler.placementrules import ANYWHERE, Rules

MOST_TERMS = 64
"""The most labels, expressions and counted resources of a Workload that are compared with a
host."""
MOST_VALUES = 256
"""The most values in all expressions of a Workload together."""
MOST_SAID = 8
"""The most values of an expression that a message repeats."""


NOT_OPEN = "are not available"
"""The phrase for hosts with another namespace's data or Reservation."""
OWN = "are its own already"
"""The phrase for hosts that Workloads of the same namespace have."""


@dataclass(frozen=True, slots=True)
class Candidate:
    """Describes a free host by the properties that decide about its choice.

    `ram` and `storage` are in bytes. `dirty_for` and `reserved_for` come from the functions of
    those names in apiserver.apis.host."""

    name: str
    labels: dict[str, str] = field(default_factory=dict)
    architecture: str = ""
    cpus: int = 0
    ram: int = 0
    storage: int = 0
    nics: int = 0
    dirty_for: str | None = None
    reserved_for: str | None = None
    extras: float = 0.0
    """The amount of what its labels count (such as GPUs), kept for Workloads that request it."""

    @property
    def shape(self) -> tuple[object, ...]:
        """Return the properties that decide about fit, except labels. Hosts of one shape are
        equivalent."""
        return self.architecture, self.cpus, self.ram, self.storage, self.nics, self.dirty_for, self.reserved_for, self.extras


@dataclass(frozen=True, slots=True)
class Requirements:
    """Holds the requirements of a Workload.

    `ram` and `storage` are in bytes; the texts are as the tenant wrote them. `resources` has
    (label, least amount, amount as text). `rules` are those of the placement, as they apply now.
    With `own`, only a host with data of the Workload's namespace fits."""

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
    rules: Rules = ANYWHERE
    own: bool = False


def candidate(host: Object) -> Candidate:
    """Return the Host as a candidate."""
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
        dirty_for=dirty_for(host),
        reserved_for=reserved_for(host),
        extras=sum(math.log2(1 + int(value)) for key, value in labels.items() if "/" in key and value.isdecimal()),
    )


def too_complex(workload: Object) -> str | None:
    """Return why the Workload is too complex to be compared with hosts, or None.

    Each comparison would take too long."""
    spec = workload["spec"]
    selector = spec.get("hostSelector") or {}
    expressions = selector.get("matchExpressions") or ()
    terms = len(selector.get("matchLabels") or ()) + len(expressions) + len((spec.get("requirements") or {}).get("resources") or ())
    if terms > MOST_TERMS:
        return f"spec.hostSelector and spec.requirements.resources have {terms} terms: use at most {MOST_TERMS}"
    values = sum(len(requirement.get("values") or ()) for requirement in expressions)
    return f"spec.hostSelector has {values} values: use at most {MOST_VALUES}" if values > MOST_VALUES else None


def requirements_of(workload: Object, namespace_uid: str = "") -> Requirements:
    """Return the requirements in the Workload's spec, for the namespace with this uid."""
    spec, metadata = workload["spec"], workload["metadata"]
    wanted = spec.get("requirements") or {}
    ram, storage = wanted.get("ram") or 0, wanted.get("storage") or 0
    return Requirements(
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


def unfit_reason(host: Candidate, want: Requirements) -> str | None:
    """Return the first reason why the host does not fit, as a phrase that many hosts share, or
    None."""
    if not is_open_to(host.dirty_for, want.namespace_uid) or not is_open_to(host.reserved_for, want.namespace_uid):
        return NOT_OPEN
    if want.own and host.dirty_for is None:
        return "are new to the namespace"
    return unsuitable_reason(host, want)


def unsuitable_reason(host: Candidate, want: Requirements) -> str | None:
    """Return the first reason why the host does not fit any namespace's Workload with these
    requirements, or None."""
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
    return want.rules.problem(host.labels)


def _unmatched(selector: Object | None, labels: dict[str, str]) -> str:
    """Return the first part of the selector that does not match, as a phrase."""
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


def capacity(host: Candidate, want: Requirements) -> float:
    """Return the host's capacity, in which each doubling of a dimension adds 1. The least capacity
    fits best.

    The capacity depends on the host and on the labels that the Workload counts, but not on the
    amounts. So an index can keep hosts in this order."""
    hardware = _volume(host.cpus, host.ram, host.storage, host.nics)
    if not want.resources:
        return round(hardware + host.extras, 9)
    return round(hardware + sum(math.log2(1 + labelled(host.labels, key)) for key, _, _ in want.resources), 9)


def demand(want: Requirements) -> float:
    """Return the least capacity of a host that fits."""
    return _volume(want.cpus, want.ram, want.storage, want.nics) + sum(math.log2(1 + amount) for _, amount, _ in want.resources)


def _volume(cpus: float, ram: float, storage: float, nics: float) -> float:
    return math.log2(1 + cpus) + math.log2(1 + ram / GI) + math.log2(1 + storage / GI) + math.log2(1 + nics)


def labelled(labels: Mapping[str, str], key: str) -> float:
    """Return the number in the label, 0 without one."""
    try:
        return parse_quantity(labels.get(key, "0"))
    except ValueError:
        return 0.0


def hash_seed(seed: str) -> str:
    """Return the position on the ring of host names from which a Workload searches.

    Names are UUIDs derived by hashing, so they are spread evenly."""
    return hashlib.blake2b(seed.encode(), digest_size=8).hexdigest()


def ring_order(point: str, name: str) -> tuple[bool, str]:
    """Return a sort key for a host's position on the ring, seen from the point."""
    return name < point, name


def unfit_reasons(hosts: Iterable[Candidate], want: Requirements) -> Counter[str]:
    """Count the reasons why hosts do not fit. Hosts that fit are left out."""
    keys, verdicts, reasons = label_keys(want), dict[tuple[object, ...], str | None](), Counter[str]()
    for host in hosts:
        equivalence = (*host.shape, *(host.labels.get(key) for key in keys))
        if equivalence not in verdicts:
            verdicts[equivalence] = unfit_reason(host, want)
        if (reason := verdicts[equivalence]) is not None:
            reasons[reason] += 1
    return reasons


def is_kept(host: Candidate, want: Requirements) -> bool:
    """Return whether a Reservation keeps the host for the Workload's namespace."""
    return host.reserved_for is not None and host.reserved_for == want.namespace_uid


def label_keys(want: Requirements) -> tuple[str, ...]:
    """Return the labels that decide whether a host fits."""
    selector = want.selector or {}
    expressions = (requirement["key"] for requirement in selector.get("matchExpressions") or ())
    return (*(selector.get("matchLabels") or {}), *expressions, *(key for key, _, _ in want.resources), *want.rules.keys)


def explain(reasons: Mapping[str, int]) -> str:
    """Return why no host fits, with counts like kube-scheduler's.

    An example: "0/12 hosts are available to this namespace: 8 lack label gpu=yes, 4 are its own".
    Hosts of others are not counted, because the number would tell a tenant what others have."""
    total = sum(reasons.values())
    if total == 0:
        return f"no host of the class is available to this namespace: {_NEXT}"
    parts = sorted(reasons.items(), key=lambda item: (-item[1], item[0]))
    counted = ", ".join(f"{count} {singular(reason) if count == 1 else reason}" for reason, count in parts)
    return f"0/{total} hosts are available to this namespace: {counted}; {_NEXT}"


_NEXT = "a host that becomes free and fits is bound at once; or change spec (className, hostSelector, requirements, placement)"


_SINGULAR = {"are": "is", "have": "has", "lack": "lacks", "do": "does", "hold": "holds", "report": "reports", "share": "shares"}


def singular(reason: str) -> str:
    """Return the phrase for one host."""
    verb, _, rest = reason.partition(" ")
    return f"{_SINGULAR.get(verb, verb)} {rest}"

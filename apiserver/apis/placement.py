"""Define where a Workload's host may be, and which Workloads get their hosts together.

Rules are relative to failure domains and to other Workloads. Names and meanings are those of a
Pod's topologySpreadConstraints and podAntiAffinity.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Annotated, Literal, Self

from pydantic import Field, model_validator

from apiserver.apis.base import DNSLabel, Model
from apiserver.apis.lengths import QUALIFIED
from apiserver.apis.meta import LabelSelector

MOST_MEMBERS = 1000
"""The largest number of Workloads that a gang may wait for. It bounds the work of one plan."""
MOST_RULES = 8
"""The largest number of rules of one sort in a placement."""
MOST_SELECTED, MOST_VALUES = 64, 256
"""The largest numbers of labels and expressions of a placement's selectors together, and of their
values.

Each of them is compared with every Workload of the namespace."""

_WORD = r"[A-Za-z0-9]([-A-Za-z0-9_.]{0,61}[A-Za-z0-9])?"
TopologyKey = Annotated[str, Field(pattern=rf"^([a-z0-9]([-a-z0-9.]{{0,251}}[a-z0-9])?/)?{_WORD}$", max_length=317)]
Domain = Annotated[str, Field(pattern=f"^{_WORD}$", max_length=63)]

_KEY = "Label of hosts whose value names the domain, such as a rack. Only labels that the class shows to tenants count."
_OTHERS = "Labels of the Workloads of this namespace that count. An empty selector counts all of them."


class FailureDomains(Model):
    """The failure domains (label infrastructure.cluster.x-k8s.io/failure-domain) to choose from."""

    required: list[Domain] | None = Field(
        default=None, min_length=1, max_length=64, description="The host is in one of these, or there is none; any when empty."
    )
    preferred: list[Domain] | None = Field(
        default=None, min_length=1, max_length=64, description="Failure domains that come before others, the best first."
    )


class TopologySpread(Model):
    """How evenly the Workloads of a selector are spread over the domains of a label.

    A domain counts if it has a host that the Workload could have, or a Workload of the selector."""

    max_skew: int = Field(
        ge=1, le=1000, description="By how many Workloads a domain may exceed the domain with the fewest, when this one is placed."
    )
    topology_key: TopologyKey = Field(description=_KEY)
    when_unsatisfiable: Literal["DoNotSchedule", "ScheduleAnyway"] = Field(
        description="DoNotSchedule: wait for a host that keeps maxSkew; hosts without the label do not fit. ScheduleAnyway: prefer the "
        "domains with the fewest."
    )
    label_selector: LabelSelector = Field(description=_OTHERS)


class AntiAffinityTerm(Model):
    """Workloads whose domains are avoided."""

    topology_key: TopologyKey = Field(description=_KEY)
    label_selector: LabelSelector = Field(description=_OTHERS)


class WeightedAntiAffinityTerm(AntiAffinityTerm):
    """Workloads whose domains are avoided if possible."""

    weight: int = Field(ge=1, le=100, description="How much this counts beside the other preferred terms.")


class AntiAffinity(Model):
    """Workloads of this namespace that do not share a domain.

    It is symmetric: a required term of a Workload that has a host keeps others away, too."""

    required: list[AntiAffinityTerm] | None = Field(
        default=None, min_length=1, max_length=MOST_RULES, description="Terms that must hold. Hosts without the label fit."
    )
    preferred: list[WeightedAntiAffinityTerm] | None = Field(
        default=None, min_length=1, max_length=MOST_RULES, description="Terms that should hold."
    )


class Placement(Model):
    """Where the host may be. Required rules come first.

    Of the hosts that remain, preferred failure domains count before anti-affinity, this before the
    spread, and the size of the host last."""

    failure_domains: FailureDomains | None = Field(default=None, description="Failure domains that the host must or should be in.")
    topology_spread: list[TopologySpread] | None = Field(
        default=None,
        min_length=1,
        max_length=MOST_RULES,
        description="How evenly Workloads are spread, as a Pod's topologySpreadConstraints. The pair of topologyKey and whenUnsatisfiable "
        "is unique.",
        json_schema_extra={"x-kubernetes-list-type": "map", "x-kubernetes-list-map-keys": ["topologyKey", "whenUnsatisfiable"]},
    )
    anti_affinity: AntiAffinity | None = Field(default=None, description="Workloads to be apart from, as a Pod's podAntiAffinity.")

    @model_validator(mode="after")
    def _bounded(self) -> Self:
        selectors = list(self._selectors())
        terms = sum(len(one.match_labels or ()) + len(one.match_expressions or ()) for one in selectors)
        if terms > MOST_SELECTED:
            raise ValueError(f"its label selectors have {terms} labels and expressions together: use at most {MOST_SELECTED}")
        values = sum(len(term.values or ()) for one in selectors for term in one.match_expressions or ())
        if values > MOST_VALUES:
            raise ValueError(f"its label selectors have {values} values together: use at most {MOST_VALUES}")
        if any(len(key) > QUALIFIED for one in selectors for key in one.match_labels or ()):
            raise ValueError(f"its label selectors have a key that is too long: use at most {QUALIFIED} characters")
        return self

    def _selectors(self) -> Iterator[LabelSelector]:
        apart = self.anti_affinity or AntiAffinity()
        for term in (*(self.topology_spread or ()), *(apart.required or ()), *(apart.preferred or ())):
            yield term.label_selector


class Gang(Model):
    """The Workloads of this namespace that get their hosts together.

    They name the same gang."""

    name: DNSLabel = Field(description="The gang's name. Its members are the Workloads of this namespace that name it.")
    min_available: int = Field(
        ge=1,
        le=MOST_MEMBERS,
        description="The number of members, those with a host included, for which there must be hosts before any member gets one. Where "
        "members differ, the largest number counts.",
    )

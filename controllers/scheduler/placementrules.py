"""Derive from a Workload's placement, and from where its namespace's Workloads are, which hosts it
may have and which it should have.

Everything is counted by the values of one label, the topology key, as kube-scheduler does. Only
Workloads of the same namespace and labels that the class shows are counted. So a tenant learns
nothing about others.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field

from apiserver.client.objects import Object, deleting, labels_of, matches
from controllers.kinds import FAILURE_DOMAIN

ELSEWHERE = "are in another failure domain"


@dataclass(frozen=True, slots=True)
class Rule:
    """Limits the values that a label of a host may have. `phrase` says what is wrong with other
    values. `lacking` says what is wrong with hosts without the label; they fit if it is empty."""

    key: str
    phrase: str
    allowed: frozenset[str] | None = None
    refused: frozenset[str] = frozenset()
    lacking: str = ""

    def problem(self, labels: Mapping[str, str]) -> str | None:
        """Return why a host with these labels does not fit, or None."""
        value = labels.get(self.key)
        if value is None:
            return self.lacking or None
        fits = value not in self.refused and (self.allowed is None or value in self.allowed)
        return None if fits else self.phrase


@dataclass(frozen=True, slots=True)
class Preference:
    """Rates hosts by the value of a label. A host costs `otherwise` with a value that is not in
    `costs`, and `lacking` without the label."""

    key: str
    costs: Mapping[str, float] = field(compare=False)
    otherwise: float = field(default=0.0, compare=False)
    lacking: float = field(default=0.0, compare=False)

    def cost(self, labels: Mapping[str, str]) -> float:
        """Return the cost of a host with these labels. The least cost is preferred."""
        return self.costs.get(labels[self.key], self.otherwise) if self.key in labels else self.lacking


@dataclass(frozen=True, slots=True)
class Rules:
    """Holds the rules and preferences of a placement as they apply now. `keys` are the labels that
    they look at."""

    keys: tuple[str, ...] = ()
    rules: tuple[Rule, ...] = ()
    preferences: tuple[tuple[Preference, ...], ...] = ()
    """The preferences, the most important first. Costs within a tuple are added. A later tuple
    counts only if the sums of the earlier ones are equal."""

    def problem(self, labels: Mapping[str, str]) -> str | None:
        """Return the first reason why a host with these labels does not fit, or None."""
        return next((found for rule in self.rules if (found := rule.problem(labels))), None)

    def cost(self, labels: Mapping[str, str]) -> tuple[float, ...]:
        """Return the costs of a host with these labels, one for each tuple of preferences."""
        return tuple(sum(one.cost(labels) for one in equal) for equal in self.preferences)


ANYWHERE = Rules()


@dataclass(frozen=True, slots=True)
class Placed:
    """Holds a Workload of the namespace, and the labels of the host that it has or is about to
    have."""

    workload: Object
    host: Mapping[str, str]


def topology_keys(workload: Object) -> tuple[str, ...]:
    """Return the labels of hosts that the Workload's placement looks at."""
    placement = workload["spec"].get("placement") or {}
    found = {term["topologyKey"] for term in (*_spreads(placement), *required_terms(workload), *_preferred(placement))}
    return tuple(sorted(found | {FAILURE_DOMAIN} if placement.get("failureDomains") else found))


def spread_keys(workload: Object) -> frozenset[str]:
    """Return the labels whose domains have to be known for the Workload's spread."""
    placement = workload["spec"].get("placement") or {}
    return frozenset(term["topologyKey"] for term in _spreads(placement) if term["whenUnsatisfiable"] == "DoNotSchedule")


def counts_others(workload: Object) -> bool:
    """Return whether the Workload's placement depends on where others are."""
    placement = workload["spec"].get("placement") or {}
    return bool(placement.get("topologySpread") or placement.get("antiAffinity"))


def required_terms(workload: Object) -> list[Object]:
    """Return the required terms of the Workload's anti-affinity."""
    placement = workload["spec"].get("placement") or {}
    return list((placement.get("antiAffinity") or {}).get("required") or ())


def selected(workload: Object, *, required: bool = False) -> int:
    """Return the number of labels and values in the selectors of the Workload's placement.

    With `required`, only those of its required anti-affinity count."""
    placement = workload["spec"].get("placement") or {}
    terms = required_terms(workload) if required else [*_spreads(placement), *required_terms(workload), *_preferred(placement)]
    expressions = [one for term in terms for one in term["labelSelector"].get("matchExpressions") or ()]
    labels = sum(len(term["labelSelector"].get("matchLabels") or ()) + 1 for term in terms)
    return labels + sum(1 + len(one.get("values") or ()) for one in expressions)


def rules_of(workload: Object, placed: Iterable[Placed], domains: Mapping[str, set[str]]) -> Rules:
    """Return the rules of the Workload's placement, given where these Workloads of its namespace
    are.

    `domains` has, for each of the Workload's `spread_keys`, the values on the hosts that it could
    have."""
    placed = list(placed)
    placement = workload["spec"].get("placement") or {}
    rules = (*_required_domains(placement), *_apart(workload, placed), *_even(workload, placed, domains))
    preferences = (_preferred_domains(workload), _apart_if_possible(placement, placed), _even_if_possible(placement, placed))
    keys = {*topology_keys(workload), *(rule.key for rule in rules), *(one.key for equal in preferences for one in equal)}
    return Rules(tuple(sorted(keys)), rules, tuple(equal for equal in preferences if equal))


def _required_domains(placement: Object) -> Iterator[Rule]:
    required = (placement.get("failureDomains") or {}).get("required")
    if required:
        yield Rule(FAILURE_DOMAIN, ELSEWHERE, allowed=frozenset(required), lacking=ELSEWHERE)


def _preferred_domains(workload: Object) -> tuple[Preference, ...]:
    """Return a preference for the failure domains in their order. The domain in spec.failureDomain
    comes first."""
    spec = workload["spec"]
    listed = ((spec.get("placement") or {}).get("failureDomains") or {}).get("preferred") or ()
    wanted = list(dict.fromkeys(name for name in (spec.get("failureDomain"), *listed) if name))
    costs = {name: float(place) for place, name in enumerate(wanted)}
    return (Preference(FAILURE_DOMAIN, costs, float(len(wanted)), float(len(wanted))),) if wanted else ()


def _apart(workload: Object, placed: Iterable[Placed]) -> Iterator[Rule]:
    """Return the rules of required anti-affinity, in both directions."""
    refused: dict[str, set[str]] = defaultdict(set)
    own, labels = required_terms(workload), labels_of(workload)
    for other in placed:
        selecting = [term for term in own if matches(term["labelSelector"], labels_of(other.workload))]
        selected = [term for term in required_terms(other.workload) if matches(term["labelSelector"], labels)]
        for key in (term["topologyKey"] for term in (*selecting, *selected)):
            if key in other.host:
                refused[key].add(other.host[key])
    for key, values in sorted(refused.items()):
        yield Rule(key, f"share {key} with a Workload to be apart from", refused=frozenset(values))


def _apart_if_possible(placement: Object, placed: list[Placed]) -> tuple[Preference, ...]:
    return tuple(
        Preference(term["topologyKey"], {value: float(term["weight"]) for value in _counts(term, placed)}) for term in _preferred(placement)
    )


def _even(workload: Object, placed: list[Placed], domains: Mapping[str, set[str]]) -> Iterator[Rule]:
    """Return the rules of the spread. They refuse domains that would exceed the emptiest one by
    more than maxSkew."""
    for term in _spreads(workload["spec"].get("placement") or {}):
        if term["whenUnsatisfiable"] != "DoNotSchedule":
            continue
        key = term["topologyKey"]
        counts = _counts(term, (one for one in placed if not deleting(one.workload)))
        fewest = min((counts[value] for value in {*domains.get(key, ()), *counts}), default=0)
        most = fewest + term["maxSkew"] - matches(term["labelSelector"], labels_of(workload))
        full = frozenset(value for value, count in counts.items() if count > most)
        yield Rule(key, f"would exceed maxSkew of {key}", refused=full, lacking=f"lack label {key}")


def _even_if_possible(placement: Object, placed: list[Placed]) -> tuple[Preference, ...]:
    spreads = [term for term in _spreads(placement) if term["whenUnsatisfiable"] == "ScheduleAnyway"]
    return tuple(_emptiest(term, _counts(term, (one for one in placed if not deleting(one.workload)))) for term in spreads)


def _emptiest(term: Object, counts: Counter[str]) -> Preference:
    """Return a preference for domains with few Workloads. Hosts without the label come last."""
    costs = {value: float(count) for value, count in counts.items()}
    return Preference(term["topologyKey"], costs, lacking=1.0 + max(costs.values(), default=0.0))


def _counts(term: Object, placed: Iterable[Placed]) -> Counter[str]:
    """Count the Workloads of the term's selector by the domain of their host."""
    key, selector = term["topologyKey"], term["labelSelector"]
    return Counter(one.host[key] for one in placed if key in one.host and matches(selector, labels_of(one.workload)))


def _spreads(placement: Object) -> list[Object]:
    return list(placement.get("topologySpread") or ())


def _preferred(placement: Object) -> list[Object]:
    return list((placement.get("antiAffinity") or {}).get("preferred") or ())

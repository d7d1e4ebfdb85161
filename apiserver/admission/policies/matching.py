"""Match writes against the resources of a policy or a binding (policy/matching of k8s.io/apiserver).

matchPolicy makes no difference here: each kind of this server has one version.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from apiserver.admission.rules import Rule, label_selector, labels_of, objects_match
from apiserver.registry.generic.attributes import Attributes
from apiserver.registry.generic.selectors import LabelSelector


@dataclass(frozen=True, slots=True)
class Resources:
    """The matchConstraints of a policy, or the matchResources of a binding.

    Each rule has the names of the objects that it applies to; without names, it applies to all.
    Without rules, everything matches."""

    rules: tuple[tuple[Rule, frozenset[str]], ...] = ()
    excluded: tuple[tuple[Rule, frozenset[str]], ...] = ()
    namespaces: LabelSelector = field(default_factory=LabelSelector)
    objects: LabelSelector = field(default_factory=LabelSelector)

    def match(self, attributes: Attributes, namespace: Mapping[str, Any] | None) -> bool:
        """Return whether they match the write. `namespace` is its namespace."""
        if namespace is not None and not self.namespaces.matches(labels_of(namespace)):
            return False
        if not objects_match(self.objects, attributes) or _any(self.excluded, attributes):
            return False
        return not self.rules or _any(self.rules, attributes)


def resources_of(given: Mapping[str, Any] | None) -> Resources:
    """Return the parsed form. Raises KeyError, TypeError or AttributeError if that is impossible."""
    given = given or {}
    return Resources(
        _rules(given.get("resourceRules")),
        _rules(given.get("excludeResourceRules")),
        label_selector(given.get("namespaceSelector")),
        label_selector(given.get("objectSelector")),
    )


def _rules(given: Any) -> tuple[tuple[Rule, frozenset[str]], ...]:
    return tuple((Rule.parse(rule), frozenset(rule.get("resourceNames") or ())) for rule in given or ())


def _any(rules: tuple[tuple[Rule, frozenset[str]], ...], attributes: Attributes) -> bool:
    return any(rule.matches(attributes) and (not names or attributes.name in names) for rule, names in rules)

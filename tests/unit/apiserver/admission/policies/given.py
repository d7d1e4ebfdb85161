"""Provide policies, bindings and a cluster's namespaces, parameters and decisions, for tests of
enforcement."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from apiserver.admission.policies.definitions import Policies
from apiserver.admission.policies.mutating import MutatingPolicies
from apiserver.admission.policies.params import NoParams, Source
from apiserver.admission.policies.running import Runner
from apiserver.admission.policies.validating import ValidatingPolicies
from apiserver.cel.library.authorizer import Decision

if TYPE_CHECKING:
    from apiserver.cel.library.authorizer import Question
    from apiserver.registry.generic.context import UserInfo

RULE = {"operations": ["*"], "apiGroups": ["*"], "apiVersions": ["*"], "resources": ["*/*"], "scope": "*"}
MAPS: dict[str, Any] = {"paramKind": {"apiVersion": "v1", "kind": "ConfigMap"}}


def policy(*expressions: str, name: str = "p", **spec: Any) -> dict[str, Any]:
    """Return a policy, which matches everything unless `spec` says otherwise."""
    validations = [{"expression": one} for one in expressions]
    return {"metadata": {"name": name}, "spec": {"matchConstraints": {"resourceRules": [RULE]}, "validations": validations, **spec}}


def mutating(*mutations: str, name: str = "p", **spec: Any) -> dict[str, Any]:
    """Return a policy with these mutations. Those that begin with [ are JSON patches."""
    found = [
        {"patchType": "JSONPatch", "jsonPatch": {"expression": one}}
        if one.startswith("[")
        else {"patchType": "ApplyConfiguration", "applyConfiguration": {"expression": one}}
        for one in mutations
    ]
    return {"metadata": {"name": name}, "spec": {"matchConstraints": {"resourceRules": [RULE]}, "mutations": found, **spec}}


def binding(*actions: str, name: str = "b", of: str = "p", **spec: Any) -> dict[str, Any]:
    """Return a binding, whose action is Deny unless others are given."""
    return {"metadata": {"name": name}, "spec": {"policyName": of, "validationActions": list(actions or ("Deny",)), **spec}}


class Cluster:
    """Namespaces, parameters and decisions. `objects` are parameters by namespace; `asked` are the
    questions so far."""

    def __init__(self) -> None:
        self.labels: dict[str, str] = {}
        self.objects: dict[str, list[dict[str, Any]]] = {}
        self.namespaced, self.error = True, ""
        self.allowed = True
        self.asked: list[Question] = []

    async def get(self, name: str, *, live: bool = False) -> dict[str, Any] | None:
        """Return a namespace. See Namespaces."""
        return None if name == "missing" else {"metadata": {"name": name, "labels": self.labels, "managedFields": []}, "spec": {}}

    async def source(self, api_version: str, kind: str) -> Source:
        """Return parameters. See Params."""
        if self.error:
            raise NoParams(self.error)
        return Source(self.namespaced, lambda namespace: self.objects.get(namespace, []))

    async def decide(self, user: UserInfo, question: Question) -> Decision:
        """Decide. See Authorization."""
        self.asked.append(question)
        return Decision(self.allowed)


def _known(objects: tuple[dict[str, Any], ...]) -> Policies:
    policies = Policies()
    for one in objects:
        changed = policies.binding_changed if "policyName" in one["spec"] else policies.policy_changed
        changed(None, one)
    policies.known = True
    return policies


def enforcing(*objects: dict[str, Any], cluster: Cluster | None = None) -> ValidatingPolicies:
    """Return the enforcement of policies and bindings."""
    cluster = cluster or Cluster()
    return ValidatingPolicies(_known(objects), cluster, cluster, Runner(cluster))


def changing(*objects: dict[str, Any], cluster: Cluster | None = None) -> MutatingPolicies:
    """Return the enforcement of mutating policies and their bindings."""
    cluster = cluster or Cluster()
    return MutatingPolicies(_known(objects), cluster, cluster, Runner(cluster))

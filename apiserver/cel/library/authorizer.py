"""Provide CEL's authorizer, which says whether a user may do something.

A decision takes a request to the cluster, for which an expression cannot wait. The expression ends
with Undecided instead, and is evaluated again once the decision is known.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any, NamedTuple

from apiserver.cel.meter import Meter, traversal
from apiserver.cel.registry import member
from apiserver.cel.values import CelError, Opaque

CHECK = 350_000
"""The cost of a decision."""
_LABEL = re.compile(r"[a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?", re.ASCII)
_SUBDOMAIN = re.compile(r"[a-z0-9]([-a-z0-9.]{0,251}[a-z0-9])?", re.ASCII)
LONGEST = 4096
"""The largest number of characters of a selector."""


class Question(NamedTuple):
    """A question to the authorizer.

    `path` is set for a request that is not for a resource. `user` is the namespace and name of a
    service account, or ("", "") for the request's user."""

    user: tuple[str, str]
    verb: str
    path: str = ""
    group: str = ""
    resource: str = ""
    subresource: str = ""
    namespace: str = ""
    name: str = ""
    field_selector: str = ""
    label_selector: str = ""


@dataclass(frozen=True, slots=True)
class Decision(Opaque):
    """The authorizer's answer. If there is none, `error` says why."""

    allowed: bool
    reason: str = ""
    error: str = ""
    TYPE = "kubernetes.authorization.Decision"


class Undecided(Exception):
    """The decision on a question is not known."""

    def __init__(self, question: Question) -> None:
        super().__init__(question)
        self.question = question


@dataclass(frozen=True, slots=True)
class Authorizer(Opaque):
    """Decides for one user: ("", "") is the request's, others are service accounts."""

    decisions: Mapping[Question, Decision]
    user: tuple[str, str] = ("", "")
    TYPE = "kubernetes.authorization.Authorizer"


@dataclass(frozen=True, slots=True)
class Check(Opaque):
    """A check of a path."""

    authorizer: Authorizer
    path: str
    TYPE = "kubernetes.authorization.PathCheck"


@dataclass(frozen=True, slots=True)
class GroupCheck(Opaque):
    """A check of an API group, whose resource is not named yet."""

    authorizer: Authorizer
    group: str
    TYPE = "kubernetes.authorization.GroupCheck"


@dataclass(frozen=True, slots=True)
class ResourceCheck(Opaque):
    """A check of a resource, with its subresource, namespace, name and selectors."""

    authorizer: Authorizer
    question: Question = field(default_factory=lambda: Question(("", ""), ""))
    TYPE = "kubernetes.authorization.ResourceCheck"


@member("path", Authorizer.TYPE, "string")
def _path(meter: Meter, authorizer: Authorizer, path: str) -> Check:
    if not path.strip():
        raise CelError("path must not be empty")
    return Check(authorizer, path)


@member("serviceAccount", Authorizer.TYPE, "string", "string")
def _service_account(meter: Meter, authorizer: Authorizer, namespace: str, name: str) -> Authorizer:
    if not _SUBDOMAIN.fullmatch(name):
        raise CelError("Invalid service account name")
    if not _LABEL.fullmatch(namespace):
        raise CelError("Invalid service account namespace")
    return replace(authorizer, user=(namespace, name))


@member("resource", GroupCheck.TYPE, "string")
def _resource(meter: Meter, group: GroupCheck, resource: str) -> ResourceCheck:
    if not resource.strip():
        raise CelError("resource must not be empty")
    return ResourceCheck(group.authorizer, Question(group.authorizer.user, "", group=group.group, resource=resource))


member("group", Authorizer.TYPE, "string")(lambda meter, authorizer, group: GroupCheck(authorizer, group))


def _setter(name: str, place: str, cost: Any) -> None:
    def run(meter: Meter, check: ResourceCheck, value: str) -> ResourceCheck:
        if len(value) > LONGEST:
            raise CelError(f"{name} is longer than {LONGEST} characters")
        changed: dict[str, Any] = {place: value}
        return ResourceCheck(check.authorizer, check.question._replace(**changed))

    member(name, ResourceCheck.TYPE, "string", cost=cost)(run)


for _name in ("subresource", "namespace", "name"):
    _setter(_name, _name, lambda check, value: 1)
_setter("fieldSelector", "field_selector", lambda check, value: 10 + traversal(len(value)) + traversal(len(value), 25))
_setter("labelSelector", "label_selector", lambda check, value: 10 + traversal(len(value)) + traversal(len(value), 25))


@member("check", Check.TYPE, "string", cost=lambda check, verb: CHECK)
def _check_path(meter: Meter, check: Check, verb: str) -> Decision:
    return _decision(check.authorizer, Question(check.authorizer.user, verb, path=check.path))


@member("check", ResourceCheck.TYPE, "string", cost=lambda check, verb: CHECK)
def _check_resource(meter: Meter, check: ResourceCheck, verb: str) -> Decision:
    return _decision(check.authorizer, check.question._replace(verb=verb))


def _decision(authorizer: Authorizer, question: Question) -> Decision:
    found = authorizer.decisions.get(question)
    if found is None:
        raise Undecided(question)
    return found


member("allowed", Decision.TYPE)(lambda meter, decision: decision.allowed)
member("reason", Decision.TYPE)(lambda meter, decision: decision.reason)
member("errored", Decision.TYPE)(lambda meter, decision: bool(decision.error))
member("error", Decision.TYPE)(lambda meter, decision: decision.error)

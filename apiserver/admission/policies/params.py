"""Find the parameters of a binding (CollectParams of k8s.io/apiserver)."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple, Protocol

from apiserver.admission.policies.definitions import Binding, ParamRef, Policy
from apiserver.admission.rules import labels_of


class NoParams(Exception):
    """A binding's parameters cannot be found. The message gives the reason."""


class Source(NamedTuple):
    """All objects of one kind. `within` returns those of a namespace, "" for a cluster-scoped kind."""

    namespaced: bool
    within: Callable[[str], list[dict[str, Any]]]


class Params(Protocol):
    """Knows the objects that are parameters."""

    async def source(self, api_version: str, kind: str) -> Source:
        """Return the objects of a kind. Raises NoParams if they are not known."""


async def params_of(policy: Policy, binding: Binding, namespace: str, params: Params) -> list[dict[str, Any] | None]:
    """Return the parameters with which the policy is evaluated for a write in this namespace.

    Returns [None] if the policy has no parameter kind or the binding has no reference. An empty
    list means that the binding does not apply. Raises NoParams."""
    if policy.param_kind is None or binding.params is None:
        return [None]
    source = await params.source(*policy.param_kind)
    found = _selected(source, binding.params, _namespace(source, binding.params, namespace))
    if not found and binding.params.required:
        raise NoParams("no params found for policy binding with `Deny` parameterNotFoundAction")
    kind = dict(zip(("apiVersion", "kind"), policy.param_kind, strict=True))
    return [{**one, **kind} for one in found]


def _namespace(source: Source, wanted: ParamRef, namespace: str) -> str:
    if not source.namespaced:
        if wanted.namespace:
            raise NoParams("paramRef.namespace must not be provided for a cluster-scoped `paramKind`")
        return ""
    if not wanted.namespace and not namespace:
        raise NoParams("cannot use namespaced paramRef in policy binding that matches cluster-scoped resources")
    return wanted.namespace or namespace


def _selected(source: Source, wanted: ParamRef, namespace: str) -> list[dict[str, Any]]:
    within = source.within(namespace)
    if wanted.name:
        return [one for one in within if one["metadata"]["name"] == wanted.name]
    if wanted.selector is None:
        raise NoParams("one of name or selector must be provided")
    return [one for one in within if wanted.selector.matches(labels_of(one))]

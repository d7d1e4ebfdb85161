"""Select the policies of a write, with their bindings and parameters (policy/generic of
k8s.io/apiserver)."""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping
from typing import Any, NamedTuple

from apiserver.admission.policies.definitions import Binding, Hook, Policies, Policy
from apiserver.admission.policies.params import NoParams, Params, params_of
from apiserver.apis.status import not_found, service_unavailable
from apiserver.registry.claims.namespaces import Namespaces
from apiserver.registry.generic.attributes import Attributes


class Invocation(NamedTuple):
    """A policy to evaluate with one of its parameters, or the reason `why` that is impossible."""

    policy: Policy
    binding: Binding | None
    params: dict[str, Any] | None = None
    why: str = ""


def hooks_of(policies: Policies) -> tuple[Hook, ...]:
    """Return all policies.

    Raises ApiError (503) while they are not known, so that no write bypasses them."""
    if not policies.known:
        raise service_unavailable("the cluster's admission policies are not known yet; try again")
    return policies.hooks


async def namespace_of(attributes: Attributes, namespaces: Namespaces) -> dict[str, Any] | None:
    """Return the namespace of the written object, None if it has none. Raises ApiError (404)."""
    if not attributes.namespace:
        return None
    found = await namespaces.get(attributes.namespace)
    if found is None:
        raise not_found("", "namespaces", attributes.namespace)
    return found


async def invocations(
    hooks: tuple[Hook, ...], attributes: Attributes, namespace: Mapping[str, Any] | None, params: Params
) -> AsyncIterator[Invocation]:
    """Yield the policies that concern the write in order, once for each binding and parameter."""
    for policy, bindings in hooks:
        if policy.broken:
            yield _unusable(policy, None, policy.broken)
        elif policy.resources.match(attributes, namespace):
            for binding in bindings:
                if binding.broken:
                    yield _unusable(policy, binding, binding.broken)
                elif binding.resources.match(attributes, namespace):
                    try:
                        found = await params_of(policy, binding, attributes.namespace, params)
                    except NoParams as error:
                        yield _unusable(policy, binding, str(error))
                        continue
                    for one in found:
                        yield Invocation(policy, binding, one)


def _unusable(policy: Policy, binding: Binding | None, why: str) -> Invocation:
    return Invocation(policy, binding, why=f"failed to configure {'binding' if binding is not None else 'policy'}: {why}")

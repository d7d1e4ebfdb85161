"""Explain to the class's owner why another metal3-workloads cannot be followed, and what to do."""

from __future__ import annotations

from controllers.providers.base import ProviderError
from controllers.providers.clustererrors import cluster_problem


def explain(error: Exception, namespace: str) -> ProviderError:
    """Return the problem behind an error of the informer. Messages are for the owner of the
    class."""
    forbidden = f"give them a tenant's rights in namespace {namespace} of the other cluster"
    missing = "the other cluster serves no BareMetalHosts in this group: correct parameters.viewGroup"
    return cluster_problem(error, "the other cluster", forbidden=forbidden, missing=("NoBareMetalHosts", missing))


def loop(count: int, namespace: str) -> ProviderError:
    """Return the problem that the class leads back to its own cluster."""
    text = f"{count} hosts in namespace {namespace} there belong to this cluster and are left out: the class leads back to its own cluster"
    return ProviderError("Loop", f"{text}: correct parameters.namespace, or the kubeconfig in the credentials secret")

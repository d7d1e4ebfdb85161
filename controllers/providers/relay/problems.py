"""What keeps another metal3-workloads from being followed, in words that tell the class's owner what to do. Pure."""

from __future__ import annotations

from controllers.providers.base import ProviderError
from controllers.providers.clusterproblems import cluster_problem

__all__ = ["explain", "loop"]


def explain(error: Exception, namespace: str) -> ProviderError:
    """The problem behind an error of the informer. Messages are for the owner of the class."""
    forbidden = f"give them a tenant's rights in namespace {namespace} of the other cluster"
    missing = "the other cluster serves no BareMetalHosts in this group: correct parameters.viewGroup"
    return cluster_problem(error, "the other cluster", forbidden=forbidden, missing=("NoBareMetalHosts", missing))


def loop(count: int, namespace: str) -> ProviderError:
    """The class leads back to its own cluster."""
    text = f"{count} hosts in namespace {namespace} there are this cluster's own, and are left out: the class leads back to where it is"
    return ProviderError("Loop", f"{text}: correct parameters.namespace, or the kubeconfig in the credentials secret")

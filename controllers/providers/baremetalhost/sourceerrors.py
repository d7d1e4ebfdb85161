"""Explain to the owner why the hardware cluster cannot be followed, and what to do."""

from __future__ import annotations

from controllers.providers.base import ProviderError
from controllers.providers.clustererrors import cluster_problem


def explain(error: Exception, namespace: str | None) -> ProviderError:
    """Return the problem behind an error of the informer. Messages are for the owner."""
    where = f"in namespace {namespace}" if namespace else "in all namespaces"
    forbidden = f"allow get, list, watch, patch of baremetalhosts.metal3.io and all of secrets {where}"
    missing = "the cluster has no BareMetalHosts: install the Baremetal Operator's CRDs, or use its kubeconfig"
    return cluster_problem(error, "the hardware cluster", forbidden=forbidden, missing=("NoBareMetalHosts", missing))

"""Explain why a KubeVirt cluster cannot be followed or cannot create a machine, and what to do."""

from __future__ import annotations

from apiserver.client.errors import ApiException, describe
from controllers.providers.base import ProviderError
from controllers.providers.clustererrors import cluster_problem
from controllers.providers.machines.refusals import Refusal, machine_refused, quota_exceeded

RIGHTS = (
    "get, list, watch, create, patch, delete of virtualmachines.kubevirt.io and secrets; get, list, watch, delete of "
    "virtualmachineinstances.kubevirt.io; get, list, delete of datavolumes.cdi.kubevirt.io and persistentvolumeclaims"
)


def explain(error: Exception, namespace: str) -> ProviderError:
    """Return the problem behind an error of an informer, for the class's owner."""
    missing = "the cluster has no VirtualMachines: install KubeVirt, or use another cluster's kubeconfig"
    forbidden = f"allow in namespace {namespace} {RIGHTS}"
    return cluster_problem(error, "the KubeVirt cluster", forbidden=forbidden, missing=("NoKubeVirt", missing))


def refusal(error: ApiException) -> Refusal | None:
    """Return why the cluster refuses the machine; None for other errors."""
    if error.status == 403 and "exceeded quota" in error.message:
        return quota_exceeded(f"raise the ResourceQuota in the KubeVirt cluster, or lower the flavor's capacity ({describe(error)})")
    if error.status in {400, 422} or (error.status == 403 and "admission webhook" in error.message):
        return machine_refused(
            f"the KubeVirt cluster refuses the machine: correct the flavor or the class's parameters ({describe(error)})"
        )
    return None

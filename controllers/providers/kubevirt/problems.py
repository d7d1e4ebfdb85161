"""What keeps a KubeVirt cluster from being followed or from making a machine, in words that say what to do. Pure."""

from __future__ import annotations

from typing import TYPE_CHECKING

from apiserver.client.errors import describe
from controllers.providers.base import Outcome
from controllers.providers.clusterproblems import cluster_problem

if TYPE_CHECKING:
    from apiserver.client.errors import ApiException
    from controllers.providers.base import ProviderError

__all__ = ["explain", "refusal"]

RIGHTS = (
    "get, list, watch, create, patch, delete of virtualmachines.kubevirt.io and secrets; get, list, watch, delete of "
    "virtualmachineinstances.kubevirt.io; get, list, delete of datavolumes.cdi.kubevirt.io and persistentvolumeclaims"
)


def explain(error: Exception, namespace: str) -> ProviderError:
    """The problem behind an error of an informer, for the class's owner."""
    missing = "the cluster has no VirtualMachines: install KubeVirt, or use another cluster's kubeconfig"
    forbidden = f"allow in namespace {namespace} {RIGHTS}"
    return cluster_problem(error, "the KubeVirt cluster", forbidden=forbidden, missing=("NoKubeVirt", missing))


def refusal(error: ApiException) -> tuple[Outcome, tuple[str, str]] | None:
    """Why the cluster will not have a machine, for its tenant and (reason, message) for the owner; None for other trouble."""
    if error.status == 403 and "exceeded quota" in error.message:
        tenant = "there is no room for another machine now: it is made as soon as there is; delete a Workload you do not need"
        owner = f"raise the ResourceQuota in the KubeVirt cluster, or lower the flavor's capacity ({describe(error)})"
        return Outcome(False, "QuotaExceeded", tenant), ("QuotaExceeded", owner)
    if error.status in {400, 422} or (error.status == 403 and "admission webhook" in error.message):
        owner = f"the KubeVirt cluster refuses the machine: correct the flavor or the class's parameters ({describe(error)})"
        return Outcome(False, "MachineRefused", "the machine is refused as it was asked for: its owner sees why"), ("MachineRefused", owner)
    return None

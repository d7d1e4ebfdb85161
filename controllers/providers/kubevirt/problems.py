"""What keeps a KubeVirt cluster from being followed or from making a machine, in words that say what to do. Pure."""

from __future__ import annotations

from controllers.providers.base import Outcome, ProviderError
from controllers.runtime.errors import ApiException, describe

__all__ = ["explain", "refusal"]

RIGHTS = (
    "get, list, watch, create, patch, delete of virtualmachines.kubevirt.io and secrets; get, list, watch, delete of "
    "virtualmachineinstances.kubevirt.io; get, list, delete of datavolumes.cdi.kubevirt.io and persistentvolumeclaims"
)


def explain(error: Exception, namespace: str) -> ProviderError:
    """The problem behind an error of an informer, for the class's owner."""
    if not isinstance(error, ApiException):
        return ProviderError("BadKubeconfig", f"the kubeconfig in the credentials secret cannot be used: {describe(error)}")
    match error.status:
        case 0:
            reason, text = "Unreachable", "the KubeVirt cluster does not answer; it is tried again: check network, server URL and CA"
        case 401:
            reason, text = "Unauthorized", "the KubeVirt cluster refuses the credentials: put a valid kubeconfig into the secret"
        case 403:
            reason, text = "Forbidden", f"the credentials may not do this: allow in namespace {namespace} {RIGHTS}"
        case 404:
            reason, text = "NoKubeVirt", "the cluster has no VirtualMachines: install KubeVirt, or use another cluster's kubeconfig"
        case 429:
            reason, text = "TooManyRequests", "the KubeVirt cluster asks for fewer requests; it is tried again, more slowly"
        case _:
            reason, text = "Failing", "the KubeVirt cluster answers with errors; it is tried again"
    return ProviderError(reason, f"{text} ({describe(error)})")


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

"""What keeps another metal3-workloads from being followed, in words that tell the class's owner what to do. Pure."""

from __future__ import annotations

from controllers.providers.base import ProviderError
from controllers.runtime.errors import ApiException, describe

__all__ = ["explain", "loop"]


def explain(error: Exception, namespace: str) -> ProviderError:
    """The problem behind an error of the informer. Messages are for the owner of the class."""
    if not isinstance(error, ApiException):
        return ProviderError("BadKubeconfig", f"the kubeconfig in the credentials secret cannot be used: {describe(error)}")
    match error.status:
        case 0:
            reason, text = "Unreachable", "the other cluster does not answer; it is tried again: check network, server URL and CA"
        case 401:
            reason, text = "Unauthorized", "the other cluster refuses the credentials: put a valid kubeconfig into the secret"
        case 403:
            reason = "Forbidden"
            text = f"the credentials may not do this: give them a tenant's rights in namespace {namespace} of the other cluster"
        case 404:
            reason, text = "NoBareMetalHosts", "the other cluster serves no BareMetalHosts in this group: correct parameters.viewGroup"
        case 429:
            reason, text = "TooManyRequests", "the other cluster asks to wait; it is tried again"
        case _:
            reason, text = "Failing", "the other cluster answers with errors; it is tried again"
    return ProviderError(reason, f"{text} ({describe(error)})")


def loop(count: int, namespace: str) -> ProviderError:
    """The class leads back to its own cluster."""
    text = f"{count} hosts in namespace {namespace} there are this cluster's own, and are left out: the class leads back to where it is"
    return ProviderError("Loop", f"{text}: correct parameters.namespace, or the kubeconfig in the credentials secret")

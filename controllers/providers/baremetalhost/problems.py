"""What keeps the hardware cluster from being followed, in words that tell its owner what to do. Pure."""

from __future__ import annotations

from controllers.providers.base import ProviderError
from controllers.runtime.errors import ApiException, describe

__all__ = ["explain"]


def explain(error: Exception, namespace: str | None) -> ProviderError:
    """The problem behind an error of the informer. Messages are for the owner."""
    if not isinstance(error, ApiException):
        return ProviderError("BadKubeconfig", f"the kubeconfig in the credentials secret cannot be used: {describe(error)}")
    where = f"in namespace {namespace}" if namespace else "in all namespaces"
    match error.status:
        case 0:
            reason, text = "Unreachable", "the hardware cluster does not answer; it is tried again: check network, server URL and CA"
        case 401:
            reason, text = (
                "Unauthorized",
                "the hardware cluster refuses the credentials: put a valid kubeconfig into the secret",
            )
        case 403:
            reason = "Forbidden"
            text = f"the credentials may not do this: allow get, list, watch, patch of baremetalhosts.metal3.io and all of secrets {where}"
        case 404:
            reason, text = (
                "NoBareMetalHosts",
                "the cluster has no BareMetalHosts: install the Baremetal Operator's CRDs, or use its kubeconfig",
            )
        case 429:
            reason, text = "TooManyRequests", "the hardware cluster asks to wait; it is tried again"
        case _:
            reason, text = "Failing", "the hardware cluster answers with errors; it is tried again"
    return ProviderError(reason, f"{text} ({describe(error)})")

"""What keeps another cluster from being followed, in words that tell the class's owner what to do. Pure; for providers that read one."""

from __future__ import annotations

from apiserver.client.errors import ApiException, describe
from controllers.providers.base import ProviderError

__all__ = ["cluster_problem"]


def cluster_problem(error: Exception, cluster: str, *, forbidden: str, missing: tuple[str, str]) -> ProviderError:
    """The problem behind an error of an informer.

    `cluster`: what it is to its owner, such as "the hardware cluster". `forbidden`: what the credentials have to be allowed. `missing`:
    the reason, and what is wrong, when it does not serve the kind."""
    if not isinstance(error, ApiException):
        return ProviderError("BadKubeconfig", f"the kubeconfig in the credentials secret cannot be used: {describe(error)}")
    match error.status:
        case 0:
            reason, text = "Unreachable", f"{cluster} does not answer; it is tried again: check network, server URL and CA"
        case 401:
            reason, text = "Unauthorized", f"{cluster} refuses the credentials: put a valid kubeconfig into the secret"
        case 403:
            reason, text = "Forbidden", f"the credentials may not do this: {forbidden}"
        case 404:
            reason, text = missing
        case 429:
            reason, text = "TooManyRequests", f"{cluster} asks to wait; it is tried again, more slowly"
        case _:
            reason, text = "Failing", f"{cluster} answers with errors; it is tried again"
    return ProviderError(reason, f"{text} ({describe(error)})")

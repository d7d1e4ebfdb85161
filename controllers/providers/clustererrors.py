"""Explain to the class's owner why another cluster cannot be followed, and what to do.

All providers that read another cluster use this module."""

from __future__ import annotations

from apiserver.client.errors import ApiException, describe
from controllers.providers.base import ProviderError


def cluster_problem(error: Exception, cluster: str, *, forbidden: str, missing: tuple[str, str]) -> ProviderError:
    """Return the problem behind an error of an informer.

    `cluster`: what the message calls the cluster, such as "the hardware cluster". `forbidden`: the
    text that names the permissions which the credentials need. `missing`: the reason and the text
    if the cluster does not serve the kind."""
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

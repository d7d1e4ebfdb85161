"""Connect a provider to another cluster, by the kubeconfig in the secret of its class."""

from __future__ import annotations

from collections.abc import Mapping

from apiserver.client.client import Client
from apiserver.client.errors import BadConfig
from apiserver.client.kubeconfig import parse
from controllers.providers.base import BadClass


async def open_client(credentials: Mapping[str, bytes], context: str | None, cluster: str) -> Client:
    """Return the client of `cluster`, in this context of the kubeconfig. Raises BadClass."""
    kubeconfig = credentials.get("kubeconfig")
    if kubeconfig is None:
        raise BadClass("NoKubeconfig", f"the credentials secret needs the key kubeconfig, with a kubeconfig for {cluster}")
    try:
        client = Client(parse(kubeconfig), context=context)
        await client.open()
    except BadConfig as error:
        raise BadClass("BadKubeconfig", f"the kubeconfig in the credentials secret cannot be used: {error}") from error
    return client

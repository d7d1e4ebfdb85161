"""Kubeconfigs as data, everything embedded: for people (files that kubectl takes) and for the parts of dev mode itself (dicts)."""

from __future__ import annotations

import base64
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Sequence

    from apiserver.server.pki import KeyPair

__all__ = ["Context", "client_certificate", "kubeconfig", "servers"]


@dataclass(frozen=True, slots=True)
class Context:
    """One place to go to: `server` is its URL, `namespace` where one is without saying."""

    name: str
    server: str
    namespace: str = "default"


def kubeconfig(user: str, identity: KeyPair, authority: bytes, contexts: Sequence[Context]) -> dict[str, Any]:
    """A kubeconfig of one user with these contexts, the first of them current. `authority`: PEM."""
    return {
        "apiVersion": "v1",
        "kind": "Config",
        "clusters": [
            {"name": context.name, "cluster": {"server": context.server, "certificate-authority-data": _base64(authority)}}
            for context in contexts
        ],
        "users": [
            {
                "name": user,
                "user": {"client-certificate-data": _base64(identity.certificate), "client-key-data": _base64(identity.key)},
            }
        ],
        "contexts": [
            {"name": context.name, "context": {"cluster": context.name, "user": user, "namespace": context.namespace}}
            for context in contexts
        ],
        "current-context": contexts[0].name,
    }


def client_certificate(config: dict[str, Any]) -> bytes:
    """The client certificate (PEM) in a kubeconfig; empty where there is none."""
    try:
        return base64.b64decode(config["users"][0]["user"]["client-certificate-data"])
    except (KeyError, IndexError, TypeError, ValueError):
        return b""


def servers(config: dict[str, Any]) -> set[str]:
    """The URLs a kubeconfig leads to; empty for what is none."""
    try:
        return {str(cluster["cluster"]["server"]) for cluster in config["clusters"]}
    except (KeyError, TypeError):
        return set()


def _base64(content: bytes) -> str:
    return base64.b64encode(content).decode("ascii")

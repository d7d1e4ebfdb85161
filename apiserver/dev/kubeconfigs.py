"""Build kubeconfigs with embedded credentials, for people (files) and for parts of dev mode
(dicts)."""

from __future__ import annotations

import base64
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from apiserver.server.pki import KeyPair


@dataclass(frozen=True, slots=True)
class Context:
    """A context. `server` is the URL, `namespace` the default namespace."""

    name: str
    server: str
    namespace: str = "default"


def kubeconfig(user: str, identity: KeyPair, authority: bytes, contexts: Sequence[Context]) -> dict[str, Any]:
    """Return a kubeconfig of one user with these contexts, the first of them current.

    `authority` is PEM."""
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
    """Return the client certificate (PEM) in a kubeconfig, b"" if there is none."""
    try:
        return base64.b64decode(config["users"][0]["user"]["client-certificate-data"])
    except (KeyError, IndexError, TypeError, ValueError):
        return b""


def servers(config: dict[str, Any]) -> set[str]:
    """Return the URLs in a kubeconfig, an empty set for other data."""
    try:
        return {str(cluster["cluster"]["server"]) for cluster in config["clusters"]}
    except (KeyError, TypeError):
        return set()


def _base64(content: bytes) -> str:
    return base64.b64encode(content).decode("ascii")

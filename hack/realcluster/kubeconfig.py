"""Build kubeconfig files with one cluster, one user and one context, and everything embedded."""

from __future__ import annotations

import base64
import json
from typing import Any

from hack.realcluster.pki import KeyPair


def kubeconfig(server: str, ca: bytes, identity: KeyPair | str, *, name: str, namespace: str = "default") -> bytes:
    """Return a kubeconfig as JSON, which every YAML parser accepts.

    `identity` is a client certificate or a bearer token; `name` becomes the context's name;
    `namespace` its default namespace.
    """
    document = {
        "apiVersion": "v1",
        "kind": "Config",
        "clusters": [{"name": name, "cluster": {"server": server, "certificate-authority-data": _base64(ca)}}],
        "users": [{"name": name, "user": _user(identity)}],
        "contexts": [{"name": name, "context": {"cluster": name, "user": name, "namespace": namespace}}],
        "current-context": name,
    }
    return json.dumps(document, indent=1).encode()


def _user(identity: KeyPair | str) -> dict[str, Any]:
    if isinstance(identity, str):
        return {"token": identity}
    return {"client-certificate-data": _base64(identity.certificate), "client-key-data": _base64(identity.key)}


def _base64(content: bytes) -> str:
    return base64.b64encode(content).decode("ascii")

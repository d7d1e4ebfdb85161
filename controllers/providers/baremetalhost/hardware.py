"""Connect a command to the hardware cluster of a class, with the class's own credentials."""

from __future__ import annotations

import base64

from apiserver.client.client import Client
from apiserver.client.errors import BadConfig
from apiserver.client.kubeconfig import parse
from apiserver.client.objects import Object, name_of, uid_of
from controllers import kinds
from controllers.providers.baremetalhost.identity import Identity, identity_of
from controllers.resumable import Blocked


def class_namespace(class_: Object) -> str:
    """Return the namespace of the class's real hosts; "" for all."""
    return str((class_["spec"].get("parameters") or {}).get("namespace") or "")


def class_identity(class_: Object, kube_system: Object | None) -> Identity:
    """Return the name by which the class marks hosts as this management cluster's."""
    parameters = class_["spec"].get("parameters") or {}
    return identity_of(str(parameters.get("identity") or ""), uid_of(kube_system) if kube_system is not None else "")


async def connect(management: Client, class_: Object, *, agent: str) -> Client:
    """Return a client of the class's hardware cluster. Raises Blocked with what to do."""
    reference = class_["spec"].get("credentialsSecretRef") or {}
    where = f"{reference.get('namespace')}/{reference.get('name')}"
    secret = await management.find(kinds.SECRETS, str(reference.get("name")), str(reference.get("namespace")))
    encoded = ((secret or {}).get("data") or {}).get("kubeconfig")
    if encoded is None:
        raise Blocked(f"class {name_of(class_)}: there is no secret {where} with the key kubeconfig: create it again first")
    context = (class_["spec"].get("parameters") or {}).get("context")
    try:
        return Client(parse(base64.b64decode(encoded)), context=context, user_agent=agent)
    except BadConfig as error:
        raise Blocked(f"class {name_of(class_)}: the kubeconfig in the secret {where} cannot be used: {error}") from None

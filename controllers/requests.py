"""What a Workload asks of its host's provider, put together from the objects: the ApplyRequest, with the secrets it names."""

from __future__ import annotations

import asyncio
import base64
import hashlib
from dataclasses import replace
from typing import TYPE_CHECKING

import orjson

from apiserver.apis.host import uid_of_view
from controllers import kinds
from controllers.providers.base import ApplyRequest, Outcome, Source
from controllers.runtime.errors import ApiException
from controllers.runtime.objects import Object, labels_of, name_of, namespace_of

if TYPE_CHECKING:
    from controllers.cluster import Cluster

__all__ = ["apply_request", "is_clusters_own", "with_secrets"]

FIELDS = ("userData", "metaData", "networkData")
PULLED_BY_NAME = (
    "spec.image.ociAuthSecretName: credentials of a registry are not passed on to the hardware; drop it, and use an image that can be read "
    "without, or ask the hardware's owner for a mirror"
)


def apply_request(cluster: Cluster, workload: Object, host: Object) -> ApplyRequest:
    """The request without its secrets; its version knows theirs."""
    source, view = host["spec"]["source"], host["spec"].get("view") or {}
    secrets = [_secret_version(cluster, namespace_of(workload), reference) for reference in _references(workload).values()]
    annotations = view.get("annotations") or {}
    parts = [workload["spec"], workload["metadata"]["uid"], secrets, annotations, view.get("name")]
    return ApplyRequest(
        workload=workload,
        source=Source(source.get("namespace") or "", source["name"], source["uid"]),
        secrets={},
        view_name=view.get("name") or source["name"],
        view_uid=uid_of_view(source, namespace_of(workload)),
        annotations=annotations,
        version=hashlib.sha256(orjson.dumps(parts, option=orjson.OPT_SORT_KEYS)).hexdigest(),
    )


async def with_secrets(cluster: Cluster, request: ApplyRequest) -> ApplyRequest:
    """The request with the secrets' data, or blocked by the first that is missing, or by what is not passed on."""
    if (request.workload["spec"].get("image") or {}).get("ociAuthSecretName"):
        return replace(request, blocked=Outcome(False, "ImageUnsupported", PULLED_BY_NAME))
    namespace = namespace_of(request.workload)
    references = _references(request.workload)
    found = await asyncio.gather(*(_secret(cluster, namespace, name) for name in references.values()))
    secrets = {}
    for (field, name), secret in zip(references.items(), found, strict=True):
        if secret is None:
            message = f'the secret "{name}" (spec.{field}) does not exist in namespace "{namespace}": create it'
            return replace(request, blocked=Outcome(False, "SecretNotFound", message))
        if is_clusters_own(secret):
            message = f'the secret "{name}" (spec.{field}) {_CLUSTERS_OWN}'
            return replace(request, blocked=Outcome(False, "SecretNotAllowed", message))
        secrets[field] = {key: base64.b64decode(value) for key, value in (secret.get("data") or {}).items()}
    return replace(request, secrets=secrets)


def _references(workload: Object) -> dict[str, str]:
    spec = workload["spec"]
    return {field: spec[field]["name"] for field in FIELDS if (spec.get(field) or {}).get("name")}


def _secret_version(cluster: Cluster, namespace: str, name: str) -> str:
    secret = cluster.secrets.store.get(f"{namespace}/{name}")
    return f"{secret['metadata']['uid']}/{secret['metadata']['resourceVersion']}" if secret else ""


_CLUSTERS_OWN = "holds a cluster's kubeconfig or keys, which are not sent to machines: name the secret with the machine's first-boot data"
_KUBECONFIG = "-kubeconfig"
_KEYS = ("-ca", "-cca", "-etcd", "-proxy", "-sa", "-apiserver-etcd-client")
_CLUSTER_API = "cluster.x-k8s.io/secret"
_CLUSTER_NAME = "cluster.x-k8s.io/cluster-name"


def is_clusters_own(secret: Object) -> bool:
    """Return whether the secret is one that Cluster API keeps for a whole cluster. The name tells: bootstrap data has the same type.

    A user that may create Workloads need not be allowed to read secrets."""
    name = name_of(secret)
    clusters = secret.get("type") == _CLUSTER_API or _CLUSTER_NAME in labels_of(secret)
    return name.endswith(_KUBECONFIG) or (clusters and name.endswith(_KEYS))


async def _secret(cluster: Cluster, namespace: str, name: str) -> Object | None:
    try:
        return await cluster.client.get(kinds.SECRETS, name, namespace)
    except ApiException as error:
        if error.not_found:
            return None
        raise

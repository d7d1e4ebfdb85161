"""Build the ApplyRequest for a Workload's provider from the objects, with the secrets that it
names."""

from __future__ import annotations

import asyncio
import base64
import hashlib
from dataclasses import replace

import orjson

from apiserver.apis.host import uid_of_view
from apiserver.apis.names import IMAGE_AUTH, UNHEALTHY
from apiserver.apis.workload import named_secrets
from apiserver.apis.workloadclass import unhealthy_limit
from apiserver.client.errors import ApiException
from apiserver.client.objects import Object, labels_of, name_of, namespace_of, uid_of
from controllers.cluster import Cluster, is_admitted
from controllers.providers.base import ApplyRequest, Outcome, ProviderError, Source
from controllers.providers.firstboot import first_boot
from controllers.providers.imageauth import image_auth
from controllers.secrets import is_clusters_own, missing_right, version_of
from controllers.unhealthymarks import holder_of, is_mark

_NOT_ADMITTED = (
    "no class admits this namespace any more, so its secrets are not read; what runs is kept: ask the owner of the hosts to admit it "
    "(spec.allowedNamespaces of the class)"
)
_PULLED_BY_NAME = (
    "spec.image.ociAuthSecretName: the source of these machines takes no credentials of a registry; drop it, and use an image that can be "
    "read without, or ask the hardware's owner for a mirror"
)


def apply_request(cluster: Cluster, workload: Object, host: Object) -> ApplyRequest:
    """Return the request without the secrets' data. Its version includes theirs."""
    source, view = host["spec"]["source"], host["spec"].get("view") or {}
    request = ApplyRequest(
        workload=workload,
        source=Source(source.get("namespace") or "", source["name"], source["uid"]),
        secrets={},
        view_name=view.get("name") or source["name"],
        view_uid=uid_of_view(source, namespace_of(workload)),
        annotations=_passed_on(cluster, host, view.get("annotations") or {}),
        namespace_uid=_namespace_uid(cluster, workload, host),
    )
    return _versioned(request, [cluster.secrets.version(key) for key in _keys(workload)])


def _namespace_uid(cluster: Cluster, workload: Object, host: Object) -> str:
    """Return the uid of the namespace in which the claim was made.

    Claims of earlier versions do not contain it. A namespace is not deleted before its Workloads.
    So the Workload belongs to the present namespace if that is not younger than the Workload."""
    recorded = (host["spec"].get("claimRef") or {}).get("namespaceUID")
    if recorded:
        return str(recorded)
    namespace = cluster.namespaces.store.get(namespace_of(workload))
    if namespace is None:
        return ""
    made, since = (str(obj["metadata"].get("creationTimestamp") or "") for obj in (workload, namespace))
    return uid_of(namespace) if since <= made else ""


def _passed_on(cluster: Cluster, host: Object, annotations: dict[str, str]) -> dict[str, str]:
    """Return the tenant's annotations. A mark that the class does not allow to outlive the claim is
    left out."""
    return {key: value for key, value in annotations.items() if key not in UNHEALTHY} if drops_mark(cluster, host) else annotations


def drops_mark(cluster: Cluster, host: Object) -> bool:
    """Return whether the host is marked as unhealthy, and the mark ends with the claim."""
    if not is_mark((host["spec"].get("view") or {}).get("annotations") or {}):
        return False
    class_ = cluster.classes.store.get(host["spec"]["className"])
    others = (other for other in cluster.hosts.store.by_index("namespace", holder_of(host)[0]) if name_of(other) != name_of(host))
    return not cluster.marks.keeps(host, [*others, host], unhealthy_limit(class_["spec"] if class_ is not None else {}))


def _versioned(request: ApplyRequest, secrets: list[str]) -> ApplyRequest:
    workload = request.workload
    parts = [workload["spec"], workload["metadata"]["uid"], secrets, request.annotations, request.view_name]
    return replace(request, version=hashlib.sha256(orjson.dumps(parts, option=orjson.OPT_SORT_KEYS)).hexdigest())


async def with_secrets(cluster: Cluster, request: ApplyRequest, class_: Object | None, *, takes_auth: bool = False) -> ApplyRequest:
    """Add the secrets' data to the request, or what blocks it.

    A request is blocked by a missing secret, or by one that its host's class does not allow.
    `takes_auth`: whether the host's source takes a registry's credentials."""
    namespace, references = namespace_of(request.workload), named_secrets(request.workload["spec"])
    if IMAGE_AUTH in references and not takes_auth:
        return replace(request, blocked=Outcome(False, "ImageUnsupported", _PULLED_BY_NAME))
    if references and not is_admitted(cluster, namespace):
        return replace(request, blocked=Outcome(False, "NamespaceNotAllowed", _NOT_ADMITTED))
    try:
        found = await asyncio.gather(*(cluster.secrets.read(key) for key in _keys(request.workload)))
    except ApiException as error:
        if not error.forbidden:
            raise
        return replace(request, blocked=Outcome(False, "SecretForbidden", missing_right(namespace)))
    secrets = {}
    for (field, name), secret in zip(references.items(), found, strict=True):
        if secret is None:
            message = f'the secret "{name}" (spec.{_path(field)}) does not exist in namespace "{namespace}": create it'
            return replace(request, blocked=Outcome(False, "SecretNotFound", message))
        if (problem := _refused(field, secret, class_)) is not None:
            return replace(request, blocked=Outcome(False, "SecretNotAllowed", f'the secret "{name}" (spec.{_path(field)}) {problem}'))
        secrets[field] = {key: base64.b64decode(value) for key, value in (secret.get("data") or {}).items()}
    versions = [version_of(secret) for secret in found if secret is not None]
    auth = secrets.pop(IMAGE_AUTH, None)
    return replace(_versioned(request, versions), secrets=secrets, image_auth=auth)


def _path(field: str) -> str:
    return f"image.{field}" if field == IMAGE_AUTH else field


def _refused(field: str, secret: Object, class_: Object | None) -> str | None:
    """Return why the secret may not be sent for a field, or None."""
    if field == IMAGE_AUTH and secret.get("type") not in _IMAGE_AUTH_TYPES:
        return f"has to be of one of the types {', '.join(_IMAGE_AUTH_TYPES)}: kubectl create secret docker-registry makes one"
    return _CLUSTERS_OWN if is_clusters_own(secret) else class_refuses(secret, class_)


_IMAGE_AUTH_TYPES = ("kubernetes.io/dockerconfigjson", "kubernetes.io/dockercfg")
"""The types that BMO reads. They keep a tenant that may not read secrets from naming any other
secret of the namespace. The type of a secret cannot be changed."""


def unusable(request: ApplyRequest) -> Outcome | None:
    """Return why a machine cannot be installed with the secrets, such as a missing key, or None if
    it can."""
    try:
        first_boot(request)
        image_auth(request)
    except ProviderError as error:
        return Outcome(False, error.reason, error.message)
    return None


def _keys(workload: Object) -> list[str]:
    return [f"{namespace_of(workload)}/{name}" for name in named_secrets(workload["spec"]).values()]


_CLUSTERS_OWN = (
    "holds a cluster's kubeconfig, keys or tokens, which are not sent to machines: name the secret with the machine's first-boot data"
)


def class_refuses(secret: Object, class_: Object | None) -> str | None:
    """Return why the class does not allow the secret to be sent to a machine, or None.

    The message says what to do."""
    if class_ is None:
        return "cannot be checked, because the WorkloadClass is missing: ask the owner of the hardware to create it again"
    rules = class_["spec"].get("secrets") or {}
    label, types = rules.get("requiredLabel"), rules.get("allowedTypes")
    if label is None and types is None:
        return None
    if label is not None and _bears(secret, label):
        return None
    if secret.get("type", "Opaque") in (types or ()):
        return None
    wanted = [f'the label "{label}"'] if label is not None else []
    if types is not None:
        wanted.append(f"one of the types {', '.join(types)}" if types else "an allowed type, of which there is none")
    assert class_ is not None
    return f'may not be sent to machines of the class "{name_of(class_)}", which wants {" or ".join(wanted)} (its spec.secrets): {_ADVICE}'


_ADVICE = "name a secret that has it, or label this one if its data is meant for the machine"


def _bears(secret: Object, label: str) -> bool:
    key, equal, value = label.partition("=")
    labels = labels_of(secret)
    return key in labels and (not equal or labels[key] == value)

"""Compute the copies of secrets in the namespace of the real host.

By default, BMO fills the metadata of the config drive with the uid, name and namespace of the real
host. The metaData secret overrides this. So its copy states the identity of the host as the tenant
sees it.
"""

from __future__ import annotations

import base64
from collections.abc import Mapping

from apiserver.apis.names import IMAGE_AUTH
from apiserver.apis.workload import named_secrets
from apiserver.client.objects import Object
from controllers.providers.baremetalhost import names
from controllers.providers.base import ApplyRequest
from controllers.providers.firstboot import first_boot
from controllers.providers.imageauth import CONFIG_KEY, image_auth


def copies(request: ApplyRequest) -> dict[str, dict[str, bytes]]:
    """Return the data of the copied secret for each reference field.

    A copy holds only what BMO reads. metaData is always included. Raises ProviderError with a
    message for the tenant if a secret lacks its key or cannot be read."""
    found = {field: {field: content} for field, content in first_boot(request).items()}
    auth = image_auth(request)
    return found if auth is None else {**found, IMAGE_AUTH: {CONFIG_KEY: auth}}


def copied_fields(workload: Object) -> list[str]:
    """Return the reference fields with copies, for a Workload that runs something."""
    auth = [IMAGE_AUTH] if IMAGE_AUTH in named_secrets(workload["spec"]) else []
    return [field for field in ("userData", "networkData") if workload["spec"].get(field)] + ["metaData", *auth]


def secret_object(workload: Object, namespace: str, field: str, data: Mapping[str, bytes]) -> Object:
    """Return the copied secret with our label."""
    uid = workload["metadata"]["uid"]
    return {
        "apiVersion": "v1",
        "kind": "Secret",
        "metadata": {"name": names.secret_name(uid, field), "namespace": namespace, "labels": {names.WORKLOAD_UID: uid}},
        "type": "kubernetes.io/dockerconfigjson" if field == IMAGE_AUTH else "Opaque",
        "data": {key: base64.b64encode(value).decode() for key, value in data.items()},
    }

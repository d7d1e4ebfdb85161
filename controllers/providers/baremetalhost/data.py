"""The first-boot secrets as they are copied next to the real host. Pure: the tenant's data in, the copy's data out.

BMO fills the config drive's metadata with the real host's uid, name and namespace unless the metaData secret says otherwise; so a
copy always says who the host is to its tenant.
"""

from __future__ import annotations

import base64
from typing import TYPE_CHECKING

from controllers.providers.baremetalhost import names
from controllers.providers.firstboot import first_boot

if TYPE_CHECKING:
    from collections.abc import Mapping

    from apiserver.client.objects import Object
    from controllers.providers.base import ApplyRequest

__all__ = ["copied_fields", "copies", "secret_object"]


def copies(request: ApplyRequest) -> dict[str, dict[str, bytes]]:
    """Per reference field the data of the copied secret: what BMO reads, nothing else. metaData is always among them.

    Raises ProviderError with a message for the tenant when a secret lacks its key or cannot be read."""
    return {field: {field: content} for field, content in first_boot(request).items()}


def copied_fields(workload: Object) -> list[str]:
    """The reference fields that a Workload which runs something gets copies for."""
    return [field for field in ("userData", "networkData") if workload["spec"].get(field)] + ["metaData"]


def secret_object(workload: Object, namespace: str, field: str, data: Mapping[str, bytes]) -> Object:
    """The copied secret, labelled as ours."""
    uid = workload["metadata"]["uid"]
    return {
        "apiVersion": "v1",
        "kind": "Secret",
        "metadata": {"name": names.secret_name(uid, field), "namespace": namespace, "labels": {names.WORKLOAD_UID: uid}},
        "type": "Opaque",
        "data": {key: base64.b64encode(value).decode() for key, value in data.items()},
    }

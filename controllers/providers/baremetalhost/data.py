"""The first-boot secrets as they are copied next to the real host. Pure: the tenant's data in, the copy's data out.

BMO fills the config drive's metadata with the real host's uid, name and namespace unless the metaData secret says otherwise; so a
copy always says who the host is to its tenant.
"""

from __future__ import annotations

import base64
from typing import TYPE_CHECKING, Any

import orjson
import yaml

from controllers.providers.baremetalhost import names
from controllers.providers.base import ProviderError

if TYPE_CHECKING:
    from collections.abc import Mapping

    from controllers.providers.base import ApplyRequest
    from controllers.runtime.objects import Object

__all__ = ["copied_fields", "copies", "secret_object"]

FALLBACK = "value"
"""The key of bootstrap secrets made by Cluster API, which BMO falls back to for user data."""


class _Loader(yaml.SafeLoader):
    """YAML without timestamps: a date in metadata stays the text it is."""


_Loader.yaml_implicit_resolvers = {
    first: [(tag, pattern) for tag, pattern in resolvers if tag != "tag:yaml.org,2002:timestamp"]
    for first, resolvers in yaml.SafeLoader.yaml_implicit_resolvers.items()
}


def copies(request: ApplyRequest) -> dict[str, dict[str, bytes]]:
    """Per reference field the data of the copied secret: what BMO reads, nothing else. metaData is always among them.

    Raises ProviderError with a message for the tenant when a secret lacks its key or cannot be read."""
    result: dict[str, dict[str, bytes]] = {}
    for field, data in request.secrets.items():
        if field != "metaData":
            result[field] = {field: _value(request, field, data)}
    result["metaData"] = {"metaData": _metadata(request)}
    return result


def copied_fields(workload: Object) -> list[str]:
    """The reference fields that a Workload which runs something gets copies for."""
    return [field for field in ("userData", "networkData") if workload["spec"].get(field)] + ["metaData"]


def _value(request: ApplyRequest, field: str, data: Mapping[str, bytes]) -> bytes:
    keys = (field, FALLBACK) if field == "userData" else (field,)
    for key in keys:
        if key in data:
            return data[key]
    name = request.workload["spec"][field]["name"]
    message = f'secret "{name}" (spec.{field}) has no key {" or ".join(repr(key) for key in keys)}: put the data under it'
    raise ProviderError("InvalidSecret", message)


def _metadata(request: ApplyRequest) -> bytes:
    given: dict[str, Any] = {}
    if (data := request.secrets.get("metaData")) is not None:
        given = _mapping(request, _value(request, "metaData", data))
    ours = {
        "uuid": request.view_uid,
        "metal3-name": request.view_name,
        "metal3-namespace": request.workload["metadata"]["namespace"],
        "local-hostname": request.view_name,
        "local_hostname": request.view_name,
    }
    return orjson.dumps({**ours, **given}, option=orjson.OPT_SORT_KEYS)


def _mapping(request: ApplyRequest, text: bytes) -> dict[str, Any]:
    name = request.workload["spec"]["metaData"]["name"]
    try:
        value = yaml.load(text, _Loader)
    except (yaml.YAMLError, UnicodeDecodeError):
        value = []
    if value is None:
        return {}
    if not isinstance(value, dict) or not all(isinstance(key, str) for key in value):
        raise ProviderError("InvalidSecret", f'secret "{name}" (spec.metaData): the key metaData must hold a YAML or JSON object')
    return value


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

"""Compute what a machine reads at its first boot, from the secrets that its Workload names.

All providers use this module. Whatever the source, the machine learns its identity from the
tenant's view: the name and uid of the view, not those of the real machine.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import orjson

from controllers.providers.base import ApplyRequest, ProviderError
from controllers.runtime.boundedyaml import load

FALLBACK = "value"
"""The key of bootstrap secrets that Cluster API creates. BMO falls back to it for each of the three
fields."""


def first_boot(request: ApplyRequest) -> dict[str, bytes]:
    """Return the content of each field ("userData", "networkData", "metaData").

    userData and networkData are as in the secrets. metaData is always included, and is completed as
    JSON. Raises ProviderError with a message for the tenant if a secret lacks its key or cannot be
    read."""
    result = {field: _value(request, field, data) for field, data in request.secrets.items() if field != "metaData"}
    return {**result, "metaData": _metadata(request)}


def _value(request: ApplyRequest, field: str, data: Mapping[str, bytes]) -> bytes:
    keys = (field, FALLBACK)
    for key in keys:
        if key in data:
            return data[key]
    name = request.workload["spec"][field]["name"]
    message = f'the secret "{name}" (spec.{field}) has no key {" or ".join(repr(key) for key in keys)}: add the key, or name another secret'
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
        "name": request.view_name,
    }
    return orjson.dumps({**ours, **given}, option=orjson.OPT_SORT_KEYS)


def _mapping(request: ApplyRequest, text: bytes) -> dict[str, Any]:
    name = request.workload["spec"]["metaData"]["name"]
    try:
        value = load(text)
    except ValueError as error:
        raise ProviderError("InvalidSecret", f'secret "{name}" (spec.metaData), key metaData: {error}') from None
    if value is None:
        return {}
    if not isinstance(value, dict) or not all(isinstance(key, str) for key in value):
        raise ProviderError("InvalidSecret", f'secret "{name}" (spec.metaData): the key metaData must hold a YAML or JSON object')
    return value

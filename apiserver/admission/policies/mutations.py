"""Convert the values of mutations to JSON, and change objects by them (policy/mutating/patch of
k8s.io/apiserver)."""

from __future__ import annotations

import base64
from collections.abc import Iterator
from typing import Any

import orjson

from apiserver.apis.status import ApiError
from apiserver.cel.operators import key_value
from apiserver.cel.program import StructValue
from apiserver.cel.values import Duration, Timestamp, type_name
from apiserver.registry.fieldmanager import FieldsError, Type, configured
from apiserver.registry.generic.counting import STORED
from apiserver.registry.generic.patch import REFUSED, FailedTest, json_patch, operations_of
from apiserver.registry.generic.sizelimits import SIZE

EXACT = 2**53 - 1
"""The largest integer that a double holds exactly. JSON patches have larger ones as strings."""
_TEXTS = ("op", "path", "from")


class Unchangeable(Exception):
    """A mutation cannot be applied. The message gives the reason."""


def configuration_of(value: Any) -> dict[str, Any]:
    """Return the apply configuration that an expression gives. Raises Unchangeable."""
    if not isinstance(value, StructValue) or value.name != "Object":
        raise Unchangeable(f"unsupported return type from ApplyConfiguration expression: {type_name(value)}")
    found: dict[str, Any] = _Json(patch=False).of(value)
    _check_names(value)
    return found


def operations_from(value: Any) -> list[dict[str, Any]]:
    """Return the operations of the JSON patch that an expression gives. Raises Unchangeable."""
    if not isinstance(value, list):
        raise Unchangeable("type mismatch: JSONPatchType.expression should evaluate to array")
    json = _Json(patch=True)
    return [_operation(one, json) for one in value]


def _operation(value: Any, json: _Json) -> dict[str, Any]:
    if not isinstance(value, StructValue) or value.name != "JSONPatch":
        raise Unchangeable("type mismatch: JSONPatchType.expression should evaluate to array of JSONPatch")
    fields = {"op": "", "path": "", **value.fields}
    for name, part in fields.items():
        if name not in (*_TEXTS, "value"):
            raise Unchangeable(f"unexpected JSONPatchType field: {name}")
        if name in _TEXTS and not isinstance(part, str):
            raise Unchangeable(f"unexpected type {type_name(part)} for JSONPatchType '{name}' field")
    found = {name: json.of(part) for name, part in fields.items() if name != "from" or part}
    if isinstance(fields.get("value"), StructValue):
        _check_names(fields["value"])
    return found


def _check_names(value: StructValue) -> None:
    """Raise Unchangeable for wrong names.

    The value must have been converted before: a value with shared parts may take exponential time
    to walk."""
    errors = list(_wrong_names(value, [value.name]))
    if errors:
        raise Unchangeable("type mismatch: " + "\n".join(errors))


def _wrong_names(value: Any, path: list[str]) -> Iterator[str]:
    """Yield the errors of types whose names are not the paths of their fields."""
    if isinstance(value, StructValue):
        if (wanted := ".".join(path)) != value.name:
            yield f'unexpected type name "{value.name}", expected "{wanted}", which matches field name path from root Object type'
        for name, part in value.fields.items():
            yield from _wrong_names(part, [*path, name])
    elif isinstance(value, list | dict):
        for part in value if isinstance(value, list) else value.values():
            if isinstance(part, StructValue | list | dict):
                yield from _wrong_names(part, path)


class _Json:
    """Converts values to JSON that is no larger than an object may be.

    `patch`: as protobuf's JSON, in which JSON patches have their values."""

    def __init__(self, *, patch: bool) -> None:
        self._patch = patch
        self._values, self._size = STORED, SIZE

    def of(self, value: Any) -> Any:
        """Return the value. Raises Unchangeable."""
        self._values -= 1
        self._size -= len(value) if isinstance(value, str | bytes) else 8
        if self._values < 0 or self._size < 0:
            raise Unchangeable(f"the mutation has more than {STORED} values or {SIZE} bytes")
        if value is None or isinstance(value, bool | str | float):
            return value
        if isinstance(value, int):
            return str(value) if self._patch and abs(value) > EXACT else int(value)
        if isinstance(value, list):
            return [self.of(one) for one in value]
        if isinstance(value, StructValue):
            return {name: self.of(one) for name, one in value.fields.items()}
        if isinstance(value, dict):
            return {self._key(key_value(key)): self.of(one) for key, one in value.items()}
        if self._patch and isinstance(value, Timestamp | Duration):
            return str(value)
        if self._patch and isinstance(value, bytes):
            return base64.b64encode(value).decode()
        raise Unchangeable(f"a value of type {type_name(value)} cannot be converted to JSON")

    def _key(self, key: Any) -> str:
        if not isinstance(key, str):
            raise Unchangeable(f"map key {key} is of type {type_name(key)}, not string")
        self._size -= len(key)
        return key


def patched(obj: dict[str, Any], operations: list[dict[str, Any]]) -> dict[str, Any]:
    """Return the object after a JSON patch, or the object itself if a test fails.

    Raises Unchangeable, or ApiError (500) if the result is no object."""
    try:
        found = json_patch(orjson.loads(orjson.dumps(obj)), operations_of(operations))
    except FailedTest:
        return obj
    except ApiError as error:
        raise Unchangeable(f"JSON Patch: {error.message.removeprefix(REFUSED)}") from None
    if not isinstance(found, dict) or not isinstance(found.get("metadata"), dict) or not isinstance(found.get("kind"), str):
        raise ApiError(500, "InternalError", "Internal error occurred: the JSON patch of an admission policy leaves no object")
    return found


def applied(schema: Type, obj: dict[str, Any], configuration: dict[str, Any]) -> dict[str, Any]:
    """Return the object with an apply configuration. Raises Unchangeable."""
    kind = {"apiVersion": obj.get("apiVersion"), "kind": obj.get("kind")}
    try:
        return configured(schema, obj, {**configuration, **kind})
    except FieldsError as error:
        raise Unchangeable(f"error applying patch: {error}") from None

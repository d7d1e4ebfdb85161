"""Merge the apply configuration of an admission policy (policy/mutating/patch/smd.go of
k8s.io/apiserver).

Its fields get no owner, and no field is removed.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from apiserver.registry.fieldmanager.errors import ApplyRefused, SchemaMismatch
from apiserver.registry.fieldmanager.merge import merge
from apiserver.registry.fieldmanager.schema import Type
from apiserver.registry.fieldmanager.typed import validate


def configured(schema: Type, live: dict[str, Any], configuration: dict[str, Any]) -> dict[str, Any]:
    """Return the object with everything in the configuration. Shares parts with both.

    Raises SchemaMismatch or ApplyRefused."""
    try:
        validate(schema, configuration)
        if atomic := list(_atomics(schema, configuration, "")):
            raise ApplyRefused(f"invalid ApplyConfiguration: may not mutate atomic arrays, maps or structs: {', '.join(atomic)}")
        return merge(schema, live, configuration)
    except SchemaMismatch as error:
        raise SchemaMismatch(error.errors, "failed to convert patch object to typed object") from None
    except RecursionError:
        raise ApplyRefused("the configuration is nested too deeply") from None


def _atomics(type_: Type, value: Any, path: str) -> Iterator[str]:
    """Yield the paths of atomic values, whose other fields a configuration would remove."""
    if isinstance(value, dict) and type_.map is not None:
        if type_.map.atomic:
            yield path
        for name, part in value.items():
            if name in type_.map.fields:
                yield from _atomics(type_.map.fields[name][1], part, f"{path}.{name}")
    if isinstance(value, list) and type_.list is not None:
        if type_.list.relation == "atomic":
            yield path
        for index, part in enumerate(value):
            yield from _atomics(type_.list.item, part, f"{path}[{index}]")

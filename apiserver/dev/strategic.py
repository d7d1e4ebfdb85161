"""Strategic merge patch, which kubectl sends for kinds that it was built with, such as Secret. Pure; knows core/v1's few lists only.

Source: k8s.io/apimachinery/pkg/util/strategicpatch. Custom kinds have none: their servers answer 415, and kubectl sends a merge patch.
"""

from __future__ import annotations

from typing import Any

from apiserver.apis.status import bad_request

__all__ = ["strategic_merge"]

Object = dict[str, Any]

SETS = frozenset({"finalizers"})
"""Lists of values that are merged."""
KEYS = {"ownerReferences": "uid", "conditions": "type"}
"""Lists of objects that are merged, and what tells their items apart. All others are replaced."""
DELETE_FROM, ORDER, RETAIN, PATCH = "$deleteFromPrimitiveList/", "$setElementOrder/", "$retainKeys", "$patch"


def strategic_merge(current: Object, patch: Object) -> Object:
    """The object that the patch makes of the current one, which stays as it is. Raises ApiError (400) for unknown directives."""
    directive = patch.get(PATCH, "merge")
    if directive == "delete":
        return {}
    if directive == "replace":
        return {key: value for key, value in patch.items() if key != PATCH}
    if directive != "merge":
        raise bad_request(f"unknown directive in the strategic merge patch: $patch: {directive}")
    kept = patch.get(RETAIN)
    merged = {key: value for key, value in current.items() if not isinstance(kept, list) or key in kept}
    for key, value in patch.items():
        _merge_field(merged, key, value)
    return merged


def _merge_field(merged: Object, key: str, value: Any) -> None:
    if key in (PATCH, RETAIN) or key.startswith(ORDER):
        return  # the order of these lists means nothing here
    if key.startswith(DELETE_FROM):
        name = key.removeprefix(DELETE_FROM)
        merged[name] = [item for item in merged.get(name) or () if item not in _list(key, value)]
    elif key.startswith("$"):
        raise bad_request(f"unknown directive in the strategic merge patch: {key}")
    elif value is None:
        merged.pop(key, None)
    elif isinstance(value, dict):
        before = merged.get(key)
        merged[key] = strategic_merge(before if isinstance(before, dict) else {}, value)
    elif key in SETS:
        before = list(merged.get(key) or ())
        merged[key] = before + [item for item in _list(key, value) if item not in before]
    elif key in KEYS:
        merged[key] = _merge_items(merged.get(key) or [], _list(key, value), KEYS[key])
    else:
        merged[key] = value


def _merge_items(current: list[Any], patch: list[Any], key: str) -> list[Any]:
    merged = list(current)
    for item in patch:
        if not isinstance(item, dict) or key not in item:
            raise bad_request(f"the strategic merge patch has a list item without its key, {key}")
        place = next((number for number, one in enumerate(merged) if isinstance(one, dict) and one.get(key) == item[key]), None)
        if item.get(PATCH) == "delete":
            merged = [one for number, one in enumerate(merged) if number != place]
        elif place is None:
            merged.append(strategic_merge({}, item))
        else:
            merged[place] = strategic_merge(merged[place], item)
    return merged


def _list(key: str, value: Any) -> list[Any]:
    if not isinstance(value, list):
        raise bad_request(f"{key} in the strategic merge patch must be a list")
    return value

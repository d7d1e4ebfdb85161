"""Apply strategic merge patches, which kubectl sends for built-in kinds such as Secret.

Only the few lists of core/v1 are supported. Source: k8s.io/apimachinery/pkg/util/strategicpatch.
Custom kinds do not support them: their servers answer 415, and kubectl then sends a merge patch.
"""

from __future__ import annotations

from typing import Any

import orjson

from apiserver.apis.status import bad_request

Object = dict[str, Any]

SETS = frozenset({"finalizers"})
"""The lists of values that are merged."""
KEYS = {"ownerReferences": "uid", "conditions": "type"}
"""The lists of objects that are merged, with the key of their items. All others are replaced."""
DELETE_FROM, ORDER, RETAIN, PATCH = "$deleteFromPrimitiveList/", "$setElementOrder/", "$retainKeys", "$patch"


def strategic_merge(current: Object, patch: Object) -> Object:
    """Return the current object with the patch applied. Does not change it.

    Raises ApiError (400) for unknown directives."""
    directive = patch.get(PATCH, "merge")
    if directive == "delete":
        return {}
    if directive == "replace":
        return {key: value for key, value in patch.items() if key != PATCH}
    if directive != "merge":
        raise bad_request(f"unknown directive in the strategic merge patch: $patch: {directive}")
    retained = patch.get(RETAIN)
    kept = {item for item in retained if isinstance(item, str)} if isinstance(retained, list) else None
    merged = {key: value for key, value in current.items() if kept is None or key in kept}
    for key, value in patch.items():
        _merge_field(merged, key, value)
    return merged


def _merge_field(merged: Object, key: str, value: Any) -> None:
    if key in (PATCH, RETAIN) or key.startswith(ORDER):
        return  # the order of these lists has no meaning here
    if key.startswith(DELETE_FROM):
        name = key.removeprefix(DELETE_FROM)
        gone = {_text(item) for item in _list(key, value)}
        merged[name] = [item for item in merged.get(name) or () if _text(item) not in gone]
    elif key.startswith("$"):
        raise bad_request(f"unknown directive in the strategic merge patch: {key}")
    elif value is None:
        merged.pop(key, None)
    elif isinstance(value, dict):
        before = merged.get(key)
        merged[key] = strategic_merge(before if isinstance(before, dict) else {}, value)
    elif key in SETS:
        before = list(merged.get(key) or ())
        known = {_text(item) for item in before}
        merged[key] = before + [item for item in _list(key, value) if _text(item) not in known]
    elif key in KEYS:
        merged[key] = _merge_items(merged.get(key) or [], _list(key, value), KEYS[key])
    else:
        merged[key] = value


def _merge_items(current: list[Any], patch: list[Any], key: str) -> list[Any]:
    merged: list[Any] = list(current)
    places: dict[bytes, int] = {}
    for number, one in enumerate(merged):
        if isinstance(one, dict):
            places.setdefault(_text(one.get(key)), number)
    for item in patch:
        if not isinstance(item, dict) or key not in item:
            raise bad_request(f"the strategic merge patch has a list item without its key, {key}")
        identity = _text(item[key])
        place = places.get(identity)
        if item.get(PATCH) == "delete":
            if place is not None:
                merged[place] = _DELETED
                del places[identity]
        elif place is None:
            places[identity] = len(merged)
            merged.append(strategic_merge({}, item))
        else:
            merged[place] = strategic_merge(merged[place], item)
    return [one for one in merged if one is not _DELETED]


_DELETED: Any = object()


def _text(value: Any) -> bytes:
    """Return the identity of a JSON value, even of one that cannot be hashed."""
    return orjson.dumps(value, option=orjson.OPT_SORT_KEYS)


def _list(key: str, value: Any) -> list[Any]:
    if not isinstance(value, list):
        raise bad_request(f"{key} in the strategic merge patch must be a list")
    return value

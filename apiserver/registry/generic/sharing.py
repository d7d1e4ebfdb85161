"""Reuse unchanged parts of an object on update, so that later steps detect changes by identity.

Stored parts were validated and normalized when they were written, and are not validated again. So a
patch of a label costs only as much as its metadata.
"""

from __future__ import annotations

from typing import Any

import orjson

Object = dict[str, Any]


def sharing(old: Object, new: Object) -> Object:
    """Return `new` with the parts of `old` that are the same JSON (structural sharing).

    The arguments are either objects, whose metadata is left out, or their metadata."""
    same = {field: part for field, part in old.items() if field != "metadata" and field in new and _same(part, new[field])}
    return {**new, **same} if same else new


def changed(old: Object, new: Object) -> Object:
    """Return the fields of `new` that it does not share with `old`."""
    return {field: part for field, part in new.items() if field not in old or old[field] is not part}


def _same(one: Any, other: Any) -> bool:
    """Return whether two values are the same JSON. For Python, true also equals 1 and 1.0."""
    return one is other or (one == other and orjson.dumps(one) == orjson.dumps(other))

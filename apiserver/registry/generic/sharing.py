"""What an update leaves as it was, as the very same Python objects: whoever comes later sees at a glance what did not change. Pure.

What is stored was judged and normalized when it was written, and is not again. So a patch of a label costs what metadata costs.
"""

from __future__ import annotations

from typing import Any

import orjson

__all__ = ["changed", "sharing"]

Object = dict[str, Any]


def sharing(old: Object, new: Object) -> Object:
    """`new`, with `old`'s own parts where they are the same JSON. Of an object but for its metadata, or of its metadata."""
    same = {field: part for field, part in old.items() if field != "metadata" and field in new and _same(part, new[field])}
    return {**new, **same} if same else new


def changed(old: Object, new: Object) -> Object:
    """The fields of `new` that it does not share with `old`."""
    return {field: part for field, part in new.items() if field not in old or old[field] is not part}


def _same(one: Any, other: Any) -> bool:
    """Whether they are the same JSON; to Python alone, true is 1 and 1.0 as well."""
    return one is other or (one == other and orjson.dumps(one) == orjson.dumps(other))

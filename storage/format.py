"""Refuse a store whose objects were written in a format that this version does not know.

A later version that stores something which this version would misread or damage first stores a
larger number under KEY. The number stands for all objects; backends have a version of their own for
their tables. Fields that are only additional need no new number.
"""

from __future__ import annotations

from storage.base import Corrupt, Store

FORMAT = 1
"""The newest format that this version reads and writes. A store without KEY has format 1."""
KEY = "format"
"""Keys of objects begin with a slash."""


async def check_format(store: Store) -> None:
    """Raise Corrupt if a later version wrote the store in a newer format."""
    found = await store.get(KEY)
    if found is not None and not (found.value.isdigit() and int(found.value) <= FORMAT):
        named = found.value[:20].decode(errors="replace")
        raise Corrupt(
            f"this storage has format {named}, and this version knows {FORMAT} at most: run the version that wrote it, "
            "or restore the backup that was taken before the upgrade"
        )

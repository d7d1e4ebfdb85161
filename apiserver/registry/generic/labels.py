"""Find objects by label with an index of every label, without testing all objects."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from apiserver.registry.generic.entry import Entry
from apiserver.registry.generic.selectors import LabelSelector, Requirement
from storage.collection import Collection

INDEX = "labels"


def indexer(entry: Entry) -> Iterable[tuple[str, str]]:
    """Return the keys of an entry in the index INDEX: its labels."""
    return entry.labels.items()


def candidates_of(collection: Collection[Entry], selector: LabelSelector, prefix: str, *, start: str = "") -> Sequence[Entry]:
    """Return the entries of a range that may match the selector (see Collection.range).

    The caller must still test each entry unless `is_exact` is true. The collection must have the
    index INDEX."""
    wanted = [(one.key, next(iter(one.values))) for one in selector.requirements if _is_indexed(one)]
    if not wanted:
        return collection.range(prefix, start=start)
    rarest = min(wanted, key=lambda label: collection.count(INDEX, label))
    return collection.index(INDEX, rarest, prefix, start=start)


def is_exact(selector: LabelSelector) -> bool:
    """Return whether `candidates_of` returns exactly the entries that match the selector."""
    return not selector.requirements or (len(selector.requirements) == 1 and _is_indexed(selector.requirements[0]))


def _is_indexed(one: Requirement) -> bool:
    return one.operator in ("=", "in") and len(one.values) == 1

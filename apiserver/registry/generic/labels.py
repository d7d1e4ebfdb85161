"""Finding objects by label without looking at all of them: an index of every label, and which of a selector's conditions to use it for."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable

    from apiserver.registry.generic.entry import Entry
    from apiserver.registry.generic.selectors import LabelSelector, Requirement
    from storage.collection import Collection

__all__ = ["INDEX", "decides", "indexer", "narrowed"]

INDEX = "labels"


def indexer(entry: Entry) -> Iterable[tuple[str, str]]:
    """What an entry is found under in the index INDEX: its labels."""
    return entry.labels.items()


def narrowed(collection: Collection[Entry], selector: LabelSelector, prefix: str, *, start: str = "") -> list[Entry]:
    """The entries of a range (see Collection.range) without many that the selector does not match; each is still to be tried, unless
    the index decides. The collection has the index INDEX."""
    wanted = [(one.key, next(iter(one.values))) for one in selector.requirements if _is_indexed(one)]
    if not wanted:
        return collection.range(prefix, start=start)
    rarest = min(wanted, key=lambda label: collection.count(INDEX, label))
    return collection.index(INDEX, rarest, prefix, start=start)


def decides(selector: LabelSelector) -> bool:
    """Whether `narrowed` finds what the selector matches and nothing else."""
    return not selector.requirements or (len(selector.requirements) == 1 and _is_indexed(selector.requirements[0]))


def _is_indexed(one: Requirement) -> bool:
    return one.operator in ("=", "in") and len(one.values) == 1

"""Provide caches with a bounded number of bytes, because tenants choose the size of their content.

Every cache of the server and of the controllers is a Bounded or uses `bounded_lru_cache`; a test
enforces this.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Hashable
from dataclasses import fields, is_dataclass
from functools import lru_cache, wraps
from typing import Any, Generic, ParamSpec, TypeVar

K = TypeVar("K", bound="Hashable")
V = TypeVar("V")
P = ParamSpec("P")
R = TypeVar("R")

ENTRY = 200
"""The approximate bytes of memory of an entry besides its key and value."""
PART = 64
"""The approximate bytes of memory of a part of a value besides its text."""

BOUNDED_CACHES: dict[str, object] = {}
"""The functions whose results are cached, with their caches."""


class Bounded(Generic[K, V]):
    """A mapping of at most `most` bytes that evicts the least recently used entries.

    A value that is larger than the whole is not kept."""

    def __init__(self, most: int) -> None:
        self.most, self.size = most, 0
        self._kept: OrderedDict[K, tuple[V, int]] = OrderedDict()

    def __len__(self) -> int:
        return len(self._kept)

    def get(self, key: K) -> V | None:
        """Return the value, or None."""
        found = self._kept.get(key)
        if found is None:
            return None
        self._kept.move_to_end(key)
        return found[0]

    def put(self, key: K, value: V, size: int) -> None:
        """Keep a value. `size` is the bytes of the value and its key."""
        self.pop(key)
        size += ENTRY
        if size > self.most:
            return
        self._kept[key] = value, size
        self.size += size
        while self.size > self.most:
            _, (_, gone) = self._kept.popitem(last=False)
            self.size -= gone

    def pop(self, key: K) -> V | None:
        """Remove the entry and return its value, or None."""
        found = self._kept.pop(key, None)
        if found is None:
            return None
        self.size -= found[1]
        return found[0]

    def clear(self) -> None:
        """Remove all entries."""
        self._kept.clear()
        self.size = 0


def footprint(value: Any) -> int:
    """Return the approximate bytes of memory of a value.

    The value consists of strings, bytes, collections and dataclasses."""
    waiting, size = [value], 0
    while waiting:
        part = waiting.pop()
        size += PART
        if isinstance(part, str | bytes):
            size += len(part)
        elif isinstance(part, dict):
            waiting += [*part, *part.values()]
        elif isinstance(part, tuple | list | set | frozenset):
            waiting += part
        elif is_dataclass(part):
            waiting += [getattr(part, field.name) for field in fields(part)]
    return size


def bounded_lru_cache(entries: int, characters: int) -> Callable[[Callable[P, R]], Callable[P, R]]:
    """Cache the latest results of a pure function, except for strings longer than `characters`.

    The result, and the objects that it refers to, must be no larger than the arguments, or have a
    bounded size."""

    def decorate(function: Callable[P, R]) -> Callable[P, R]:
        remembered = lru_cache(maxsize=entries)(function)
        BOUNDED_CACHES[f"{function.__module__}.{function.__qualname__}"] = remembered

        @wraps(function)
        def call(*args: P.args, **kwargs: P.kwargs) -> R:
            for one in args:
                if one.__class__ is str and len(one) > characters:
                    return function(*args, **kwargs)
            return remembered(*args, **kwargs)  # type: ignore[arg-type]  # hashable, as far as functions of texts go

        return call

    return decorate

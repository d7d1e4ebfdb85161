"""What the suites share: opening stores, and reading watches with a deadline.

Nothing here assumes that revisions start at 1 or grow by 1, nor that the suite is alone with the backend's server."""

from __future__ import annotations

import asyncio
from abc import ABC, abstractmethod
from contextlib import aclosing, asynccontextmanager
from typing import TYPE_CHECKING, Any, cast

import pytest

from storage.base import Event, Progress, Put

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, AsyncIterator, Sequence
    from pathlib import Path

    from storage.base import Store

__all__ = ["DEADLINE", "Harness", "brief", "collect", "opened", "put", "watching"]

DEADLINE = 30.0
"""Seconds after which something that must happen is taken not to happen."""


class Harness(ABC):
    """How a suite gets its store."""

    progress_within: float = DEADLINE
    """Seconds within which an idle watch emits Progress; open stores accordingly."""

    @abstractmethod
    def open_store(self, place: Path) -> Store:
        """A store, not started. Over the same place it finds the data that an earlier one, now closed, left there."""

    @pytest.fixture
    def place(self, tmp_path: Path) -> Path:
        """A place nobody else uses."""
        return tmp_path

    @pytest.fixture
    async def store(self, place: Path) -> AsyncIterator[Store]:
        """A started, empty store."""
        async with opened(self.open_store(place)) as store:
            yield store


@asynccontextmanager
async def opened(store: Store) -> AsyncIterator[Store]:
    """Start the store, and close it at the end."""
    await store.start()
    try:
        yield store
    finally:
        await store.close()


@asynccontextmanager
async def watching(store: Store, prefix: str, after: int) -> AsyncIterator[AsyncIterator[Event | Progress]]:
    """A watch that is ended at the end, with a deadline for all that is done with it."""
    async with asyncio.timeout(DEADLINE), aclosing(cast("AsyncGenerator[Event | Progress, None]", store.watch(prefix, after))) as watch:
        yield watch


async def collect(store: Store, prefix: str, after: int, upto: int) -> list[Event]:
    """The events of a watch until it says that everything up to revision `upto` was delivered."""
    events: list[Event] = []
    async with watching(store, prefix, after) as watch:
        async for item in watch:
            if isinstance(item, Event):
                events.append(item)
            elif item.revision >= upto:
                break
    return events


async def put(store: Store, *keys: str, value: bytes = b"v") -> int:
    """Write the keys one after the other; the last revision."""
    revision = 0
    for key in keys:
        revision = await store.commit([Put(key, value)])
    return revision


def brief(events: Sequence[Any]) -> list[tuple[str, str]]:
    """Type and key of each event."""
    return [(event.type, event.key) for event in events]

"""Open stores, and read watches with a deadline.

Nothing here assumes that revisions start at 1 or grow by 1, or that no other client uses the
backend's server."""

from __future__ import annotations

import asyncio
from abc import ABC, abstractmethod
from collections.abc import AsyncGenerator, AsyncIterator, Sequence
from contextlib import aclosing, asynccontextmanager
from pathlib import Path
from typing import Any, cast

import pytest

from storage.base import Event, Progress, Put, Store

DEADLINE = 30.0
"""The seconds after which an expected event counts as missing."""


class Harness(ABC):
    """The base of a suite, which creates its store."""

    progress_within: float = DEADLINE
    """The seconds within which an idle watch yields Progress; open stores accordingly."""

    @abstractmethod
    def open_store(self, place: Path) -> Store:
        """Return a store that is not started.

        Opened over the same place, it finds the data of an earlier store that is closed now."""

    @pytest.fixture
    def place(self, tmp_path: Path) -> Path:
        """Return a place that no other test uses."""
        return tmp_path

    @pytest.fixture
    async def store(self, place: Path) -> AsyncIterator[Store]:
        """Yield a started, empty store."""
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
    """Yield a watch with a deadline for its whole use, and close it at the end."""
    async with asyncio.timeout(DEADLINE), aclosing(cast("AsyncGenerator[Event | Progress, None]", store.watch(prefix, after))) as watch:
        yield watch


async def collect(store: Store, prefix: str, after: int, upto: int) -> list[Event]:
    """Return the events of a watch until everything up to revision `upto` was delivered."""
    events: list[Event] = []
    async with watching(store, prefix, after) as watch:
        async for item in watch:
            if isinstance(item, Event):
                events.append(item)
            elif item.revision >= upto:
                break
    return events


async def put(store: Store, *keys: str, value: bytes = b"v") -> int:
    """Write the keys one after the other, and return the last revision."""
    revision = 0
    for key in keys:
        revision = await store.commit([Put(key, value)])
    return revision


def brief(events: Sequence[Any]) -> list[tuple[str, str]]:
    """Return the type and key of each event."""
    return [(event.type, event.key) for event in events]

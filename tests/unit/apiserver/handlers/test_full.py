"""Check a storage without room, as clients see it."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

import pytest

from storage.sqlite import SQLiteStore
from tests.unit.apiserver.handlers.conftest import serving, widget
from tests.unit.apiserver.handlers.test_watch import watching

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from pathlib import Path

    from tests.unit.apiserver.handlers.conftest import Service

LARGE: dict[str, Any] = {"annotations": {"a": "x" * 200_000}}
MERGE = {"Content-Type": "application/merge-patch+json"}


@pytest.fixture
async def service(tmp_path: Path) -> AsyncIterator[Service]:
    async with serving(SQLiteStore(tmp_path / "db", synchronous="off", max_bytes=8 << 20)) as service:
        yield service


async def fill(service: Service) -> tuple[list[str], dict[str, Any]]:
    """Create widgets until there is no room. Return the stored ones, and the answer to the first
    that was refused."""
    names: list[str] = []
    while True:
        status, found = await service.ask("POST", "widgets", widget(f"w{len(names)}", finalizers=["example.com/f"], **LARGE))
        if status != 201:
            assert status == 503
            return names, found
        names.append(f"w{len(names)}")


async def taken(service: Service, *request: Any, **more: Any) -> None:
    """Repeat the request until its status is not 503, as clients do that heed Retry-After."""
    async with asyncio.timeout(60):
        while True:
            status, found = await service.ask(*request, **more)
            if status != 503:
                break
            await asyncio.sleep(0.01)
    assert status < 300, found


async def test_a_full_storage_is_reported_while_reads_watches_and_deletions_continue(service: Service) -> None:
    names, refused = await fill(service)
    assert len(names) > 20
    assert refused["reason"] == "ServiceUnavailable"
    assert "the storage is full, and nothing was stored" in refused["message"]
    assert refused["details"]["retryAfterSeconds"] == 5
    status, found = await service.ask("GET", "widgets")
    assert (status, sorted(item["metadata"]["name"] for item in found["items"])) == (200, sorted(names))
    async with watching(service, query={"resourceVersion": found["metadata"]["resourceVersion"]}) as watch:
        for name in names:  # a widget with a finalizer is written twice before it is gone
            await taken(service, "DELETE", f"widgets/{name}")
            await taken(service, "PATCH", f"widgets/{name}", {"metadata": {"finalizers": None}}, headers=MERGE)
            assert [await watch.short(), await watch.short()] == [("MODIFIED", name), ("DELETED", name)]
    for name in names[: len(names) // 2]:
        await taken(service, "POST", "widgets", widget(name, **LARGE))

"""Check how long resumable commands wait."""

from __future__ import annotations

from controllers.resumable import until


async def test_the_check_runs_at_least_once_and_its_result_is_returned() -> None:
    async def found() -> str:
        return "it"

    assert await until(found, 0) == "it"


async def test_time_ends_the_wait() -> None:
    calls = 0

    async def never() -> bool:
        nonlocal calls
        calls += 1
        return False

    assert not await until(never, 0.3)
    assert calls >= 2

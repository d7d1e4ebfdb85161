"""Cover the cache of other servers' answers."""

from __future__ import annotations

import asyncio

import pytest

from apiserver.apis.bounded import ENTRY, footprint
from apiserver.authentication.ttlcache import ExpiringCache


class Source:
    """Answer once `open` is set, and count the calls."""

    def __init__(self) -> None:
        self.asked, self.open, self.failure = 0, asyncio.Event(), False
        self.open.set()

    async def __call__(self) -> int:
        self.asked += 1
        await self.open.wait()
        if self.failure:
            raise LookupError("no answer")
        return self.asked


async def test_an_answer_lasts_as_long_as_it_says() -> None:
    now, source = [0.0], Source()
    cache: ExpiringCache[int] = ExpiringCache(lambda answer: 10.0 * answer, clock=lambda: now[0])
    seen = []
    for moment in (0.0, 9.9, 10.0, 29.9, 30.0):
        now[0] = moment
        seen.append(await cache.get("k", source))
    assert seen == [1, 1, 2, 2, 3]


async def test_concurrent_callers_share_a_request_that_survives_the_cancellation_of_one() -> None:
    source = Source()
    source.open.clear()
    cache: ExpiringCache[int] = ExpiringCache(lambda _: 10.0)
    first, *others = [asyncio.create_task(cache.get("k", source)) for _ in range(5)]
    await asyncio.sleep(0)
    first.cancel()
    source.open.set()
    assert await asyncio.gather(*others) == [1, 1, 1, 1]
    with pytest.raises(asyncio.CancelledError):
        await first


async def test_failures_reach_all_waiting_callers_and_are_not_cached() -> None:
    source = Source()
    source.open.clear()
    source.failure = True
    cache: ExpiringCache[int] = ExpiringCache(lambda _: 10.0)
    waiting = [asyncio.create_task(cache.get("k", source)) for _ in range(3)]
    await asyncio.sleep(0)
    source.open.set()
    assert {type(one) for one in await asyncio.gather(*waiting, return_exceptions=True)} == {LookupError}
    source.failure = False
    assert await cache.get("k", source) == 2


async def test_the_cache_is_bounded() -> None:
    source = Source()
    cache: ExpiringCache[int] = ExpiringCache(lambda _: 10.0, size=2 * (ENTRY + footprint(("a", 1))))
    for key in "abca":
        await cache.get(key, source)
    assert source.asked == 4
    await cache.get("c", source)
    assert source.asked == 4


async def test_closing_ends_questions() -> None:
    source = Source()
    source.open.clear()
    cache: ExpiringCache[int] = ExpiringCache(lambda _: 10.0)
    waiting = asyncio.create_task(cache.get("k", source))
    await asyncio.sleep(0)
    await cache.close()
    with pytest.raises(asyncio.CancelledError):
        await waiting

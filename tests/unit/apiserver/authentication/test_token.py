"""Cover floods of bad tokens: what they cause, and which clients they do not concern."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

from apiserver.apis.bounded import ENTRY, footprint
from apiserver.authentication.token import FAILURES, REVIEWS_OF_ONE
from apiserver.authentication.ttlcache import ExpiringCache
from tests.unit.apiserver.server.harness import PROXIES, Setup, Tokens, serving

if TYPE_CHECKING:
    import aiohttp

    from apiserver.registry.generic.context import UserInfo

FLOOD = 300


class SlowTokens(Tokens):
    """Review bad tokens only when `open` is set, and note how many wait at once."""

    def __init__(self) -> None:
        super().__init__()
        self.open, self.pending, self.most = asyncio.Event(), 0, 0

    async def review(self, token: str) -> UserInfo | None:
        if token in self.known:
            return await super().review(token)
        self.pending += 1
        self.most = max(self.most, self.pending)
        await self.open.wait()
        self.pending -= 1
        return await super().review(token)


async def _status(client: aiohttp.ClientSession, token: str) -> int:
    async with client.get("/version", headers={"Authorization": f"Bearer {token}"}) as response:
        assert response.status != 429 or response.headers["Retry-After"] == "1"
        return response.status


async def test_a_flood_of_bad_tokens_causes_a_bounded_number_of_reviews() -> None:
    setup = Setup()
    async with serving(setup) as port:
        client = port.client()
        codes = [await _status(client, f"bad-{number}") for number in range(FLOOD)]
    assert codes[0] == 401
    assert set(codes) == {401, 429}
    assert setup.tokens.asked < FAILURES * 2 < FLOOD


async def test_running_token_reviews_are_bounded_and_do_not_affect_other_users() -> None:
    tokens = SlowTokens()
    setup = Setup(tokens=tokens)
    async with serving(setup) as port:
        client = port.client()
        assert await _status(client, "good") == 200
        flood = [asyncio.create_task(_status(client, f"bad-{number}")) for number in range(60)]
        refused = asyncio.as_completed(flood)
        assert [await next(refused) for _ in range(60 - REVIEWS_OF_ONE)] == [429] * (60 - REVIEWS_OF_ONE)
        assert await _status(client, "good") == 200
        assert (await port.identity(PROXIES.issue("front-proxy-client"), {"X-Remote-User": "bob"}))[0] == 200
        tokens.open.set()
        assert {await one for one in refused} == {401}
    assert tokens.most == REVIEWS_OF_ONE


async def test_bad_tokens_push_no_good_one_out_of_the_cache() -> None:
    size = 2 * (ENTRY + footprint(("bad-1", None)))
    cache: ExpiringCache[str | None] = ExpiringCache(lambda _: 60.0, size=size, apart=lambda user: user is None)
    asked: list[str] = []

    async def get(key: str, answer: str | None) -> str | None:
        async def ask() -> str | None:
            asked.append(key)
            return answer

        return await cache.get(key, ask)

    for key, answer in (("good", "bob"), *((f"bad-{number}", None) for number in range(9)), ("good", "bob"), ("bad-8", None)):
        assert await get(key, answer) == answer
    assert asked == ["good", *(f"bad-{number}" for number in range(9))]

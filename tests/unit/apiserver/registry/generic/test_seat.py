"""Check that a request gives back the seat that it has, and no other one."""

from __future__ import annotations

import asyncio

from apiserver.registry.generic.seat import leave_seat, seated


async def test_each_request_leaves_its_own_seat() -> None:
    left: list[str] = []

    async def request(name: str, *, leaves: bool) -> None:
        with seated(lambda: left.append(name)):
            await asyncio.sleep(0)
            if leaves:
                leave_seat()

    await asyncio.gather(request("a", leaves=False), request("b", leaves=True), request("c", leaves=False))
    assert left == ["b"]


async def test_without_a_seat_nothing_is_left() -> None:
    left: list[str] = []
    leave_seat()
    with seated(lambda: left.append("a")):
        pass
    leave_seat()
    assert not left

"""Check the bounds on what clients may cause at other servers."""

from __future__ import annotations

import asyncio

import pytest
from hypothesis import given
from hypothesis import strategies as st

from apiserver.apis.status import ApiError
from apiserver.flowcontrol.gate import Allowance, Gate


async def test_one_client_never_fills_the_gate_for_others() -> None:
    gate, leave = Gate(3, 2), asyncio.Event()
    inside: list[str] = []

    async def question(client: str) -> None:
        async with gate.enter(client):
            inside.append(client)
            await leave.wait()

    tasks = [asyncio.create_task(question(client)) for client in ("greedy", "greedy", "greedy", "other", "third")]
    done, _ = await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
    assert [type(task.exception()) for task in done] == [ApiError]
    assert inside == ["greedy", "greedy", "other"]
    tasks[0].cancel()  # leaving makes room for a waiting client
    await asyncio.wait(tasks[:1])
    await asyncio.sleep(0)
    leave.set()
    await asyncio.gather(*tasks, return_exceptions=True)
    assert inside == ["greedy", "greedy", "other", "third"]
    async with gate.enter("greedy"):
        assert len(inside) == 4


def test_failures_are_forgiven_with_time() -> None:
    now = [0.0]
    allowance = Allowance(2, 0.5, clock=lambda: now[0])
    for _ in range(2):
        allowance.check("a")
        allowance.use("a")
    with pytest.raises(ApiError) as refused:
        allowance.check("a")
    assert (refused.value.code, refused.value.retry_after) == (429, 2)
    allowance.check("b")
    now[0] = 2.0
    allowance.check("a")


@given(st.lists(st.tuples(st.integers(0, 20), st.floats(0, 2)), max_size=200))
def test_no_more_failures_than_allowed_and_no_more_clients_remembered(steps: list[tuple[int, float]]) -> None:
    now = [0.0]
    allowance = Allowance(3, 1.0, size=30, clock=lambda: now[0])
    failed: dict[int, int] = {}
    for client, pause in steps:
        now[0] += pause
        try:
            allowance.check(client)
        except ApiError:
            continue
        allowance.use(client)
        failed[client] = failed.get(client, 0) + 1
        assert failed[client] <= 3 + now[0] + 1e-6
    small = Allowance(3, 1.0, size=2, clock=lambda: now[0])
    for client, _ in steps:
        small.use(client)
    assert len(small._used) <= 2

"""Send one kind of request in growing sizes, and report what is wrong with the server's
reaction."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from apiserver.handlers.request.body import LIMIT
from tests.hostile.measure import HELD, Cost, grows, slowness

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from tests.hostile.server import Answer, Client, Served

SIZES = tuple(int(LIMIT * 0.98) >> by for by in range(8, -1, -1))
"""The bytes of the body, doubling up to the limit of the server."""
AGAIN = 5
"""The number of repetitions of a bad measurement, because the machine is shared."""
DOCUMENTED = (503, 504)


@dataclass(frozen=True, slots=True)
class Request:
    """One request."""

    method: str
    path: str
    body: bytes | None = None
    headers: Mapping[str, str] = field(default_factory=dict)


def judge(served: Served, client: Client, make: Callable[[int], Request], sizes: Sequence[int] = SIZES) -> list[int]:
    """Return the statuses of the answers, from small to large. Raises AssertionError that states
    what is wrong."""
    requests = [make(size) for size in sizes]
    costs, statuses = [], []
    for size, request in zip(sizes, requests, strict=True):
        answer, cost = _send(served, client, request)
        _check(answer, size)
        costs.append(cost)
        statuses.append(answer.status)
    if _wrong(costs, 1.0):
        costs = _closer(served, client, requests, costs)
        problem = _wrong(costs, slowness())
        assert not problem, f"{problem}; the answers were {statuses}"
    return statuses


def _send(served: Served, client: Client, request: Request) -> tuple[Answer, Cost]:
    return served.cost(client, request.method, request.path, request.body, request.headers)


def _check(answer: Answer, size: int) -> None:
    assert answer.status != 0, f"size {size}: the connection was closed without an answer"
    assert answer.status < 500 or (answer.status in DOCUMENTED and answer.reported), f"size {size}: {answer.status} {answer.body[:300]!r}"


def _wrong(costs: Sequence[Cost], slow: float) -> str:
    longest = max(cost.longest for cost in costs)
    if longest > HELD * slow:
        return f"one step held the loop for {longest * 1000:.0f} ms of CPU; {HELD * slow * 1000:.0f} ms are the most on this machine"
    return grows([cost.total for cost in costs], slow)


def _closer(served: Served, client: Client, requests: Sequence[Request], costs: list[Cost]) -> list[Cost]:
    for _ in range(AGAIN):
        costs = [cost.least(_send(served, client, request)[1]) for cost, request in zip(costs, requests, strict=True)]
        if not _wrong(costs, 1.0):
            break
    return costs

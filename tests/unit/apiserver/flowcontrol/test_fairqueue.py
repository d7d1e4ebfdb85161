"""Cover fair queues and seats, in virtual time."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING

import pytest
from hypothesis import given
from hypothesis import strategies as st

from apiserver.flowcontrol.fairqueue import REMEMBERED, QueueFull, QueueSet

if TYPE_CHECKING:
    from apiserver.flowcontrol.fairqueue import Ticket


class Simulation:
    """Run a QueueSet with a clock of its own, and record everything that was started, in order."""

    def __init__(self, seats: int, share: int, queue: int = 128, total: int = 1024) -> None:
        self.now = 0.0
        self.set = QueueSet(seats, share, queue, total, clock=lambda: self.now)
        self.started: list[Ticket] = []
        self.waiting: list[Ticket] = []
        self.thrown_out: list[Ticket] = []

    def arrive(self, key: str, width: int = 1) -> Ticket | None:
        found: list[Ticket] = []
        try:
            ticket = self.set.arrive(key, width, lambda: self._woken(found[0]))
        except QueueFull:
            return None
        found.append(ticket)
        (self.started if ticket.started is not None else self.waiting).append(ticket)
        self.check()
        return ticket

    def leave(self, ticket: Ticket) -> None:
        for tickets in (self.started, self.waiting):
            if ticket in tickets:
                tickets.remove(ticket)
        self.set.leave(ticket)
        self.check()

    def check(self) -> None:
        held = Counter[str]()
        for ticket in self.started:
            held[str(ticket.flow.key)] += ticket.width
        assert sum(held.values()) == self.set.executing <= self.set.seats
        assert all(seats <= self.set.share for seats in held.values())
        assert self.set.queues.length == len(self.waiting)
        assert self.set.requests == len(self.started)

    def _woken(self, ticket: Ticket) -> None:
        self.waiting.remove(ticket)
        (self.started if ticket.started is not None else self.thrown_out).append(ticket)


def test_a_light_user_starts_at_once_beside_a_greedy_one() -> None:
    simulation = Simulation(seats=8, share=4)
    for _ in range(64):
        assert simulation.arrive("greedy") is not None
    assert len(simulation.started) == 4
    light = simulation.arrive("light")
    assert light is not None
    assert light.started is not None


def test_with_all_seats_taken_a_light_user_is_next() -> None:
    simulation = Simulation(seats=4, share=2)
    for number in range(64):
        simulation.arrive(f"greedy-{number % 2}")
    light = simulation.arrive("light")
    assert light is not None
    assert light.started is None
    simulation.now = 1.0
    simulation.leave(simulation.started[0])
    assert light.started == 1.0


def test_expensive_requests_are_charged_for_what_they_took() -> None:
    simulation = Simulation(seats=1, share=1)
    for _ in range(20):
        simulation.arrive("slow")
        simulation.arrive("quick")
    order = Counter[str]()
    while simulation.now < 4.0:
        ticket = simulation.started[0]
        order[str(ticket.flow.key)] += 1
        simulation.now += 1.0 if ticket.flow.key == "slow" else 0.1
        simulation.leave(ticket)
    assert order["quick"] >= 5 * order["slow"]


def test_only_the_longest_queue_loses_requests() -> None:
    simulation = Simulation(seats=1, share=1, queue=50, total=20)
    greedy = [simulation.arrive("greedy") for _ in range(30)]
    assert greedy.count(None) == 30 - 1 - 20
    assert simulation.arrive("light") is not None
    assert [ticket.flow.key for ticket in simulation.thrown_out] == ["greedy"]
    assert simulation.thrown_out == [ticket for ticket in greedy if ticket is not None][-1:]


def test_one_flows_queue_is_bounded() -> None:
    simulation = Simulation(seats=1, share=1, queue=3)
    assert [simulation.arrive("greedy") is None for _ in range(6)] == [False] * 4 + [True] * 2


def test_a_wide_request_is_not_passed_for_ever() -> None:
    simulation = Simulation(seats=4, share=4)
    narrow = [simulation.arrive("narrow") for _ in range(4)]
    wide = simulation.arrive("wide", 9)
    for _ in range(8):
        simulation.arrive("narrow")
    for ticket in narrow:
        assert ticket is not None
        simulation.now += 0.01
        simulation.leave(ticket)
    assert wide is not None
    assert (wide.width, wide.started is not None) == (4, True)


def test_flows_are_forgotten() -> None:
    simulation = Simulation(seats=1, share=1)
    for number in range(3 * REMEMBERED):
        ticket = simulation.arrive(f"user-{number}")
        assert ticket is not None
        simulation.now += 0.5
        simulation.leave(ticket)
    assert len(simulation.set.queues.flows) <= REMEMBERED + 1


@pytest.mark.parametrize("users", [2, 7])
def test_users_with_constant_demand_get_equal_shares(users: int) -> None:
    simulation = Simulation(seats=3, share=2)
    costs = {f"user-{number}": 0.1 * (number + 1) for number in range(users)}
    for key in costs:
        for _ in range(20):
            simulation.arrive(key)
    had, ends = Counter[str](), dict[int, float]()
    while simulation.now < 60:
        for ticket in simulation.started:
            ends.setdefault(id(ticket), simulation.now + costs[str(ticket.flow.key)])
        ticket = min(simulation.started, key=lambda one: ends[id(one)])
        simulation.now = ends.pop(id(ticket))
        key = str(ticket.flow.key)
        had[key] += round(costs[key] * 1000)
        simulation.leave(ticket)
        simulation.arrive(key)
    assert min(had.values()) > 0.8 * max(had.values())


STEPS = st.lists(
    st.tuples(st.sampled_from(["arrive", "leave", "give up"]), st.integers(0, 5), st.integers(1, 6), st.floats(0, 3)), max_size=150
)


@given(STEPS, st.integers(1, 5), st.integers(1, 5))
def test_nothing_is_lost_and_everything_ends(steps: list[tuple[str, int, int, float]], seats: int, share: int) -> None:
    simulation = Simulation(seats, share, queue=4, total=10)
    for what, number, width, pause in steps:
        simulation.now += pause
        if what == "arrive":
            simulation.arrive(f"user-{number}", width)
        elif what == "leave" and simulation.started:
            simulation.leave(simulation.started[number % len(simulation.started)])
        elif simulation.waiting:
            simulation.leave(simulation.waiting[number % len(simulation.waiting)])
        assert simulation.set.queues.length <= 10
        # Seats are idle only when no waiting request may have them.
        first = simulation.set.queues.first()
        assert first is None or simulation.set.executing + first.waiting[0].width > simulation.set.seats
    while simulation.started:
        simulation.now += 1
        simulation.leave(simulation.started[0])
    assert not simulation.waiting
    assert simulation.set.executing == 0


def test_seats_are_left_once() -> None:
    simulation = Simulation(seats=2, share=2)
    first, second = simulation.arrive("a"), simulation.arrive("a")
    assert first is not None
    assert second is not None
    simulation.leave(first)
    simulation.set.leave(first)
    simulation.check()

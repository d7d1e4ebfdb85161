"""Cover leadership by Lease, and its fence: a replica that no longer leads writes nothing."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

import pytest

from apiserver.client import fence
from apiserver.client.fence import Fence, Fenced
from apiserver.client.objects import Resource
from controllers.runtime.leader import AlwaysLeader, LeadershipLost, LeaseElector, Timing
from tests.unit.controllers.fakeapi import Failure, FakeApi, eventually

if TYPE_CHECKING:
    from apiserver.client.client import Client

THINGS = Resource("example.com", "v1", "things", "Thing")
LEASES = "apis/coordination.k8s.io/v1/leases"


class Leading:
    """Count how many run at once under leadership."""

    def __init__(self) -> None:
        self.now, self.most = 0, 0

    async def run(self) -> None:
        self.now += 1
        self.most = max(self.most, self.now)
        try:
            await asyncio.Event().wait()
        finally:
            self.now -= 1


def elector(client: Client, *, patience: float = 30.0) -> LeaseElector:
    return LeaseElector(client, "system", "lease", Timing(duration=1.0, renew_deadline=0.4, retry=0.05, patience=patience))


async def test_one_leads_at_a_time_and_hands_over(api: FakeApi, client: Client) -> None:
    leading = Leading()
    first = asyncio.ensure_future(elector(client).run(leading.run))
    await eventually(lambda: leading.now == 1)
    second = asyncio.ensure_future(elector(client).run(leading.run))
    before = api.requests["GET leases"]
    # Both replicas ask in turn, so several of these requests are the second one's.
    await eventually(lambda: api.requests["GET leases"] >= before + 10)
    assert leading.now == 1
    first.cancel()
    await asyncio.gather(first, return_exceptions=True)
    await eventually(lambda: leading.now == 1)
    assert leading.most == 1
    second.cancel()
    await asyncio.gather(second, return_exceptions=True)


async def test_a_leader_that_cannot_renew_stops_before_another_may_start(api: FakeApi, client: Client) -> None:
    leading = Leading()
    task = asyncio.ensure_future(elector(client).run(leading.run))
    await eventually(lambda: leading.now == 1)
    api.fail = lambda verb, path: Failure(503, "ServiceUnavailable")
    with pytest.raises(LeadershipLost):
        await asyncio.wait_for(task, 60)
    assert leading.now == 0


async def test_a_stolen_lease_ends_the_leadership_at_once(api: FakeApi, client: Client) -> None:
    leading = Leading()
    task = asyncio.ensure_future(elector(client).run(leading.run))
    await eventually(lambda: leading.now == 1)
    api.edit(LEASES, "lease", {"spec": {"holderIdentity": "thief", "renewTime": "2026-01-01T00:00:00Z"}}, "system")
    with pytest.raises(LeadershipLost):
        await asyncio.wait_for(task, 60)


async def test_a_standby_is_well_while_the_server_answers(api: FakeApi, client: Client) -> None:
    leading = Leading()
    first, waiting = elector(client), elector(client, patience=0.2)
    tasks = [asyncio.ensure_future(first.run(leading.run))]
    await eventually(lambda: leading.now == 1)
    assert "has not been asked" in (waiting.problem() or "")
    tasks.append(asyncio.ensure_future(waiting.run(leading.run)))
    await eventually(lambda: waiting.problem() is None)
    api.fail = lambda verb, path: Failure(503, "ServiceUnavailable")
    await eventually(lambda: "has not answered about the lease for" in (waiting.problem() or ""))
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)


async def test_without_an_election() -> None:
    done: list[int] = []

    async def lead() -> None:
        done.append(1)

    await AlwaysLeader("controllers").run(lead)
    assert done == [1]


def thing(name: str) -> dict[str, object]:
    return {"metadata": {"name": name, "namespace": "a"}}


async def test_a_leader_writes_and_reads_until_its_time_is_over(api: FakeApi, client: Client) -> None:
    """Let the clock leap, as it does for a process that was frozen."""
    mine, leap = elector(client), asyncio.Event()
    refused: list[Exception] = []

    async def lead() -> None:
        await client.create(THINGS, thing("before"), "a")
        await leap.wait()
        for write in (
            client.create(THINGS, thing("after"), "a"),
            client.patch(THINGS, "before", {"metadata": {"labels": {"a": "b"}}}, "a"),
            client.delete(THINGS, "before", "a"),
        ):
            with pytest.raises(Fenced) as caught:
                await write
            refused.append(caught.value)
        assert (await client.get(THINGS, "before", "a"))["metadata"]["name"] == "before", "reading changes nothing"

    task = asyncio.ensure_future(mine.run(lead))
    await eventually(lambda: api.requests["POST things"] == 1)
    api.fail = lambda verb, path: Failure(503, "ServiceUnavailable") if "leases" in path else None
    mine.fence.clock = lambda: fence.uptime() + 60
    leap.set()
    await eventually(lambda: len(refused) == 3)
    await asyncio.gather(task, return_exceptions=True)
    assert {verb: api.requests[f"{verb} things"] for verb in ("POST", "PATCH", "DELETE")} == {"POST": 1, "PATCH": 0, "DELETE": 0}


async def test_the_fence_is_looked_at_last_of_all(api: FakeApi, client: Client) -> None:
    """Freeze the process after the request was made but before it was sent, for example while it
    waited for a connection."""
    looks: list[float] = []

    def clock() -> float:
        looks.append(0.0)
        return 0.0 if len(looks) == 1 else 100.0

    guard = Fence(clock)
    guard.open_until(50.0)
    token = fence.current.set(guard)
    try:
        with pytest.raises(Fenced):
            await client.create(THINGS, thing("late"), "a")
    finally:
        fence.current.reset(token)
    assert len(looks) >= 2
    assert api.requests["POST things"] == 0
    await client.create(THINGS, thing("unfenced"), "a")
    assert api.requests["POST things"] == 1


async def test_renewals_keep_the_fence_open_and_its_end_is_before_the_leases(client: Client) -> None:
    mine, leading = elector(client), Leading()
    task = asyncio.ensure_future(mine.run(leading.run))
    await eventually(lambda: leading.now == 1)
    for _ in range(3):
        first = mine.fence._until
        await eventually(lambda first=first: mine.fence._until > first)  # type: ignore[misc] # mypy does not infer the defaults of lambdas
        mine.fence.check()
        assert mine.fence._until <= fence.uptime() + 0.4, "the lease lasts a second"
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)
    with pytest.raises(Fenced):
        mine.fence.check()


@pytest.mark.parametrize("timing", [(1.0, 1.0, 0.1), (3.0, 1.0, 1.0), (3.0, 2.0, 0.0)])
def test_a_timing_in_which_two_could_lead_is_refused(timing: tuple[float, float, float]) -> None:
    with pytest.raises(ValueError, match="leader election"):
        Timing(*timing)

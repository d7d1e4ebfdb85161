"""Cover machines that are made when they are claimed. Controllers die around every call to their
source. At the end each machine belongs to a claim, and no claim has two."""

from __future__ import annotations

import asyncio
from contextlib import asynccontextmanager
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING

import pytest

from tests.crashes import objects
from tests.crashes.checks import condition, leaks, phase, view
from tests.crashes.clouds import EC2, OpenStack
from tests.crashes.flows import (
    OTHER,
    all_free,
    change_image,
    claimed,
    delete_web,
    gone,
    make_web,
    nothing,
    reboot,
    remediate,
    running_web,
    view_name,
)
from tests.crashes.machines import KubeVirt, Source
from tests.crashes.stack import Stack, running
from tests.crashes.virtual import eventually, run

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Awaitable, Callable


SOURCES: dict[str, type[Source]] = {"kubevirt": KubeVirt, "ec2": EC2, "openstack": OpenStack}


@dataclass(frozen=True)
class Flow:
    """Describe a flow as in flows.py. `runs` is the image that is to run at the end; it is empty
    when no machine is to be left."""

    name: str
    prepare: Callable[[Stack], Awaitable[None]]
    act: Callable[[Stack, Source], Awaitable[None]]
    done: Callable[[Stack], object]
    runs: str = ""


def runs(stack: Stack) -> bool:
    return phase(stack, "web") == "Running" and not any("reboot" in key for key in _annotations(stack))


def _annotations(stack: Stack) -> list[str]:
    return list(view(stack, view_name(stack))["metadata"].get("annotations") or {})


async def make_and_delete(stack: Stack, source: Source) -> None:
    """Delete the Workload while its machine is being made."""
    await make_web(stack)
    await eventually(source.machines)
    await delete_web(stack)


async def delete_behind(stack: Stack, source: Source) -> None:
    """Delete the machine as its owner and, once the tenant has been informed, the Workload as its
    tenant."""
    source.delete_all()
    await eventually(lambda: phase(stack, "web") == "Lost")
    await delete_web(stack)


FLOWS = (
    Flow("make", nothing, lambda stack, source: make_web(stack), runs, objects.IMAGE),
    Flow("make and release at once", nothing, make_and_delete, gone),
    Flow("release", running_web, lambda stack, source: delete_web(stack), gone),
    Flow("another image", running_web, lambda stack, source: change_image(stack), runs, OTHER),
    Flow("reboot", running_web, lambda stack, source: reboot(stack), runs, objects.IMAGE),
    Flow("remediation", running_web, lambda stack, source: remediate(stack), runs, objects.IMAGE),
    Flow("deleted behind our back", running_web, delete_behind, gone),
)


@asynccontextmanager
async def begun(source: Source, flow: Flow) -> AsyncIterator[Stack]:
    """Start a management cluster with a class for the source, where the flow begins. The first of
    its processes are its controllers."""
    async with running() as stack, source.serving(stack):
        await stack.management.create(*(objects.namespace(name) for name in (objects.SYSTEM, "default", "tenant-a", "tenant-b")))
        await stack.management.create(*source.offer())
        stack.control()
        await stack.until(lambda: len(stack.management.all("Host")) == 2 and all_free(stack))
        await flow.prepare(stack)
        await stack.settled()
        try:
            yield stack
        finally:
            for process in stack.processes:
                await process.kill()


async def live(flow: Flow, make: type[Source], die_at: int, answered: bool) -> list[str]:
    """Run the flow with controllers that die at that call, or never if it is 0. Return their
    calls."""
    source = make()
    async with begun(source, flow) as stack:
        first = stack.processes[-1]
        first.count()
        first.die_at, first.answered = die_at, answered
        acting = asyncio.ensure_future(flow.act(stack, source))
        if die_at:
            await asyncio.wait_for(first.dead.wait(), 300)
            await first.kill()
            await asyncio.sleep(1.0)
            stack.control()
        await asyncio.wait_for(acting, 600)
        await stack.until(lambda: flow.done(stack) and settled(source, flow))
        await stack.settled()
        assert flow.done(stack), "it did not stay so"
        assert_known(stack, source, flow)
        return list(first.calls)


def settled(source: Source, flow: Flow) -> bool:
    """Return whether exactly the wanted machine runs, or none where none is wanted."""
    return [found.image for found in source.machines() if found.running] == [flow.runs][: bool(flow.runs)]


def assert_known(stack: Stack, source: Source, flow: Flow) -> None:
    """Check that each machine belongs to its claim, and that each claim that wants a machine has
    one."""
    claims = {
        host["spec"]["source"]["uid"]: host["spec"]["claimRef"]["uid"]
        for host in stack.management.all("Host")
        if "claimRef" in host["spec"]
    }
    machines = source.machines()
    assert [claims.get(found.slot_uid) for found in machines] == [found.workload_uid for found in machines]
    assert [found.image for found in machines] == [flow.runs][: bool(flow.runs)]
    assert leaks(stack.management) == []
    if not flow.runs:
        assert (source.leftovers(), claims) == ([], {})


def points(source: type[Source], calls: list[str]) -> list[tuple[int, bool]]:
    """Return the points to die at as (call, answered), for calls to the source. A point follows
    each call that changes something. Another precedes the next call once something was written
    elsewhere. Dying at any other point leaves everything as one of these does."""
    found, written = [], True
    for number, call in enumerate(calls, 1):
        asked, writes = any(mark in call for mark in source.marks), not call.startswith("GET ") and not call.endswith("/events")
        if asked and written:
            found.append((number, False))
            written = False
        if asked and writes:
            found.append((number, True))
        written = written or (writes and not asked)
    return found


@pytest.mark.parametrize("source", SOURCES)
def test_parameters_that_lead_elsewhere_while_a_machine_is_in_use(source: str) -> None:
    """Point the class elsewhere while a machine is in use. Nothing is made there and nothing is
    removed here. Tenant and owner both read why. Once the parameters are restored, everything
    continues."""

    async def point(stack: Stack, made: Source, place: str) -> None:
        parameters = {**made.parameters, "namespace" if source == "kubevirt" else "region": place}
        await stack.management.patch("WorkloadClass", "metal", {"spec": {"parameters": parameters}})

    async def main() -> None:
        made = SOURCES[source]()
        async with begun(made, Flow("", running_web, make_and_delete, runs)) as stack:
            before = made.machines()
            name = claimed(stack)
            await point(stack, made, "elsewhere")
            await stack.until(lambda: condition(stack, "web", "Synchronized")["reason"] == "SourceUnavailable")
            host = next(host for host in stack.management.all("Host") if host["spec"].get("claimRef"))
            await stack.until(lambda: host_reason(stack, host["metadata"]["name"]) == "HostGone")
            assert host["spec"]["source"]["name"] == name
            assert made.machines() == before
            await point(stack, made, objects.HARDWARE)
            await stack.until(lambda: condition(stack, "web", "Ready")["status"] == "True" and runs(stack))
            assert made.machines() == before

    run(main)


def host_reason(stack: Stack, name: str) -> str:
    return str(stack.management.get("Host", name)["status"].get("reason"))


@pytest.mark.timeout(900)
@pytest.mark.parametrize("flow", FLOWS, ids=lambda flow: flow.name)
@pytest.mark.parametrize("source", SOURCES)
def test_killed_around_every_call_to_the_source(source: str, flow: Flow) -> None:
    make = SOURCES[source]
    calls = run(partial(live, flow, make, 0, False))
    where = points(make, calls)
    assert where, "nothing was asked of the source"
    problems = []
    for number, answered in where:
        try:
            run(partial(live, flow, make, number, answered))
        except Exception as error:
            when = "after" if answered else "before"
            problems.append(f"killed {when} call {number} ({calls[number - 1]}): {type(error).__name__}: {error}")
    assert not problems, "\n".join(problems)

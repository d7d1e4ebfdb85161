"""Test the contract of the Provider interface. To use the tests, subclass ProviderTests with a
harness.

    class TestMyProvider(ProviderTests):
        @pytest.fixture
        async def source(self) -> AsyncIterator[FakeSource]: ...

The contract: claims are exclusive, every call may be cancelled and repeated, reports contain
nothing that belongs to the owner, and an outage of the source loses nothing. The tests need only
pytest and pytest-asyncio (auto mode).
"""

from __future__ import annotations

import asyncio
from abc import ABC, abstractmethod
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from typing import Any

import orjson

from apiserver.apis.host import HostReport
from apiserver.apis.workloadclass import WorkloadClassSpec
from controllers.providers.base import ApplyRequest, Outcome, Provider, ProviderContext, Source

__all__ = ["ProviderTests", "SourceHarness", "claim", "eventually"]

Object = dict[str, Any]


class SourceHarness(ABC):
    """Simulates a source of machines under the test's control, with at least one free machine at
    first."""

    canary = "canary"
    """A string that occurs in everything that belongs to the owner."""

    provider: type[Provider]
    spec: Object
    """The spec of a WorkloadClass for this source."""
    credentials: Mapping[str, bytes]

    @abstractmethod
    def add_host(self, name: str) -> None:
        """Add a free machine whose name begins with `name`."""

    @abstractmethod
    def remove_host(self, name: str) -> None:
        """Remove the machine, whatever its consumer."""

    @abstractmethod
    def take_host(self, name: str) -> None:
        """Let an unknown consumer take the machine."""

    @abstractmethod
    def runs(self, name: str) -> str | None:
        """Return the URL of the image that is on the machine, or None."""

    @abstractmethod
    def leftovers(self) -> list[str]:
        """Return the names of our objects that are still at the source, such as copied secrets."""

    @abstractmethod
    def go_away(self) -> None:
        """Let the source stop answering."""

    @abstractmethod
    def come_back(self) -> None:
        """Let the source answer again."""


def claim(
    name: str,
    source: Source,
    *,
    image: str | None = "http://images.example/os",
    secrets: Mapping[str, Mapping[str, bytes]] | None = None,
    **spec: Any,
) -> ApplyRequest:
    """Return a request for a Workload of this name."""
    wanted: Object = {"online": True, **spec}
    if image is not None:
        wanted["image"] = {"url": image, "checksum": "abc"}
    for field in secrets or {}:
        wanted[field] = {"name": f"{name}-{field.lower()}"}
    workload = {
        "apiVersion": "workload.metal3.io/v1alpha1",
        "kind": "Workload",
        "metadata": {"name": name, "namespace": "team-a", "uid": f"uid-{name}"},
        "spec": wanted,
    }
    version = orjson.dumps([wanted, sorted(secrets or {})]).decode()
    return ApplyRequest(workload, source, secrets or {}, view_name=source.name, view_uid=f"view-{source.uid}", version=version)


async def eventually(check: Callable[[], Any], timeout: float = 50.0) -> Any:
    """Wait until the check returns a true value, and return it."""
    deadline = asyncio.get_running_loop().time() + timeout
    while not (result := check()):
        assert asyncio.get_running_loop().time() < deadline, "it did not become true in time"
        await asyncio.sleep(0.005)
    return result


@asynccontextmanager
async def running(source: SourceHarness) -> AsyncIterator[tuple[Provider, list[str]]]:
    """Yield a provider that follows the source, and the uids that it reported as changed."""
    changes: list[str] = []
    spec = WorkloadClassSpec.decode(source.spec)
    parameters = source.provider.parameters_model.decode(spec.parameters)
    context = ProviderContext("class", spec, parameters, source.credentials, on_change=changes.append, on_health=lambda: None)
    provider = await source.provider.create(context)
    task = asyncio.ensure_future(provider.run())
    try:
        await eventually(lambda: provider.synced)
        yield provider, changes
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
        await provider.close()


async def released(provider: Provider, request: ApplyRequest) -> None:
    """Release as the controllers do: repeatedly, until it is done."""
    async with asyncio.timeout(60):
        while not (await provider.release(request)).done:  # noqa: ASYNC110 (level-triggered, as in the controllers)
            await asyncio.sleep(0.01)


async def applied(provider: Provider, request: ApplyRequest, check: Callable[[], Any]) -> None:
    """Apply as the controllers do: repeatedly, until the check returns a true value."""
    async with asyncio.timeout(60):
        while not check():
            await provider.apply(request)
            await asyncio.sleep(0.01)


class ProviderTests:
    """Tests a Provider. A subclass has a name that begins with Test, and a fixture `source` that
    yields a SourceHarness."""

    def free(self, provider: Provider) -> list[Source]:
        """Return the hosts that are available."""
        return [host.source for host in provider.hosts() if host.available]

    async def first(self, provider: Provider) -> Source:
        """Return an available host as soon as there is one."""
        await eventually(lambda: self.free(provider))
        return self.free(provider)[0]

    async def test_hosts_are_reported_as_they_come_and_go(self, source: SourceHarness) -> None:
        async with running(source) as (provider, changes):
            known = {host.source.uid for host in provider.hosts()}
            source.add_host("another")
            await eventually(lambda: len({host.source.uid for host in provider.hosts()} - known) == 1)
            [new] = [host for host in provider.hosts() if host.source.uid not in known]
            assert new.source.name.startswith("another")
            assert new.source.uid in changes
            assert provider.host(new.source.uid) == new
            changes.clear()
            source.remove_host("another")
            await eventually(lambda: provider.host(new.source.uid) is None)
            assert new.source.uid in changes

    async def test_reports_have_the_apis_shape_and_nothing_of_the_owners(self, source: SourceHarness) -> None:
        async with running(source) as (provider, _):
            hosts = list(provider.hosts())
            assert hosts
            for host in hosts:
                HostReport.decode(host.report)
                assert source.canary not in orjson.dumps(host.report).decode()

    async def test_a_life(self, source: SourceHarness) -> None:
        async with running(source) as (provider, _):
            request = claim("w", await self.first(provider), secrets={"userData": {"userData": b"x"}})
            applied = await provider.apply(request)
            assert applied.bound.status is True
            assert applied.synchronized.status is True
            await eventually(lambda: source.runs(request.source.name) == "http://images.example/os")
            await eventually(lambda: request.source not in self.free(provider))
            await released(provider, request)
            assert source.runs(request.source.name) is None
            assert source.leftovers() == []
            await eventually(lambda: request.source in self.free(provider))

    async def test_everything_may_be_repeated(self, source: SourceHarness) -> None:
        async with running(source) as (provider, _):
            request = claim("w", await self.first(provider), secrets={"userData": {"userData": b"x"}})
            for _ in range(3):
                assert (await provider.apply(request)).synchronized.status is True
            await eventually(lambda: source.runs(request.source.name) == "http://images.example/os")
            assert (await provider.apply(request)).bound.status is True
            for _ in range(2):
                await released(provider, request)
            assert source.runs(request.source.name) is None

    async def test_everything_may_be_cancelled_anywhere(self, source: SourceHarness) -> None:
        async with running(source) as (provider, _):
            request = claim("w", await self.first(provider), secrets={"userData": {"userData": b"x"}})
            for steps in range(0, 40, 3):
                await _cancelled_after(provider.apply(request), steps)
            await provider.apply(request)
            await eventually(lambda: source.runs(request.source.name) == "http://images.example/os")
            for steps in range(0, 40, 3):
                await _cancelled_after(provider.release(request), steps)
            await released(provider, request)
            assert source.leftovers() == []
            await eventually(lambda: request.source in self.free(provider))

    async def test_a_claim_excludes_others(self, source: SourceHarness) -> None:
        async with running(source) as (provider, _):
            host = await self.first(provider)
            first, second = claim("one", host), claim("two", host, image="http://images.example/other")
            assert (await provider.apply(first)).bound.status is True
            refused = await provider.apply(second)
            assert refused.bound.status is False
            assert refused.synchronized.status is False
            assert refused.bound.message
            assert refused.rejected_cleanly, "the loser may have another host"
            await released(provider, second)
            assert (await provider.apply(first)).bound.status is True, "a loser's release does not touch the winner"
            await eventually(lambda: source.runs(host.name) == "http://images.example/os")

    async def test_rivals_at_the_same_time(self, source: SourceHarness) -> None:
        async with running(source) as (provider, _):
            host = await self.first(provider)
            rivals = [claim(f"w{number}", host, image=f"http://images.example/{number}") for number in range(5)]
            outcomes = await asyncio.gather(*(provider.apply(rival) for rival in rivals), return_exceptions=True)
            won = [index for index, outcome in enumerate(outcomes) if not isinstance(outcome, BaseException) and outcome.bound.status]
            assert len(won) == 1
            await eventually(lambda: source.runs(host.name) == f"http://images.example/{won[0]}")

    async def test_a_strangers_host_is_neither_offered_nor_taken(self, source: SourceHarness) -> None:
        async with running(source) as (provider, _):
            host = await self.first(provider)
            source.take_host(host.name)
            await eventually(lambda: host not in self.free(provider))
            assert (await provider.apply(claim("w", host))).bound.status is False
            await released(provider, claim("w", host))

    async def test_what_was_never_applied_is_released_at_once(self, source: SourceHarness) -> None:
        async with running(source) as (provider, _):
            host = await self.first(provider)
            assert (await provider.release(claim("w", host))).done
            assert host in self.free(provider)

    async def test_a_host_that_is_gone(self, source: SourceHarness) -> None:
        async with running(source) as (provider, _):
            request = claim("w", await self.first(provider), secrets={"userData": {"userData": b"x"}})
            await provider.apply(request)
            source.remove_host(request.source.name)
            applied = await provider.apply(request)
            assert (applied.bound.status, applied.bound.reason) == (False, "HostGone")
            await released(provider, request)
            assert source.leftovers() == []

    async def test_a_changed_image_is_installed(self, source: SourceHarness) -> None:
        async with running(source) as (provider, _):
            host = await self.first(provider)
            for image in ("http://images.example/os", "http://images.example/new", None):
                wanted = claim("w", host, image=image)
                await applied(provider, wanted, lambda: source.runs(host.name) == image)  # noqa: B023 - it is called in this iteration

    async def test_a_blocked_workload_holds_its_host_and_runs_nothing_new(self, source: SourceHarness) -> None:
        async with running(source) as (provider, _):
            host = await self.first(provider)
            blocked = _blocked(claim("w", host))
            applied = await provider.apply(blocked)
            assert applied.bound.status is True
            assert applied.synchronized == blocked.blocked
            assert source.runs(host.name) is None
            assert (await provider.apply(claim("other", host))).bound.status is False
            await provider.apply(claim("w", host))
            await eventually(lambda: source.runs(host.name) == "http://images.example/os")
            await provider.apply(blocked)
            assert source.runs(host.name) == "http://images.example/os"

    async def test_what_is_known_to_be_done_is_not_done_again(self, source: SourceHarness) -> None:
        async with running(source) as (provider, _):
            request = claim("w", await self.first(provider))
            assert provider.applied(request) is None
            await provider.apply(request)
            await eventually(lambda: source.runs(request.source.name) == "http://images.example/os")
            if (known := provider.applied(request)) is not None:
                assert known.bound.status is True
            assert provider.applied(claim("w", request.source, image="http://images.example/new")) is None

    async def test_trouble_of_the_source_loses_nothing(self, source: SourceHarness) -> None:
        async with running(source) as (provider, _):
            known = sorted(host.source.uid for host in provider.hosts())
            source.go_away()
            problem = await eventually(provider.problem)
            assert problem.reason
            assert problem.message
            assert sorted(host.source.uid for host in provider.hosts()) == known
            source.come_back()
            await eventually(lambda: provider.problem() is None)


def _blocked(request: ApplyRequest) -> ApplyRequest:
    blocked = Outcome(False, "SecretNotFound", "create it")
    return ApplyRequest(request.workload, request.source, {}, request.view_name, request.view_uid, blocked=blocked, version="blocked")


async def _cancelled_after(work: Any, steps: int) -> None:
    """Run the coroutine for this many turns of the event loop, then cancel it. Its result is
    ignored."""
    task = asyncio.ensure_future(work)
    for _ in range(steps):
        await asyncio.sleep(0)
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)

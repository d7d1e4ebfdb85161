"""Check ResourceQuota under concurrency: it never admits too many, and keeps no usage of what did
not happen."""

from __future__ import annotations

import asyncio
import copy
from typing import TYPE_CHECKING, Any

import pytest

from apiserver.admission.resourcequota import QuotaConflict, QuotaUnavailable, ResourceQuota
from apiserver.apis.status import ApiError, conflict
from apiserver.registry.generic.attributes import Attributes
from apiserver.registry.generic.context import Context, UserInfo
from tests.unit.apiserver.admission.writes import CLUSTER_THINGS, THINGS, thing

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

COUNTED = "count/things.g"


class Cluster:
    """Keep quotas with optimistic writes, a copy of them that may be old, and the server's
    objects."""

    def __init__(self, **hard: int) -> None:
        self.quotas = {name: self.made(name, limit) for name, limit in hard.items()}
        self.copied = copy.deepcopy(self.quotas)
        self.fresh = True
        self.names = list[str]()
        self.writes, self.trouble = 0, False
        self.conflicts = list[str]()
        self.plugin = ResourceQuota(self, lambda resource, namespace: self.names)

    def made(self, name: str, hard: int) -> dict[str, Any]:
        status = {"hard": {COUNTED: str(hard)}, "used": {COUNTED: "0"}}
        return {"metadata": {"name": name, "namespace": "n", "resourceVersion": "1"}, "spec": {}, "status": status}

    async def get(self, namespace: str, *, live: bool = False) -> list[dict[str, Any]]:
        await asyncio.sleep(0)
        if self.trouble:
            raise QuotaUnavailable("trouble")
        assert namespace == "n"
        return copy.deepcopy(list((self.quotas if live or self.fresh else self.copied).values()))

    async def put_status(self, quota: dict[str, Any]) -> None:
        await asyncio.sleep(0)
        name = quota["metadata"]["name"]
        if self.trouble:
            raise QuotaUnavailable("trouble")
        if name in self.conflicts:
            self.conflicts.remove(name)
            self.recount(name, self.used(name))
        if quota["metadata"]["resourceVersion"] != self.quotas[name]["metadata"]["resourceVersion"]:
            raise QuotaConflict
        self.writes += 1
        self.recount(name, int(quota["status"]["used"][COUNTED]))

    def recount(self, name: str, used: int) -> None:
        """Write the quota as another writer."""
        quota = self.quotas[name]
        quota["status"]["used"][COUNTED] = str(used)
        quota["metadata"]["resourceVersion"] = str(int(quota["metadata"]["resourceVersion"]) + 1)

    def used(self, name: str = "q") -> int:
        return int(self.quotas[name]["status"]["used"][COUNTED])

    async def create(self, name: str, *, dry_run: bool = False, fails: bool = False, admitted: asyncio.Event | None = None) -> None:
        """Create an object as a registry does."""
        context = Context(UserInfo("u"), dry_run=dry_run)
        with context.finishing():
            await self.plugin.admit(Attributes("CREATE", context, THINGS, "n", name, thing(name), None))
            if admitted is not None:
                admitted.set()
            await asyncio.sleep(0)
            if fails:
                raise conflict("g", "things", name, "taken")
            if not dry_run:
                self.names.append(name)

    async def settled(self) -> None:
        """Wait until nothing is under way."""
        async with asyncio.timeout(60):
            for group in self.plugin._groups.values():
                if group._task is not None:
                    await group._task


@pytest.fixture
async def cluster() -> AsyncIterator[Cluster]:
    made = Cluster(q=10)
    yield made
    await made.plugin.close()


async def tried(*creations: Any) -> list[ApiError]:
    """Run these creations all at once, and return their errors."""
    results = await asyncio.gather(*creations, return_exceptions=True)
    errors = [result for result in results if result is not None]
    assert all(isinstance(error, ApiError) for error in errors), errors
    return [error for error in errors if isinstance(error, ApiError)]


async def test_exactly_as_many_as_there_may_be(cluster: Cluster) -> None:
    errors = await tried(*(cluster.create(f"x{i}") for i in range(50)))
    assert (len(cluster.names), len(errors), cluster.used()) == (10, 40, 10)
    assert {(error.code, error.reason) for error in errors} == {(403, "Forbidden")}
    assert errors[0].message.endswith(
        " is forbidden: exceeded quota: q, requested: count/things.g=1, used: count/things.g=10, limited: count/things.g=10"
    )
    assert cluster.writes < 10, "what waits together is charged together"


async def test_several_servers_agree(cluster: Cluster) -> None:
    other = ResourceQuota(cluster, lambda resource, namespace: [])
    plugins = [cluster.plugin, other]

    async def create(index: int) -> None:
        context = Context(UserInfo("u"))
        await plugins[index % 2].admit(Attributes("CREATE", context, THINGS, "n", f"x{index}", thing(), None))

    errors = await tried(*(create(index) for index in range(30)))
    await other.close()
    assert (len(errors), cluster.used()) == (20, 10)


async def test_failed_creations_are_refunded(cluster: Cluster) -> None:
    await tried(*(cluster.create(f"x{i}", fails=i % 2 == 0) for i in range(10)))
    await cluster.settled()
    assert (len(cluster.names), cluster.used()) == (5, 5)


async def test_cancelled_creations_are_refunded(cluster: Cluster) -> None:
    tasks = [asyncio.create_task(cluster.create(f"x{i}")) for i in range(5)]
    await asyncio.sleep(0)
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)
    await cluster.settled()
    assert cluster.used() == 0


async def test_another_attempt_of_the_same_creation_is_not_charged_again(cluster: Cluster) -> None:
    context = Context(UserInfo("u"))
    with context.finishing():
        for name in ("x", "y", "z"):
            await cluster.plugin.admit(Attributes("CREATE", context, THINGS, "n", name, thing(name), None))
        cluster.names.append("z")
    assert cluster.used() == 1
    with context.finishing():
        await cluster.plugin.admit(Attributes("CREATE", context, THINGS, "n", "w", thing("w"), None))
    assert cluster.used() == 2


async def test_a_recount_that_overtakes_a_creation_admits_no_other_creation() -> None:
    cluster = Cluster(q=1)
    admitted = asyncio.Event()
    task = asyncio.create_task(cluster.create("x", admitted=admitted))
    await admitted.wait()
    cluster.recount("q", 0)  # the quota controller listed the objects before x existed
    assert len(await tried(cluster.create("y"))) == 1
    await task
    assert len(await tried(cluster.create("z"))) == 1
    assert cluster.names == ["x"]


async def test_all_quotas_have_to_agree_and_none_keeps_what_another_refused() -> None:
    cluster = Cluster(a=5, b=2)
    cluster.conflicts = ["b"]
    errors = await tried(*(cluster.create(f"x{i}") for i in range(5)))
    await cluster.settled()
    assert (len(errors), cluster.used("a"), cluster.used("b")) == (3, 2, 2)


async def test_a_conflict_on_one_quota_that_then_refuses_gives_the_other_back() -> None:
    cluster = Cluster(a=5, b=2)
    put = cluster.put_status

    async def overtaken(quota: dict[str, Any]) -> None:
        if quota["metadata"]["name"] == "b":
            cluster.recount("b", 2)
        await put(quota)

    cluster.put_status = overtaken  # type: ignore[method-assign] # in place of the fake's own
    errors = await tried(cluster.create("x"))
    await cluster.settled()
    assert (len(errors), cluster.used("a"), cluster.used("b")) == (1, 0, 2)


async def test_an_old_copy_is_read_again(cluster: Cluster) -> None:
    cluster.fresh = False
    cluster.recount("q", 9)
    errors = await tried(cluster.create("x"), cluster.create("y"))
    assert (len(errors), cluster.used()) == (1, 10)


async def test_dry_runs_are_not_charged(cluster: Cluster) -> None:
    await cluster.create("x", dry_run=True)
    assert cluster.writes == 0
    cluster.recount("q", 10)
    assert len(await tried(cluster.create("x", dry_run=True))) == 1


async def test_trouble_refuses_and_says_nothing_of_its_cause(cluster: Cluster) -> None:
    cluster.trouble = True
    (error,) = await tried(cluster.create("x"))
    assert (error.code, "trouble" in error.message) == (503, False)
    put = cluster.put_status

    async def troubled(quota: dict[str, Any]) -> None:
        cluster.trouble = True
        await put(quota)

    cluster.trouble = False
    cluster.put_status = troubled  # type: ignore[method-assign] # in place of the fake's own
    (error,) = await tried(cluster.create("x"))
    assert error.code == 503


async def test_a_defect_is_no_silence(cluster: Cluster) -> None:
    cluster.quotas["q"]["status"]["hard"][COUNTED] = "nonsense"
    (error,) = await tried(cluster.create("x"))
    assert (error.code, error.reason) == (500, "InternalError")


async def test_a_quota_that_was_not_counted_yet_refuses(cluster: Cluster) -> None:
    del cluster.quotas["q"]["status"]["used"]
    (error,) = await tried(cluster.create("x"))
    assert error.message.endswith("status unknown for quota: q, resources: count/things.g")


async def test_waiting_has_an_end(cluster: Cluster) -> None:
    cluster.plugin = ResourceQuota(cluster, lambda resource, namespace: cluster.names, seconds=0.01)

    async def stuck(quota: dict[str, Any]) -> None:
        await asyncio.Event().wait()

    cluster.put_status = stuck  # type: ignore[method-assign] # in place of the fake's own
    (error,) = await tried(cluster.create("x"))
    assert "resource quota evaluation timed out" in error.message


async def test_updates_and_other_uncounted_writes_are_admitted(cluster: Cluster) -> None:
    context = Context(UserInfo("u"))
    admit = cluster.plugin.admit
    assert await admit(Attributes("UPDATE", context, THINGS, "n", "x", thing(), thing())) == thing()
    assert await admit(Attributes("DELETE", context, THINGS, "n", "x", None, thing())) is None
    assert await admit(Attributes("CREATE", context, THINGS, "n", "x", thing(), None, "binding")) == thing()
    assert await admit(Attributes("CREATE", context, CLUSTER_THINGS, "", "x", thing(), None)) == thing()
    cluster.quotas["q"]["status"]["hard"] = {"pods": "1"}
    await cluster.create("x")
    assert cluster.writes == 0

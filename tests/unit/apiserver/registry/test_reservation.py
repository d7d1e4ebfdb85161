"""Check the rules of Reservations, and that a host that is set aside is had by its namespace
alone."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from apiserver.apis.status import ApiError
from apiserver.client.clock import timestamp
from apiserver.registry import reservation
from apiserver.registry.generic.context import DeleteOptions
from apiserver.registry.reservation import MOST
from tests.unit.apiserver.registry.conftest import CONSUMER, CONTEXT, Registries, report

Object = dict[str, Any]


def after(**delta: float) -> str:
    return timestamp(datetime.now(UTC) + timedelta(**delta))


async def reserve(registries: Registries, name: str = "launch", namespace: str = "tenant-a", **spec: Any) -> Object:
    """Create a Reservation, and return it."""
    made = {"className": "metal", "hosts": 1, "endTime": after(hours=1), **spec}
    return (await registries.catalog.reservations.create(CONTEXT, namespace, {"metadata": {"name": name}, "spec": made})).object()


def mark_of(made: Object) -> Object:
    meta = made["metadata"]
    return {"namespace": meta["namespace"], "namespaceUID": f"uid-{meta['namespace']}", "name": meta["name"], "uid": meta["uid"]}


async def set_aside(registries: Registries, host: str, mark: Object | None) -> None:
    """Write Host.spec.reservedFor as the controllers do."""

    def change(old: Object) -> Object:
        spec = {key: value for key, value in old["spec"].items() if key != "reservedFor"}
        return {**old, "spec": {**spec, "reservedFor": mark} if mark is not None else spec}

    await registries.hosts.update(CONTEXT, "", host, change)


async def bind(registries: Registries, namespace: str, host: str) -> None:
    if registries.workloads.find(namespace, "web") is None:
        await registries.workloads.create(CONTEXT, namespace, {"metadata": {"name": "web"}, "spec": {"className": "metal"}})
    await registries.workloads.connect(CONTEXT, namespace, "web", "binding", {"target": {"name": host}})


async def refused(work: Any) -> ApiError:
    with pytest.raises(ApiError) as error:
        await work
    return error.value


@pytest.fixture
async def kept(named: Registries) -> tuple[Registries, str]:
    """Return registries with a host that is set aside for tenant-a."""
    host = await named.add_host()
    await set_aside(named, host, mark_of(await reserve(named)))
    return named, host


async def test_another_namespace_is_not_bound(kept: tuple[Registries, str]) -> None:
    registries, host = kept
    error = await refused(bind(registries, "tenant-b", host))
    assert (error.code, "not available at the moment" in error.message) == (409, True)
    assert "tenant-a" not in error.message, "it is not the other tenant's to know for whom the host is kept"
    assert "reserv" not in error.message.lower()
    await bind(registries, "tenant-a", host)
    assert registries.hosts.get("", host).object()["spec"]["reservedFor"]["name"] == "launch", "it is kept on after its release"


async def test_another_namespace_does_not_see_it_any_more_and_cannot_claim_it(kept: tuple[Registries, str]) -> None:
    registries, _ = kept
    assert registries.view("tenant-b", "node-0") is None
    assert registries.view("tenant-a", "node-0") is not None
    error = await refused(registries.patch_view("tenant-b", "node-0", consumerRef={**CONSUMER, "namespace": "tenant-b"}))
    assert error.code == 404
    claimed = await registries.patch_view("tenant-a", "node-0", consumerRef=CONSUMER)
    assert claimed["spec"]["consumerRef"]["name"] == "m-0"


async def test_a_claim_through_an_offer_that_is_not_withdrawn_yet_is_refused(named: Registries, monkeypatch: pytest.MonkeyPatch) -> None:
    host = await named.add_host()

    async def killed(host_name: str) -> None:
        """Stand for a process that ends between the commit of the mark and the withdrawal."""

    with monkeypatch.context() as patched:
        patched.setattr(named.hosts.claims, "show_now", killed)
        await set_aside(named, host, mark_of(await reserve(named)))
    assert named.view("tenant-b", "node-0") is not None
    error = await refused(named.patch_view("tenant-b", "node-0", consumerRef={**CONSUMER, "namespace": "tenant-b"}))
    assert (error.code, "not available at the moment" in error.message) == (409, True)


async def test_a_claim_and_a_reservation_at_once_have_one_winner(named: Registries) -> None:
    made = await reserve(named, hosts=8)
    for number in range(8):
        host = await named.add_host(f"node-{number}")
        name = f"w-{number}"
        await named.workloads.create(CONTEXT, "tenant-b", {"metadata": {"name": name}, "spec": {"className": "metal"}})
        binding = named.workloads.connect(CONTEXT, "tenant-b", name, "binding", {"target": {"name": host}})
        first, second = (binding, set_aside(named, host, mark_of(made))) if number % 2 else (set_aside(named, host, mark_of(made)), binding)
        results = await asyncio.gather(first, second, return_exceptions=True)
        spec = named.hosts.get("", host).object()["spec"]
        assert ("claimRef" in spec) != ("reservedFor" in spec), "one of the two has the host"
        assert [isinstance(result, ApiError) for result in results].count(True) == 1


async def test_what_is_given_back_is_everybodys_at_once(kept: tuple[Registries, str]) -> None:
    registries, host = kept
    await set_aside(registries, host, None)
    assert registries.view("tenant-b", "node-0") is not None
    await bind(registries, "tenant-b", host)


async def test_a_namespace_of_the_same_name_later_has_no_hosts_of_its_predecessors(named: Registries) -> None:
    host = await named.add_host()
    mark = mark_of(await reserve(named)) | {"namespaceUID": "an earlier one"}
    await set_aside(named, host, mark)
    assert named.view("tenant-a", "node-0") is None
    assert (await refused(bind(named, "tenant-a", host))).code == 409


async def test_a_host_with_anothers_data_is_shown_to_neither(kept: tuple[Registries, str]) -> None:
    registries, host = kept
    await registries.report(host, {"available": True, "report": report(), "dirtyFor": "tenant-b", "dirtyForUID": "uid-tenant-b"})
    assert registries.view("tenant-a", "node-0") is None
    assert registries.view("tenant-b", "node-0") is None
    for namespace in ("tenant-a", "tenant-b"):
        assert (await refused(bind(registries, namespace, host))).code == 409


@pytest.mark.parametrize(
    ("change", "why"),
    [
        ({"uid": "another"}, "does not exist"),
        ({"name": "unknown"}, "does not exist"),
        ({"namespace": "tenant-b"}, "does not exist"),
    ],
)
async def test_hosts_are_set_aside_for_reservations_that_exist(named: Registries, change: Object, why: str) -> None:
    host, made = await named.add_host(), await reserve(named)
    assert why in (await refused(set_aside(named, host, mark_of(made) | change))).message
    assert "reservedFor" not in named.hosts.get("", host).object()["spec"]


async def test_hosts_are_set_aside_neither_before_the_start_nor_of_another_class(named: Registries) -> None:
    host = await named.add_host()
    later, other = await reserve(named, "later", startTime=after(minutes=30)), await reserve(named, "other", className="virtual")
    assert "keeps hosts until" in (await refused(set_aside(named, host, mark_of(later)))).message
    assert "of the class virtual" in (await refused(set_aside(named, host, mark_of(other)))).message


async def test_a_host_in_use_is_kept_on_for_its_own_namespace_only(named: Registries) -> None:
    host = await named.add_host()
    await bind(named, "tenant-a", host)
    own, others = await reserve(named), await reserve(named, namespace="tenant-b")
    assert "another namespace has the host" in (await refused(set_aside(named, host, mark_of(others)))).message
    await set_aside(named, host, mark_of(own))
    await set_aside(named, host, None)
    await named.workloads.delete(CONTEXT, "tenant-a", "web", DeleteOptions())
    await set_aside(named, host, mark_of(others))


async def test_a_new_host_is_not_reserved(named: Registries) -> None:
    made = await reserve(named)
    spec = {"className": "metal", "source": {"name": "n", "uid": "u"}, "reservedFor": mark_of(made)}
    entry = await named.hosts.create(CONTEXT, "", {"metadata": {"name": "new"}, "spec": spec})
    assert "reservedFor" not in entry.object()["spec"]


@pytest.mark.parametrize(
    ("spec", "field"),
    [
        ({"endTime": "2026-02-30T00:00:00Z"}, "spec.endTime"),
        ({"endTime": "9999-12-31T23:59:59-23:00"}, "spec.endTime"),
        ({"endTime": "2020-01-01T00:00:00Z"}, "spec.endTime"),
        ({"startTime": "2026-01-01T25:00:00Z"}, "spec.startTime"),
        ({"startTime": "2999-01-01T00:00:00Z"}, "spec.endTime"),
        ({"hosts": 0}, "spec.hosts"),
        ({"hosts": 1001}, "spec.hosts"),
        ({"className": ""}, "spec.className"),
    ],
)
async def test_invalid_reservations_are_refused(named: Registries, spec: Object, field: str) -> None:
    error = await refused(reserve(named, **spec))
    assert error.code == 422
    assert [one["field"] for one in (error.details or {})["causes"]] == [field]


async def test_times_that_have_passed_are_kept_with_what_else_changes(named: Registries, monkeypatch: pytest.MonkeyPatch) -> None:
    await reserve(named)
    monkeypatch.setattr(reservation, "datetime", Later)

    def change(field: str, value: object) -> Callable[[Object], Object]:
        return lambda old: {**old, "spec": {**old["spec"], field: value}}

    update = named.catalog.reservations.update
    assert (await update(CONTEXT, "tenant-a", "launch", change("hosts", 3))).object()["spec"]["hosts"] == 3
    assert (await refused(update(CONTEXT, "tenant-a", "launch", change("endTime", after(hours=2))))).code == 422
    await update(CONTEXT, "tenant-a", "launch", change("endTime", after(days=3)))


class Later(datetime):
    """A clock that is a day ahead."""

    @classmethod
    def now(cls, tz: Any = None) -> Any:
        return datetime.now(tz) + timedelta(days=1)


async def test_the_end_is_reported_when_the_servers_clock_has_come_to_it(named: Registries, monkeypatch: pytest.MonkeyPatch) -> None:
    await reserve(named)
    ended = {"type": "Expired", "status": "True", "reason": "Ended", "message": "", "lastTransitionTime": after()}

    async def report_end() -> Object:
        status = {"conditions": [ended]}
        update = named.catalog.reservations.update
        entry = await update(CONTEXT, "tenant-a", "launch", lambda old: {**old, "status": status}, subresource="status")
        return entry.object()

    assert "compare the clocks" in (await refused(report_end())).message
    monkeypatch.setattr(reservation, "datetime", Later)
    assert (await report_end())["status"]["conditions"] == [ended]


async def test_there_is_a_limit_for_the_reservations_that_are_planned_together(named: Registries) -> None:
    for number in range(MOST):
        await reserve(named, f"r-{number}", ("tenant-a", "tenant-b")[number % 2])
    assert (await refused(reserve(named, "one-more"))).code == 403

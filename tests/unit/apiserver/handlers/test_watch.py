"""WATCH over HTTP: what begins it, what follows, and every way to end."""

from __future__ import annotations

import asyncio
from contextlib import AsyncExitStack, asynccontextmanager
from typing import TYPE_CHECKING, Any

import orjson
import pytest
from aiohttp import ClientError

from apiserver.handlers.timings import Timings
from apiserver.handlers.watch import BYTES, _Stream
from apiserver.handlers.watchers.frames import Frames
from tests.unit.apiserver.handlers.conftest import HISTORY, PREFIX

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Sequence

    from aiohttp.client import ClientResponse

    from apiserver.registry.generic.entry import Entry
    from storage.collection import Change
    from tests.unit.apiserver.handlers.conftest import Service

TABLE = {"Accept": "application/json;as=Table;v=v1;g=meta.k8s.io"}
PARTIAL = {"Accept": "application/json;as=PartialObjectMetadata;v=v1;g=meta.k8s.io"}


class Watching:
    """Follow one watch."""

    def __init__(self, response: ClientResponse) -> None:
        self.response = response

    async def next(self) -> dict[str, Any]:
        async with asyncio.timeout(60):
            line = await self.response.content.readline()
        assert line, "the watch has ended"
        event = orjson.loads(line)
        assert isinstance(event, dict)
        return event

    async def short(self) -> tuple[str, str]:
        event = await self.next()
        return event["type"], event["object"]["metadata"].get("name", "")

    async def rest(self) -> list[dict[str, Any]]:
        async with asyncio.timeout(60):
            return [orjson.loads(line) async for line in self.response.content]


@asynccontextmanager
async def watching(
    service: Service, path: str = "widgets", query: dict[str, str] | None = None, headers: dict[str, str] | None = None
) -> AsyncIterator[Watching]:
    async with service.session.get(service.url(path), params={"watch": "true", **(query or {})}, headers=headers) as response:
        assert response.status == 200, await response.text()
        yield Watching(response)


async def patch(service: Service, name: str, body: Any) -> dict[str, Any]:
    status, found = await service.ask("PATCH", f"widgets/{name}", body, headers={"Content-Type": "application/merge-patch+json"})
    assert status == 200, found
    assert isinstance(found, dict)
    return found


async def test_a_watch_sends_the_present_objects_and_then_changes(service: Service) -> None:
    made = await service.make("a")
    async with watching(service) as watch:
        assert "Content-Length" not in watch.response.headers
        assert watch.response.headers["Content-Type"] == "application/json"
        assert await watch.next() == {"type": "ADDED", "object": made}
        added = await service.make("b")
        assert await watch.next() == {"type": "ADDED", "object": added}
        changed = await patch(service, "b", {"spec": {"size": 2}})
        assert await watch.next() == {"type": "MODIFIED", "object": changed}
        await service.make("c", namespace="other")
        await service.ask("DELETE", "widgets/b")
        deleted = await watch.next()
        assert deleted["type"] == "DELETED"
        assert int(deleted["object"]["metadata"]["resourceVersion"]) == service.cache.revision
        assert deleted["object"]["spec"] == {"size": 2, "mode": "slow"}


async def test_from_a_version_on_nothing_is_repeated_or_lost(service: Service) -> None:
    version = (await service.make("a"))["metadata"]["resourceVersion"]
    await service.make("b")
    async with watching(service, query={"resourceVersion": version}) as watch:
        assert await watch.short() == ("ADDED", "b")
        await service.make("c")
        assert await watch.short() == ("ADDED", "c")


async def test_headers_come_before_any_event(service: Service) -> None:
    await service.make("a")
    async with asyncio.timeout(60), watching(service, query={"resourceVersion": str(service.cache.revision)}) as watch:
        assert watch.response.status == 200


async def test_selectors_turn_changes_into_coming_and_going(service: Service) -> None:
    async with watching(service, query={"labelSelector": "on=yes"}) as watch:
        await service.make("a")
        await patch(service, "a", {"metadata": {"labels": {"on": "yes"}}})
        assert await watch.short() == ("ADDED", "a")
        await patch(service, "a", {"spec": {"size": 7}})
        assert await watch.short() == ("MODIFIED", "a")
        last = await patch(service, "a", {"metadata": {"labels": {"on": "no"}}, "spec": {"size": 8}})
        gone = await watch.next()
        assert gone["type"] == "DELETED"
        assert gone["object"]["metadata"]["labels"] == {"on": "yes"}
        assert gone["object"]["spec"]["size"] == 7
        assert gone["object"]["metadata"]["resourceVersion"] == last["metadata"]["resourceVersion"]
        await service.ask("DELETE", "widgets/a")
        await service.make("b", labels={"on": "yes"})
        assert await watch.short() == ("ADDED", "b")


async def test_one_name(service: Service) -> None:
    await service.make("ab")
    await service.make("a")
    async with watching(service, query={"fieldSelector": "metadata.name=a"}) as watch:
        assert await watch.short() == ("ADDED", "a")
        await patch(service, "ab", {"spec": {"size": 2}})
        await patch(service, "a", {"spec": {"size": 2}})
        assert await watch.short() == ("MODIFIED", "a")


async def test_the_streaming_list(service: Service) -> None:
    await service.make("a")
    query = {"sendInitialEvents": "true", "resourceVersionMatch": "NotOlderThan", "allowWatchBookmarks": "true"}
    async with watching(service, query=query) as watch:
        assert await watch.short() == ("ADDED", "a")
        bookmark = await watch.next()
        assert bookmark["type"] == "BOOKMARK"
        assert bookmark["object"]["kind"] == "Widget"
        assert bookmark["object"]["metadata"]["annotations"] == {"k8s.io/initial-events-end": "true"}
        assert bookmark["object"]["metadata"]["resourceVersion"] == str(service.cache.revision)
        await service.make("b")
        assert await watch.short() == ("ADDED", "b")


async def test_initial_events_can_be_left_out(service: Service) -> None:
    await service.make("a")
    async with watching(service, query={"sendInitialEvents": "false", "resourceVersionMatch": "NotOlderThan"}) as watch:
        await service.make("b")
        assert await watch.short() == ("ADDED", "b")


@pytest.mark.parametrize("query", [{"sendInitialEvents": "true"}, {"resourceVersionMatch": "NotOlderThan", "resourceVersion": "1"}])
async def test_invalid_watch_queries_are_refused(service: Service, query: dict[str, str]) -> None:
    status, found = await service.ask("GET", "widgets", query={"watch": "true", **(query or {})})
    assert (status, found["reason"]) == (422, "Invalid")


async def test_what_is_forgotten_is_an_error_event(service: Service) -> None:
    for number in range(HISTORY + 1):
        await service.make(f"w{number}")
    async with watching(service, query={"resourceVersion": "1", "allowWatchBookmarks": "true"}) as watch:
        (event,) = await watch.rest()
    assert (event["type"], event["object"]["code"], event["object"]["reason"]) == ("ERROR", 410, "Expired")


async def test_a_reader_that_falls_behind_has_to_list_again(service: Service, monkeypatch: pytest.MonkeyPatch) -> None:
    free = asyncio.Event()

    async def slow(_: object) -> None:
        await free.wait()

    monkeypatch.setattr("apiserver.handlers.watch._Stream._drain", slow)
    await service.make("a")
    async with watching(service) as watch:
        assert await watch.short() == ("ADDED", "a")
        for number in range(HISTORY + 1):
            await service.make(f"w{number}")
        free.set()
        (event,) = await watch.rest()
    assert (event["type"], event["object"]["code"]) == ("ERROR", 410)


async def test_a_version_from_another_life_is_refused(service: Service) -> None:
    service.api.watches.timings = Timings(future=0.01)
    status, found = await service.ask("GET", "widgets", query={"watch": "true", "resourceVersion": "999"})
    assert (status, found["details"]["causes"][0]["reason"]) == (504, "ResourceVersionTooLarge")


async def test_bookmarks_come_while_nothing_happens(service: Service) -> None:
    service.api.watches.timings = Timings(bookmarks=0.02)
    async with watching(service, query={"allowWatchBookmarks": "true"}) as watch:
        await service.ask("POST", f"{PREFIX}/racks", {"apiVersion": "example.com/v1", "kind": "Rack", "metadata": {"name": "r"}})
        wanted = service.cache.revision
        async with asyncio.timeout(60):
            while True:
                event = await watch.next()
                assert event["type"] == "BOOKMARK"
                if int(event["object"]["metadata"]["resourceVersion"]) == wanted:
                    break


async def test_the_time_ends_with_a_bookmark(service: Service) -> None:
    made = await service.make("a")
    async with watching(service, query={"timeoutSeconds": "1", "allowWatchBookmarks": "true"}) as watch:
        events = await watch.rest()
    assert [event["type"] for event in events] == ["ADDED", "BOOKMARK"]
    assert events[1]["object"]["metadata"]["resourceVersion"] == made["metadata"]["resourceVersion"]


async def test_stopping_ends_watches_as_whole_responses(service: Service) -> None:
    async with watching(service, query={"allowWatchBookmarks": "true"}) as one, watching(service) as other:
        await service.make("a")
        assert await one.short() == ("ADDED", "a")
        assert await other.short() == ("ADDED", "a")
        service.api.stop_watches()
        assert [event["type"] for event in await one.rest()] == ["BOOKMARK"]
        assert await other.rest() == []


async def test_a_watch_that_begins_while_stopping_ends_with_a_bookmark_to_continue_from(service: Service) -> None:
    """client-go lists again after a watch that ends at once without any event."""
    version = (await service.make("a"))["metadata"]["resourceVersion"]
    service.api.stop_watches()
    for query, shown in (({"resourceVersion": version}, []), ({}, ["ADDED"])):
        async with watching(service, query={"allowWatchBookmarks": "true", **query}) as late:
            events = await late.rest()
        assert [event["type"] for event in events] == [*shown, "BOOKMARK"]
        assert events[-1]["object"]["metadata"]["resourceVersion"] == version


async def test_a_client_that_goes_away_is_noticed(service: Service) -> None:
    async with watching(service):
        assert len(service.api.watches) == 1
    async with asyncio.timeout(60):
        await service.api.watches.ended()


async def test_a_client_that_does_not_read_is_cut(service: Service) -> None:
    service.api.watches.timings = Timings(slow=0.05)
    large: dict[str, Any] = {"annotations": {"a": "x" * 250_000}}
    # These objects are more than the sockets' buffers hold.
    await asyncio.gather(*(service.make(f"w{number}", **large) for number in range(60)))
    async with watching(service) as watch:
        async with asyncio.timeout(60):
            await service.api.watches.ended()
        with pytest.raises(ClientError):
            await watch.rest()


async def test_one_that_has_no_room_catches_up_while_the_others_continue(service: Service, monkeypatch: pytest.MonkeyPatch) -> None:
    """Check that nothing is lost, doubled or out of order on the way out of the fan-out and back
    into it."""
    room = asyncio.Event()

    async def drain(_: object) -> None:
        await room.wait()

    selected = {"labelSelector": "slow!=no"}
    async with watching(service) as other, watching(service, query=selected) as slow:
        await service.make("first")
        assert [await other.short(), await slow.short()] == [("ADDED", "first")] * 2
        deliver = _Stream.deliver

        def full(stream: _Stream) -> bool:
            if not room.is_set() and stream.options.selector:
                assert stream._woken is not None
                stream._woken.set_result(None)
                return False
            return deliver(stream)

        monkeypatch.setattr(_Stream, "deliver", full)
        monkeypatch.setattr(_Stream, "_drain", drain)
        expected = [("ADDED", f"w{number}") for number in range(HISTORY // 2)]
        for _, name in expected:
            await service.make(name)
        assert [await other.short() for _ in expected] == expected
        room.set()
        await service.make("last")
        assert [await slow.short() for _ in [*expected, 0]] == [*expected, ("ADDED", "last")]
        await service.make("more")
        assert [await other.short(), await other.short()] == [("ADDED", "last"), ("ADDED", "more")]
        assert await slow.short() == ("ADDED", "more")


async def test_a_piece_has_few_bytes_however_much_is_new(service: Service, monkeypatch: pytest.MonkeyPatch) -> None:
    """Bound the bytes of a piece, which is what a client that does not read costs."""
    pieces: list[int] = []
    encode, deliver, behind = Frames.changes, _Stream.deliver, asyncio.Event()

    def measured(frames: Frames, changes: Sequence[Change[Entry]]) -> bytes:
        data = encode(frames, changes)
        pieces.append(len(data))
        return data

    def late(stream: _Stream) -> bool:
        return deliver(stream) if behind.is_set() else True

    monkeypatch.setattr(Frames, "changes", measured)
    monkeypatch.setattr(_Stream, "deliver", late)
    async with watching(service) as watch:
        for number in range(HISTORY // 2):
            await service.make(f"w{number}", annotations={"a": "x" * 100_000})
        behind.set()
        await service.make("last")
        assert [(await watch.short())[1] for _ in range(HISTORY // 2 + 1)] == [*(f"w{number}" for number in range(HISTORY // 2)), "last"]
    assert max(pieces) < BYTES + 110_000


async def test_a_client_that_takes_too_long_for_the_initial_events_is_cut(service: Service) -> None:
    service.api.watches.timings = Timings(initial=-10.0)
    for number in range(12):
        await service.make(f"w{number}", annotations={"a": "x" * 100_000})
    async with watching(service) as watch:
        async with asyncio.timeout(60):
            await service.api.watches.ended()
        with pytest.raises(ClientError):
            await watch.rest()


async def test_what_comes_in_quick_succession_comes_complete_and_in_order(service: Service) -> None:
    async with watching(service) as watch:
        made = await asyncio.gather(*(service.make(f"w{number}") for number in range(12)))
        wanted = sorted(made, key=lambda item: int(item["metadata"]["resourceVersion"]))
        assert [(await watch.next())["object"] for _ in wanted] == wanted


async def test_tables_name_their_columns_once(service: Service) -> None:
    await service.make("a")
    async with watching(service, headers=TABLE) as watch:
        first = (await watch.next())["object"]
        assert [column["name"] for column in first["columnDefinitions"]][:2] == ["Name", "Size"]
        assert first["rows"][0]["cells"][0] == "a"
        await service.make("b")
        second = await watch.next()
        assert second["type"] == "ADDED"
        assert second["object"]["columnDefinitions"] is None
        assert second["object"]["rows"][0]["cells"][0] == "b"


async def test_metadata(service: Service) -> None:
    made = await service.make("a")
    async with watching(service, headers=PARTIAL) as watch:
        event = await watch.next()
    assert event == {
        "type": "ADDED",
        "object": {"kind": "PartialObjectMetadata", "apiVersion": "meta.k8s.io/v1", "metadata": made["metadata"]},
    }


async def test_yaml_is_not_acceptable(service: Service) -> None:
    status, _ = await service.ask("GET", "widgets", query={"watch": "true"}, headers={"Accept": "application/vnd.kubernetes.protobuf"})
    assert status == 406


async def test_clients_that_do_not_read_take_so_much_memory_together_and_no_more(service: Service) -> None:
    service.api.watches.unread._most = most = 2_000_000
    large: dict[str, Any] = {"annotations": {"a": "x" * 250_000}}
    async with AsyncExitStack() as stack:
        for number in range(20):
            await stack.enter_async_context(watching(service, query={"labelSelector": f"no!=x{number}"}))
        async with asyncio.timeout(60):
            number = 0
            while len(service.api.watches) == 20:  # sockets buffer some megabytes
                await service.make(f"w{number}", **large)
                number += 1
                assert service.api.watches.unread.size <= most
        for more in range(number, number + HISTORY):
            await service.make(f"w{more}", **large)
            assert service.api.watches.unread.size <= most

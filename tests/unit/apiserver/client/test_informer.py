"""Run the informer against a server that pages, forgets, cuts, stalls and fails."""

from __future__ import annotations

import asyncio
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any

import orjson

from apiserver.client.clock import Backoff
from apiserver.client.informer import Informer
from apiserver.client.objects import Resource, name_of
from tests.unit.controllers.fakeapi import Failure, FakeApi, eventually

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from aiohttp import web

    from apiserver.client.client import Client

THINGS = Resource("example.com", "v1", "things", "Thing")
PATH = "apis/example.com/v1/things"


def thing(name: str, **spec: Any) -> dict[str, Any]:
    return {"metadata": {"name": name, "namespace": "a"}, "spec": spec}


@asynccontextmanager
async def following(client: Client, **options: Any) -> AsyncIterator[tuple[Informer, list[tuple[str | None, str | None]]]]:
    informer = Informer(client, THINGS, backoff=Backoff(first=0.01, most=0.02), **options)
    seen: list[tuple[str | None, str | None]] = []
    informer.add_handler(lambda old, new: seen.append((name_of(old) if old else None, name_of(new) if new else None)))
    task = asyncio.ensure_future(informer.run())
    try:
        yield informer, seen
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)


async def test_lists_in_pages_then_follows(api: FakeApi, client: Client) -> None:
    for number in range(7):
        api.put(PATH, thing(f"t{number}"))
    async with following(client, page_size=3) as (informer, seen):
        await asyncio.wait_for(informer.synced.wait(), 60)
        assert len(informer.store) == 7
        assert api.requests["GET things"] == 3
        api.put(PATH, thing("new"))
        api.edit(PATH, "t0", {"spec": {"x": 1}}, "a")
        api.remove(PATH, "t1", "a")
        await eventually(lambda: seen[-3:] == [(None, "new"), ("t0", "t0"), ("t1", None)])
        assert len(informer.store) == 7
        assert "a/t1" not in informer.store


async def test_a_cut_watch_continues_without_a_new_list(api: FakeApi, client: Client) -> None:
    async with following(client) as (informer, seen):
        await asyncio.wait_for(informer.synced.wait(), 60)
        await eventually(lambda: api.requests["WATCH things"] == 1)
        api.put(PATH, thing("one"))
        await eventually(lambda: seen == [(None, "one")])
        api.cut_watches()
        api.put(PATH, thing("two"))
        await eventually(lambda: seen == [(None, "one"), (None, "two")])
        assert api.requests["GET things"] == 1


async def test_an_expired_history_is_listed_again_with_what_was_missed(api: FakeApi, client: Client) -> None:
    api.put(PATH, thing("kept"))
    api.put(PATH, thing("gone"))
    async with following(client) as (informer, seen):
        await asyncio.wait_for(informer.synced.wait(), 60)
        await eventually(lambda: api.requests["WATCH things"] == 1)
        api.fail = lambda verb, path: Failure(503, "ServiceUnavailable") if verb == "WATCH" else None
        api.cut_watches()
        await eventually(lambda: informer.last_error is not None)
        assert informer.stale_since is not None
        assert "a/gone" in informer.store, "trouble upstream takes nothing away"
        api.remove(PATH, "gone", "a")
        api.put(PATH, thing("born"))
        api.compact()
        api.fail = lambda verb, path: None
        await eventually(lambda: sorted(informer.store.keys()) == ["a/born", "a/kept"])
        await eventually(lambda: informer.last_error is None)
        assert informer.stale_since is None
        assert ("gone", None) in seen
        assert (None, "born") in seen
        assert seen.count((None, "kept")) == 1


async def test_an_error_event_410_is_listed_again(api: FakeApi, client: Client) -> None:
    sent: list[int] = []

    async def expire(response: web.StreamResponse) -> bool:
        if sent:
            return False
        sent.append(1)
        status = {"kind": "Status", "code": 410, "reason": "Expired", "message": "too old"}
        await response.write(orjson.dumps({"type": "ERROR", "object": status}) + b"\n")
        return True

    api.watch_hook = expire
    async with following(client) as (informer, _):
        await eventually(lambda: api.requests["GET things"] == 2)
        assert informer.last_error is None


async def test_bookmarks_move_the_version_on(api: FakeApi, client: Client) -> None:
    versions: list[int] = []

    async def bookmark(response: web.StreamResponse) -> bool:
        versions.append(1)
        if len(versions) > 1:
            return False
        event = {"type": "BOOKMARK", "object": {"kind": "Thing", "metadata": {"resourceVersion": str(api.revision)}}}
        await response.write(orjson.dumps(event) + b"\n")
        return True

    async with following(client) as (informer, seen):
        await asyncio.wait_for(informer.synced.wait(), 60)
        await eventually(lambda: api.requests["WATCH things"] == 1)
        # This write advances the revision, but changes nothing of the kind.
        api.put("apis/example.com/v1/others", thing("other"))
        api.compact()
        api.watch_hook = bookmark
        api.cut_watches()
        # Without the bookmark the next watch would start before the compaction, and cause a 410 and
        # a list. The first watch does.
        await eventually(lambda: api.requests["GET things"] == 2)
        await eventually(lambda: len(versions) >= 2)
        api.put(PATH, thing("late"))
        await eventually(lambda: seen == [(None, "late")])
        assert api.requests["GET things"] == 2


async def test_a_silent_watch_is_cut_and_resumed(api: FakeApi, client: Client) -> None:
    async def hang(response: web.StreamResponse) -> bool:
        api.watch_hook = None
        await asyncio.sleep(30)
        return True

    api.watch_hook = hang
    async with following(client, stall_timeout=0.1) as (informer, seen):
        await asyncio.wait_for(informer.synced.wait(), 60)
        api.put(PATH, thing("hidden"))
        await eventually(lambda: seen == [(None, "hidden")])


async def test_an_object_that_is_recreated_unseen_is_two_changes(api: FakeApi, client: Client) -> None:
    api.put(PATH, thing("same"))
    async with following(client) as (informer, seen):
        await asyncio.wait_for(informer.synced.wait(), 60)
        await eventually(lambda: api.requests["WATCH things"] == 1)
        api.fail = lambda verb, path: Failure(500, "InternalError") if verb == "WATCH" else None
        api.cut_watches()
        await eventually(lambda: informer.last_error is not None)
        api.remove(PATH, "same", "a")
        api.put(PATH, thing("same"))
        api.compact()
        api.fail = lambda verb, path: None
        await eventually(lambda: seen == [(None, "same"), ("same", None), (None, "same")])


async def test_a_failing_handler_does_not_stop_the_others(api: FakeApi, client: Client, caplog: Any) -> None:
    informer = Informer(client, THINGS)
    seen: list[str] = []

    def broken(old: object, new: object) -> None:
        raise ValueError("broken")

    informer.add_handler(broken)
    informer.add_handler(lambda old, new: seen.append(name_of(new or old or {})))
    api.put(PATH, thing("one"))
    task = asyncio.ensure_future(informer.run())
    await eventually(lambda: seen == ["one"])
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)
    assert "a handler failed" in caplog.text


async def test_indexes_follow(api: FakeApi, client: Client) -> None:
    informer = Informer(client, THINGS, indexers={"colour": lambda obj: [obj["spec"].get("colour", "")]})
    task = asyncio.ensure_future(informer.run())
    api.put(PATH, thing("one", colour="red"))
    api.put(PATH, thing("two", colour="red"))
    await eventually(lambda: len(informer.store.by_index("colour", "red")) == 2)
    api.edit(PATH, "one", {"spec": {"colour": "blue"}}, "a")
    await eventually(lambda: [name_of(obj) for obj in informer.store.by_index("colour", "blue")] == ["one"])
    assert [name_of(obj) for obj in informer.store.by_index("colour", "red")] == ["two"]
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)


async def test_the_response_to_a_write_is_known_before_its_watch_event(api: FakeApi, client: Client) -> None:
    api.put(PATH, thing("t"))
    async with following(client) as (informer, seen):
        await eventually(lambda: "a/t" in informer.store)
        api.watch_delay = 0.05
        api.edit(PATH, "t", {"spec": {"x": 1}}, "a")
        informer.learn(api.edit(PATH, "t", {"spec": {"x": 2}}, "a"))
        known = informer.store.get("a/t")
        assert known is not None
        assert known["spec"] == {"x": 2}
        reported = len(seen)
        api.put(PATH, thing("next"))
        await eventually(lambda: "a/next" in informer.store)
        assert informer.store.get("a/t") is known, "events from before it, and its own, change nothing"
        assert seen[reported:] == [(None, "next")]
        api.edit(PATH, "t", {"spec": {"x": 3}}, "a")
        await eventually(lambda: (informer.store.get("a/t") or {}).get("spec") == {"x": 3})


async def test_an_answer_brings_nothing_back_that_was_deleted(api: FakeApi, client: Client) -> None:
    api.put(PATH, thing("t"))
    async with following(client) as (informer, _):
        await eventually(lambda: "a/t" in informer.store)
        answer = api.edit(PATH, "t", {"spec": {"x": 1}}, "a")
        api.remove(PATH, "t", "a")
        await eventually(lambda: "a/t" not in informer.store)
        informer.learn(answer)
        assert "a/t" not in informer.store
        api.put(PATH, thing("t"))
        await eventually(lambda: "a/t" in informer.store)
        informer.learn(answer)
        assert (informer.store.get("a/t") or {})["spec"] == {}


async def test_after_a_new_list_the_server_counts_again(api: FakeApi, client: Client) -> None:
    """Follow a server that was restored from a backup: its resourceVersions are older than those
    that it answered with before."""
    api.put(PATH, thing("t"))
    async with following(client) as (informer, _):
        await eventually(lambda: "a/t" in informer.store)
        answer = api.get(PATH, "t", "a")
        informer.learn({**answer, "metadata": {**answer["metadata"], "resourceVersion": "5000"}})
        api.compact()
        api.oldest += 1
        api.revision += 1
        api.cut_watches()
        await eventually(lambda: api.requests["GET things"] == 2)
        api.edit(PATH, "t", {"spec": {"x": 1}}, "a")
        await eventually(lambda: (informer.store.get("a/t") or {}).get("spec") == {"x": 1})

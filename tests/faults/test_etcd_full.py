"""Check an etcd without room: it refuses only writes that store more, everything else continues,
and following the error message makes room."""

from __future__ import annotations

import asyncio
import json
import urllib.request
from contextlib import suppress
from typing import TYPE_CHECKING, Any

import pytest

from storage.base import Delete, Full, Put
from storage.etcd import EtcdStore
from storage.testing.harness import brief, collect, opened
from tests.integration.etcdserver import RELEASES, EtcdServer

if TYPE_CHECKING:
    from pathlib import Path

QUOTA = 16 << 20


def maintain(etcd: EtcdServer, what: str, body: dict[str, Any]) -> dict[str, Any]:
    """Call one of the maintenance APIs of etcd, as etcdctl does, and return its answer."""
    request = urllib.request.Request(f"{etcd.endpoint}/v3/maintenance/{what}", json.dumps(body).encode())
    with urllib.request.urlopen(request, timeout=60) as answer:
        found: dict[str, Any] = json.load(answer)
    return found


@pytest.mark.parametrize("release", RELEASES)
async def test_a_full_etcd(tmp_path: Path, release: str) -> None:
    etcd = EtcdServer(tmp_path, release=release, flags=[f"--quota-backend-bytes={QUOTA}"])
    etcd.start()
    try:
        async with opened(EtcdStore([etcd.endpoint], prefix="/t", timeout=20)) as store:
            async with asyncio.timeout(60):
                while not store.usage().limit:  # noqa: ASYNC110 - nothing tells
                    await asyncio.sleep(0.01)
            assert store.usage().limit == QUOTA
            assert 0 < store.usage().size < QUOTA
            keys: list[str] = []
            with suppress(Full):
                while True:
                    await store.commit([Put(f"/{len(keys):03}", b"x" * 1_000_000, 0)])
                    keys.append(f"/{len(keys):03}")
            assert len(keys) > 5
            with pytest.raises(Full, match="alarm disarm"):
                await store.commit([Put("/more", b"x")])
            assert store.usage().full
            async with opened(EtcdStore([etcd.endpoint], prefix="/t", timeout=20)) as other:
                async with asyncio.timeout(60):
                    while not other.usage().full:  # noqa: ASYNC110 - nothing tells
                        await asyncio.sleep(0.01)
                assert other.usage().size > QUOTA * 4 // 5, "a replica that has written nothing knows it, too"
            page = await store.list("/")
            assert [item.key for item in page.items] == keys
            for item in page.items[1:]:
                last = await store.commit([Delete(item.key, item.revision)])
            assert brief(await collect(store, "/", page.revision, last)) == [("delete", key) for key in keys[1:]]
            await store.compact(last)
            maintain(etcd, "defragment", {})
            for alarm in maintain(etcd, "alarm", {"action": "GET"})["alarms"]:
                maintain(etcd, "alarm", {"action": "DEACTIVATE", **alarm})
            await store.commit([Put("/more", b"x")])
            assert not store.usage().full
            assert [item.key for item in (await store.list("/")).items] == [keys[0], "/more"]
    finally:
        etcd.kill()

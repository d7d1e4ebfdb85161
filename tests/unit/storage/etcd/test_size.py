"""Cover how the size of an etcd is determined for releases that report less. Real ones are in
tests/faults."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from storage.base import Usage
from storage.etcd import EtcdStore
from storage.etcd.size import quota_in
from storage.testing.harness import opened
from tests.unit.storage.etcd.fakeetcd import Refusal, header, running

ALARM = {"errors": ["memberID:10276657743932975437 alarm:NOSPACE "]}


@pytest.mark.parametrize(
    ("status", "usage"),
    [
        ({"dbSize": "90", "dbSizeQuota": "100"}, Usage(90, 100, full=False)),
        ({"dbSize": "100", "dbSizeQuota": "100", **ALARM}, Usage(100, 100, full=True)),
        ({"dbSize": "90"}, Usage(90, 0, full=False)),
        ({"dbSize": "90", "errors": ["memberID:1 alarm:CORRUPT "]}, Usage(90, 0, full=False)),
    ],
)
async def test_the_size_is_computed_from_a_members_status_and_usage(status: dict[str, Any], usage: Usage) -> None:
    assert await measured(status, usage) == usage


async def test_a_member_that_may_not_be_asked_has_no_known_size() -> None:
    refusal = Refusal(403, {"code": 7, "message": "etcdserver: permission denied"})
    assert await measured(refusal, Usage(0, 0, full=False)) == Usage(0, 0, full=False)


async def measured(status: dict[str, Any] | Refusal, wanted: Usage) -> Usage:
    """Return a store's usage when it is the wanted one, or after the member has answered."""
    async with running() as etcd:
        etcd.answer("/kv/range", header(5))
        etcd.answer("/maintenance/status", status if isinstance(status, Refusal) else {**header(5), **status})
        async with opened(EtcdStore([etcd.endpoint])) as store, asyncio.timeout(60):
            while not etcd.asked("/maintenance/status") or store.usage() != wanted:  # noqa: ASYNC110 - nothing tells
                await asyncio.sleep(0.01)
            return store.usage()


def test_the_quota_among_the_metrics_of_etcd() -> None:
    assert quota_in("# HELP etcd_server_quota_backend_bytes x\netcd_server_quota_backend_bytes 2.147483648e+09\n") == 2 << 30
    assert quota_in("etcd_server_quota_backend_bytes_other 7\n") == 0

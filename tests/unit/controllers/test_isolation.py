"""Let one class's cluster hang: the other classes' Workloads, hosts and status continue
unaffected."""

from __future__ import annotations

import asyncio
import copy
from typing import TYPE_CHECKING

import yaml

from tests.unit.controllers.clusters import (
    BMH,
    CLASSES,
    HOSTS,
    SECRETS,
    WORKLOADS,
    bmh,
    controllers,
    secret,
    two_clusters,
    workload,
    workload_class,
)
from tests.unit.controllers.fakeapi import FakeApi, eventually

if TYPE_CHECKING:
    from aiohttp import web

    from tests.unit.controllers.fakeapi import Address, Object

HANGING, WELL = 40, 10


async def test_a_cluster_that_hangs_slows_no_other_class() -> None:
    hangs, asked = asyncio.Event(), 0

    async def hang(api: FakeApi, request: web.Request, address: Address, body: Object) -> Object | None:
        nonlocal asked
        asked += 1
        await hangs.wait()
        return None

    async with two_clusters() as clusters, FakeApi().serving() as dead:
        dead.hooks = {"PATCH baremetalhosts": hang, "POST secrets": hang, "PATCH secrets": hang}
        clusters.management.put(SECRETS, secret("dead", "system", kubeconfig=yaml.safe_dump(dead.kubeconfig)))
        other = copy.deepcopy(workload_class(credentialsSecretRef={"namespace": "system", "name": "dead"}))
        other["metadata"]["name"] = "dead"
        clusters.management.put(CLASSES, other)
        for number in range(HANGING):
            dead.put(BMH, bmh(f"d{number}"))
        for number in range(WELL):
            clusters.hardware.put(BMH, bmh(f"h{number}"))
        try:
            async with controllers(clusters):
                await eventually(lambda: len(clusters.management.all(HOSTS)) == HANGING + WELL)
                for number in range(HANGING):
                    clusters.management.put(WORKLOADS, workload(f"d{number}", className="dead"))
                await eventually(lambda: asked > 0 and all(clusters.claimed(f"d{number}") for number in range(HANGING)))
                for number in range(WELL):
                    clusters.management.put(WORKLOADS, workload(f"w{number}"))
                await eventually(lambda: all(clusters.phase(f"w{number}") == "Running" for number in range(WELL)))
                for number in range(WELL):
                    clusters.request_deletion(f"w{number}")
                await eventually(lambda: all(clusters.management.find(WORKLOADS, f"w{number}", "team-a") is None for number in range(WELL)))
                assert 0 < asked < HANGING, "and it is asked for a few things at once only"
                assert not any(clusters.phase(f"d{number}") == "Running" for number in range(HANGING))
        finally:
            hangs.set()

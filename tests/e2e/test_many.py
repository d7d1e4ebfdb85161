"""Create many Workloads at once: 200 Workloads of two tenants over 200 hosts, each on a host of its
own."""

from __future__ import annotations

import re
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING

import pytest

from tests.e2e.objects import eventually, workload

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.e2e.process import Dev

HOSTS = 200
PART = 10
"""The number of Workloads per kubectl, which sends one request after the other."""
TENANTS = ("tenant-a", "tenant-b")


@pytest.fixture(scope="module")
def dev(make_dev: Callable[..., Dev]) -> Dev:
    return make_dev("--hosts", str(HOSTS)).start()


def test_every_workload_runs_on_a_host_of_its_own(dev: Dev) -> None:
    eventually(lambda: _hosts(dev, "Available"), seconds=180)
    names = [f"w-{number:03}" for number in range(HOSTS // 2)]
    with ThreadPoolExecutor() as pool:
        parts = [(tenant, names[start : start + PART]) for tenant in TENANTS for start in range(0, len(names), PART)]
        for outcome in [pool.submit(dev.user(tenant).apply, *map(workload, part)) for tenant, part in parts]:
            outcome.result()
    eventually(lambda: _all_run(dev), seconds=180)
    claimed = [tuple(host["spec"]["claimRef"][key] for key in ("namespace", "name")) for host in dev.owner.items("hosts")]
    assert sorted(claimed) == [(tenant, name) for tenant in TENANTS for name in names]
    consumers = [(host["spec"]["consumerRef"]["namespace"], host["spec"]["consumerRef"]["name"]) for host in dev.hardware.items("bmh")]
    assert sorted(consumers) == sorted(claimed)

    for tenant in TENANTS:
        dev.user(tenant)("delete", "workloads", "--all", "--wait=false")
    eventually(lambda: _hosts(dev, "Available"), seconds=180)
    through_us = re.findall(r'File "[^"]*/(?:apiserver|controllers|storage)/[^\n]*', dev.log)
    assert through_us == [], "no error went through our code; what libraries log of a busy machine is theirs"


def _hosts(dev: Dev, phase: str) -> None:
    found = [host.get("status", {}).get("phase") for host in dev.owner.items("hosts")]
    assert (len(found), set(found)) == (HOSTS, {phase})


def _all_run(dev: Dev) -> None:
    found = dev.owner.items("workloads", "-A")
    assert len(found) == HOSTS
    assert {item["status"]["phase"] for item in found} == {"Running"}
    assert len({item["status"]["host"]["uid"] for item in found}) == HOSTS

"""A simulated cloud of each kind for each test; moto's process serves all of them."""

from __future__ import annotations

from contextlib import asynccontextmanager
from typing import TYPE_CHECKING

import aiohttp
import pytest

from controllers.providers.machines import provider
from controllers.providers.machines.cloud import calls, poller
from hack.cloud.ec2 import simulated_ec2
from hack.cloud.nova import Nova
from hack.cloud.openstack import OpenStackCloud
from tests.unit.controllers.providers.machines.cloud import ec2world, openstackworld
from tests.unit.controllers.providers.machines.cloud.door import door
from tests.unit.controllers.providers.machines.cloud.ec2world import EC2Cloud
from tests.unit.controllers.providers.machines.cloud.openstackworld import NovaCloud

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Iterator

    from tests.unit.controllers.providers.machines.cloud.world import Cloud


@pytest.fixture(scope="session")
def simulation() -> Iterator[int]:
    """The port of the simulated EC2."""
    with simulated_ec2() as port:
        yield port


@asynccontextmanager
async def ec2(simulation: int) -> AsyncIterator[EC2Cloud]:
    """EC2, with nothing in its accounts."""
    async with aiohttp.ClientSession() as session, session.post(f"http://127.0.0.1:{simulation}/moto-api/reset") as answer:
        assert answer.status == 200
    async with door(simulation, ec2world.verb) as opened:
        yield EC2Cloud(opened, simulation)


@asynccontextmanager
async def openstack() -> AsyncIterator[NovaCloud]:
    """OpenStack, with nothing in its project."""
    cloud = OpenStackCloud(Nova())
    async with cloud.serving() as port, door(port, openstackworld.verb) as opened:
        yield NovaCloud(opened, cloud)


@pytest.fixture(autouse=True)
def in_a_hurry(monkeypatch: pytest.MonkeyPatch) -> None:
    """Looks at the cloud come as soon as a simulated one has something to show; and no request ends
    because the machine is slow."""
    monkeypatch.setattr(calls, "TIMEOUT", 120.0)
    for module in (poller, provider):
        monkeypatch.setattr(module, "SOON", 0.3)
    monkeypatch.setattr(poller, "FIRST", 0.1)
    monkeypatch.setattr(poller, "LONGEST", 0.5)


@pytest.fixture(params=["ec2", "openstack"])
async def source(request: pytest.FixtureRequest) -> AsyncIterator[Cloud]:
    """An account behind a door, of each kind of cloud."""
    if request.param == "ec2":
        async with ec2(request.getfixturevalue("simulation")) as cloud:
            yield cloud
    else:
        async with openstack() as cloud:
            yield cloud


@pytest.fixture
async def amazon(simulation: int) -> AsyncIterator[EC2Cloud]:
    """EC2 alone."""
    async with ec2(simulation) as cloud:
        yield cloud


@pytest.fixture
async def nova() -> AsyncIterator[NovaCloud]:
    """OpenStack alone."""
    async with openstack() as cloud:
        yield cloud

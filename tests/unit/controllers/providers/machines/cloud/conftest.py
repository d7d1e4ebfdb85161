"""Provide a simulated cloud of each kind for each test. One moto process serves all of them."""

from __future__ import annotations

from contextlib import asynccontextmanager
from typing import TYPE_CHECKING

import aiohttp
import pytest

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
    """Yield the port of the simulated EC2."""
    with simulated_ec2() as port:
        yield port


@asynccontextmanager
async def ec2(simulation: int) -> AsyncIterator[EC2Cloud]:
    """Yield EC2 with empty accounts."""
    async with aiohttp.ClientSession() as session, session.post(f"http://127.0.0.1:{simulation}/moto-api/reset") as answer:
        assert answer.status == 200
    async with door(simulation, ec2world.verb) as opened:
        yield EC2Cloud(opened, simulation)


@asynccontextmanager
async def openstack() -> AsyncIterator[NovaCloud]:
    """Yield OpenStack with an empty project."""
    cloud = OpenStackCloud(Nova())
    async with cloud.serving() as port, door(port, openstackworld.verb) as opened:
        yield NovaCloud(opened, cloud)


@pytest.fixture(params=["ec2", "openstack"])
async def source(request: pytest.FixtureRequest) -> AsyncIterator[Cloud]:
    """Yield an account behind a door, for each kind of cloud."""
    if request.param == "ec2":
        async with ec2(request.getfixturevalue("simulation")) as cloud:
            yield cloud
    else:
        async with openstack() as cloud:
            yield cloud


@pytest.fixture
async def amazon(simulation: int) -> AsyncIterator[EC2Cloud]:
    """Yield EC2 alone."""
    async with ec2(simulation) as cloud:
        yield cloud


@pytest.fixture
async def nova() -> AsyncIterator[NovaCloud]:
    """Yield OpenStack alone."""
    async with openstack() as cloud:
        yield cloud

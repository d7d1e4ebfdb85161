"""Provide a simulated cloud of each kind for each test. One moto process serves all of them."""

from __future__ import annotations

from contextlib import asynccontextmanager
from typing import TYPE_CHECKING

import aiohttp
import pytest

from hack.cloud.ec2 import simulated_ec2
from hack.cloud.nova import Nova
from hack.cloud.openstack import OpenStackCloud
from tests.unit.controllers.providers.machines.cloud import ec2cloud, openstackcloud
from tests.unit.controllers.providers.machines.cloud.ec2cloud import EC2Cloud
from tests.unit.controllers.providers.machines.cloud.faultproxy import proxy
from tests.unit.controllers.providers.machines.cloud.openstackcloud import NovaCloud

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Iterator

    from tests.unit.controllers.providers.machines.cloud.cloud import Cloud


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
    async with proxy(simulation, ec2cloud.verb) as opened:
        yield EC2Cloud(opened, simulation)


@asynccontextmanager
async def openstack() -> AsyncIterator[NovaCloud]:
    """Yield OpenStack with an empty project."""
    cloud = OpenStackCloud(Nova())
    async with cloud.serving() as port, proxy(port, openstackcloud.verb) as opened:
        yield NovaCloud(opened, cloud)


@pytest.fixture(params=["ec2", "openstack"])
async def source(request: pytest.FixtureRequest) -> AsyncIterator[Cloud]:
    """Yield an account behind a proxy, for each kind of cloud."""
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

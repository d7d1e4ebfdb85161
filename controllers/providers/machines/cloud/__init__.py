"""Provide instances of a public or private cloud, created when they are claimed: provisioner
metal3.io/cloud."""

from __future__ import annotations

from controllers.providers.base import ProviderContext
from controllers.providers.machines.cloud.driver import CloudDriver
from controllers.providers.machines.cloud.ec2 import EC2
from controllers.providers.machines.cloud.openstack import OpenStack
from controllers.providers.machines.cloud.parameters import CloudFlavor, Parameters
from controllers.providers.machines.provider import MachineProvider

DRIVERS: dict[str, type[EC2 | OpenStack]] = {"ec2": EC2, "openstack": OpenStack}


class CloudProvider(MachineProvider):
    """Machines in one region of one account, whose keys are in the class's secret."""

    parameters_model = Parameters
    flavor_model = CloudFlavor

    @classmethod
    async def connect(cls, context: ProviderContext) -> CloudDriver:
        assert isinstance(context.parameters, Parameters)
        return DRIVERS[context.parameters.driver](context.parameters, context.credentials, cls.timings)

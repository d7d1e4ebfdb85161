"""Provide virtual machines of a KubeVirt cluster, created when they are claimed: provisioner
metal3.io/kubevirt."""

from __future__ import annotations

from controllers.providers.base import ProviderContext
from controllers.providers.clusterclient import open_client
from controllers.providers.machines.kubevirt.driver import KubeVirt
from controllers.providers.machines.kubevirt.parameters import MachineFlavor, Parameters
from controllers.providers.machines.provider import MachineProvider


class KubeVirtProvider(MachineProvider):
    """Machines of one namespace, reached with the kubeconfig in the class's secret (key
    `kubeconfig`)."""

    parameters_model = Parameters
    flavor_model = MachineFlavor

    @classmethod
    async def connect(cls, context: ProviderContext) -> KubeVirt:
        assert isinstance(context.parameters, Parameters)
        client = await open_client(context.credentials, context.parameters.context, "the KubeVirt cluster")
        return KubeVirt(context.parameters, client, cls.timings)

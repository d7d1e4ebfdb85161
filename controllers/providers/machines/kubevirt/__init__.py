"""Provide virtual machines of a KubeVirt cluster, created when they are claimed: provisioner
metal3.io/kubevirt."""

from __future__ import annotations

from apiserver.client.client import Client
from apiserver.client.errors import BadConfig
from apiserver.client.kubeconfig import parse
from controllers.providers.base import BadClass, ProviderContext
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
        kubeconfig = context.credentials.get("kubeconfig")
        if kubeconfig is None:
            raise BadClass("NoKubeconfig", "the credentials secret needs the key kubeconfig, with a kubeconfig for the KubeVirt cluster")
        assert isinstance(context.parameters, Parameters)
        try:
            client = Client(parse(kubeconfig), context=context.parameters.context)
            await client.open()
        except BadConfig as error:
            raise BadClass("BadKubeconfig", f"the kubeconfig in the credentials secret cannot be used: {error}") from error
        return KubeVirt(context.parameters, client, cls.timings)

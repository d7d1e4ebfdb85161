"""Define the `parameters` of a WorkloadClass with provisioner metal3.io/kubevirt."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated, Literal

from pydantic import AfterValidator, ConfigDict, Field, StringConstraints

from apiserver.apis.base import DNS_LABEL, DNSLabel, DNSSubdomain, Model
from controllers.providers.machines.flavors import Flavor, FlavorNIC, distinct

NETWORK = r"^([a-z0-9]([-a-z0-9]*[a-z0-9])?/)?[a-z0-9]([-a-z0-9.]*[a-z0-9])?$"


class MachineNIC(FlavorNIC):
    """One network interface: on the pod network, or on a network of Multus."""

    name: Annotated[str, StringConstraints(pattern=DNS_LABEL, max_length=15)] = "eth0"
    network: Annotated[str, StringConstraints(pattern=NETWORK, max_length=253)] | None = Field(
        default=None, description="NetworkAttachmentDefinition, as NAME or NAMESPACE/NAME; the pod network when empty."
    )
    binding: Literal["masquerade", "bridge", "sriov"] | None = Field(
        default=None, description="How it is connected; masquerade on the pod network and bridge on others when empty."
    )


def _one_on_the_pod_network(nics: Sequence[MachineNIC]) -> Sequence[MachineNIC]:
    if sum(nic.network is None for nic in nics) > 1:
        raise ValueError("only one NIC can be on the pod network: set network of the others")
    if len({nic.name for nic in nics}) < len(nics):
        raise ValueError("two NICs have one name")
    return nics


class MachineFlavor(Flavor):
    """One kind of virtual machine."""

    architecture: Literal["x86_64", "aarch64", "s390x"] = "x86_64"
    nics: Annotated[Sequence[MachineNIC], AfterValidator(_one_on_the_pod_network)] = Field(
        default_factory=lambda: [MachineNIC()], max_length=16
    )


class Parameters(Model):
    """The place and the kinds of virtual machines."""

    model_config = ConfigDict(extra="forbid")

    namespace: DNSLabel = Field(description="Namespace of the machines in the KubeVirt cluster; best one for each class.")
    context: str | None = Field(default=None, description="Context of the kubeconfig; its current one when empty.")
    identity: str = Field(
        default="", max_length=63, description="Name of this management cluster, when several have a class of one name there."
    )
    flavors: Annotated[list[MachineFlavor], AfterValidator(distinct)] = Field(description="The kinds of machines on offer.", min_length=1)
    storage_class_name: DNSSubdomain | None = Field(default=None, description="StorageClass of root disks; the default one when empty.")
    node_selector: dict[str, str] | None = Field(default=None, description="Labels of the nodes on which machines may run.")
    termination_grace_period_seconds: int = Field(
        default=60, ge=0, le=3600, description="How long a machine has to shut down before its power is cut."
    )
    verify_checksums: bool = Field(
        default=False, description="Whether images are refused whose checksum cannot be verified while they are imported."
    )

"""Define metal3.io/v1alpha1 BareMetalHost, in the shape of the Baremetal Operator's own kind.

The type serves as the tenants' view and, in dev mode, as the owner's real hosts. The registry, not
the type, implements the differences (no BMC data, which fields are writable). `image.format: ""` is
accepted, because CAPM3 sends it.
"""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field, StringConstraints

from apiserver.apis.base import Model, Timestamp
from apiserver.apis.meta import Conditions, ObjectMeta, ObjectReference, SecretReference
from apiserver.apis.names import METAL3
from apiserver.apis.names import UNHEALTHY as UNHEALTHY
from apiserver.apis.names import VERSION as VERSION

GROUP = METAL3
MACAddress = Annotated[str, StringConstraints(pattern=r"^[0-9a-fA-F]{2}(:[0-9a-fA-F]{2}){5}$")]
Reported = Annotated[str, StringConstraints(pattern=r"^[ -~]{0,128}$")]
"""A word of one of BMO's enums in what the hardware reports.

Any word is accepted, because a later BMO may have more than are known here."""
BootMode = Annotated[Reported, Field(description="UEFI, UEFISecureBoot or legacy, or what else the host reports.")]
CleaningMode = Literal["metadata", "disabled"]
ChecksumType = Literal["md5", "sha256", "sha512", "auto"]


class Image(Model):
    """The image to write to the disk. All but live ISOs and OCI images need a checksum."""

    url: str = Field(description="Location of the image to deploy.")
    checksum: str | None = Field(default=None, description="Checksum of the image, or a URL that serves it.")
    checksum_type: ChecksumType | None = Field(default=None, description="How the checksum was made; md5 when empty.")
    format: Literal["raw", "qcow2", "vdi", "vmdk", "live-iso", ""] | None = Field(
        default=None, description="The image's format; detected if empty."
    )
    oci_auth_secret_name: str | None = Field(default=None, description="Secret with the registry's credentials for an OCI image.")


class ReportedImage(Model):
    """The image that a host reports."""

    url: str
    checksum: str | None = None
    checksum_type: Reported | None = None
    format: Reported | None = None
    oci_auth_secret_name: str | None = None


class CustomDeploy(Model):
    """A custom deploy procedure instead of an image."""

    method: str = Field(min_length=1, description="Name of the deploy method known to the hardware's deploy agent.")


class BMCDetails(Model):
    """The address and credentials of the management controller. Always empty in a tenant's view."""

    address: str
    credentials_name: str
    disable_certificate_verification: bool | None = None


class RootDeviceHints(Model):
    """The disk to install on. All given hints must match."""

    device_name: str | None = None
    hctl: str | None = None
    model: str | None = None
    vendor: str | None = None
    serial_number: str | None = None
    min_size_gigabytes: int | None = Field(default=None, ge=0)
    wwn: str | None = None
    wwn_with_extension: str | None = None
    wwn_vendor_extension: str | None = None
    rotational: bool | None = None


class FirmwareConfig(Model):
    """Vendor-independent BIOS settings."""

    virtualization_enabled: bool | None = None
    simultaneous_multithreading_enabled: bool | None = None
    sriov_enabled: bool | None = None


class HardwareRAIDVolume(Model):
    """One volume of a RAID controller."""

    controller: str | None = None
    level: Reported = Field(description="0, 1, 2, 5, 6, 1+0, 5+0 or 6+0.")
    name: str | None = Field(default=None, max_length=64)
    number_of_physical_disks: int | None = Field(default=None, ge=1)
    physical_disks: list[str] | None = None
    rotational: bool | None = None
    size_gibibytes: int | None = Field(default=None, ge=0)


class SoftwareRAIDVolume(Model):
    """One volume of a software RAID."""

    level: Reported = Field(description="0, 1 or 1+0.")
    physical_disks: list[RootDeviceHints] | None = None
    root_volume: bool | None = None
    size_gibibytes: int | None = Field(default=None, ge=0)


class RAIDConfig(Model):
    """The RAID volumes to create while the host is prepared."""

    hardware_raid_volumes: list[HardwareRAIDVolume] | None = Field(default=None, alias="hardwareRAIDVolumes")
    software_raid_volumes: list[SoftwareRAIDVolume] | None = Field(default=None, alias="softwareRAIDVolumes")


class Taint(Model):
    """A taint for the node that the host becomes."""

    key: str
    effect: str
    value: str | None = None
    time_added: Timestamp | None = None


class HostNetworkAttachment(Model):
    """The name of the attachment for a port."""

    name: str | None = Field(default=None, max_length=253)
    namespace: str | None = Field(default=None, max_length=63)


class SwitchPort(Model):
    """The switch port to which a NIC is connected."""

    port_id: str = Field(alias="portID")
    switch_id: MACAddress = Field(alias="switchID")


class NetworkInterface(Model):
    """The desired configuration of one NIC."""

    name: str | None = None
    mac_address: MACAddress | None = None
    host_network_attachment: HostNetworkAttachment | None = None
    switch_port: SwitchPort | None = None


class BareMetalHostSpec(Model):
    """The desired state of one host."""

    architecture: str | None = None
    automated_cleaning_mode: Reported | None = Field(
        default=None, description="Whether disks are wiped between uses: metadata or disabled, or what else the host has."
    )
    bmc: BMCDetails | None = Field(default=None, description="How to reach the BMC; empty strings in a tenant's view.")
    boot_mac_address: MACAddress | None = Field(default=None, alias="bootMACAddress")
    boot_mode: BootMode | None = None
    consumer_ref: ObjectReference | None = Field(
        default=None, description="Who uses the host. Setting it claims the host, clearing it releases it."
    )
    custom_deploy: CustomDeploy | None = None
    description: str | None = None
    disable_power_off: bool | None = None
    externally_provisioned: bool | None = None
    firmware: FirmwareConfig | None = None
    hardware_profile: str | None = None
    image: Image | None = None
    inspection_mode: Reported | None = None
    meta_data: SecretReference | None = None
    network_data: SecretReference | None = None
    network_interfaces: list[NetworkInterface] | None = None
    online: bool = Field(default=False, description="Whether the host should be powered on.")
    preprovisioning_network_data_name: str | None = None
    raid: RAIDConfig | None = None
    root_device_hints: RootDeviceHints | None = None
    taints: list[Taint] | None = None
    user_data: SecretReference | None = None


class CredentialsStatus(Model):
    """The BMC credentials that were tried last. Never in a tenant's view."""

    credentials: SecretReference | None = None
    credentials_version: str | None = None


class CPU(Model):
    """The processors that inspection found."""

    arch: str | None = None
    model: str | None = None
    clock_megahertz: float | None = None
    flags: list[str] | None = None
    count: int | None = None


class BIOS(Model):
    """The BIOS that inspection found."""

    date: str | None = None
    vendor: str | None = None
    version: str | None = None


class Firmware(Model):
    """The firmware that inspection found."""

    bios: BIOS | None = None


class VLAN(Model):
    """A VLAN seen on a NIC."""

    id: int | None = Field(default=None, ge=0)
    name: str | None = None


class LLDP(Model):
    """The switch to which a NIC is connected, by its own report. Never in a tenant's view."""

    port_id: str | None = Field(default=None, alias="portID")
    switch_id: str | None = Field(default=None, alias="switchID")
    switch_system_name: str | None = None


class NIC(Model):
    """A network interface that inspection found."""

    name: str | None = None
    model: str | None = None
    mac: MACAddress | None = None
    ip: str | None = None
    speed_gbps: int | None = None
    vlans: list[VLAN] | None = None
    vlan_id: int | None = Field(default=None, ge=0)
    pxe: bool | None = None
    pci_address: str | None = None
    lldp: LLDP | None = None


class Storage(Model):
    """A disk that inspection found."""

    name: str | None = None
    alternate_names: list[str] | None = None
    rotational: bool | None = None
    type: Reported | None = None
    size_bytes: int | None = None
    vendor: str | None = None
    model: str | None = None
    serial_number: str | None = None
    wwn: str | None = None
    wwn_vendor_extension: str | None = None
    wwn_with_extension: str | None = None
    hctl: str | None = None


class SystemVendor(Model):
    """The manufacturer and model of the machine."""

    manufacturer: str | None = None
    product_name: str | None = None
    serial_number: str | None = None


class HardwareDetails(Model):
    """The hardware that inspection found."""

    system_vendor: SystemVendor | None = None
    firmware: Firmware | None = None
    ram_mebibytes: int | None = None
    nics: list[NIC] | None = None
    storage: list[Storage] | None = None
    cpu: CPU | None = None
    hostname: str | None = None


class OperationMetric(Model):
    """The start and end of an operation."""

    start: Timestamp | None = None
    end: Timestamp | None = None


class OperationHistory(Model):
    """The latest start and end of each operation."""

    register_: OperationMetric | None = Field(default=None, alias="register")
    inspect: OperationMetric | None = None
    provision: OperationMetric | None = None
    deprovision: OperationMetric | None = None


class ProvisionStatus(Model):
    """The provisioning state of the host."""

    state: str
    id: str = Field(default="", alias="ID")
    image: ReportedImage | None = None
    custom_deploy: CustomDeploy | None = None
    boot_mode: BootMode | None = None
    root_device_hints: RootDeviceHints | None = None
    raid: RAIDConfig | None = None
    firmware: FirmwareConfig | None = None


ErrorType = Literal[
    "provisioned registration error",
    "registration error",
    "inspection error",
    "preparation error",
    "provisioning error",
    "power management error",
    "servicing error",
]
"""The types that are known today. A host may report others."""


class BareMetalHostStatus(Model):
    """The observed state of one host."""

    operational_status: Reported = ""
    error_type: Reported | None = None
    error_message: str = ""
    error_count: int = 0
    last_updated: Timestamp | None = None
    hardware_profile: str | None = None
    hardware: HardwareDetails | None = None
    provisioning: ProvisionStatus
    provisioning_fail_count: int | None = None
    good_credentials: CredentialsStatus | None = None
    tried_credentials: CredentialsStatus | None = None
    last_attempted_image: ReportedImage | None = None
    powered_on: bool = False
    operation_history: OperationHistory | None = None
    conditions: Conditions | None = None


class BareMetalHost(Model):
    """A physical server and its desired state, or a tenant's view of one."""

    api_version: str | None = None
    kind: str | None = None
    metadata: ObjectMeta = Field(default_factory=ObjectMeta)
    spec: BareMetalHostSpec = Field(default_factory=BareMetalHostSpec)
    status: BareMetalHostStatus | None = None

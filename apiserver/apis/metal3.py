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
MAC_ADDRESS = r"^[0-9a-fA-F]{2}(:[0-9a-fA-F]{2}){5}$"
MACAddress = Annotated[str, StringConstraints(pattern=MAC_ADDRESS)]
WORD = r"^[ -~]{0,128}$"
Reported = Annotated[str, StringConstraints(pattern=WORD)]
"""A value of one of BMO's enums, as the hardware reports it.

Any word is accepted, because a later BMO may have values that are unknown here."""
BootMode = Annotated[Reported, Field(description="UEFI, UEFISecureBoot or legacy, or what else the host reports.")]
CleaningMode = Literal["metadata", "disabled"]
ChecksumType = Literal["md5", "sha256", "sha512", "auto"]

EMPTYING_STATES = ("deprovisioning", "deleting", "powering off before delete")
"""The provisioning states in which the installation of a host is removed."""
IMAGE_FIELDS = ("url", "checksum", "checksumType", "format")
PROVISIONING_FIELDS = ("state", "bootMode", "rootDeviceHints", "raid", "firmware")
"""The fields of status.provisioning that do not depend on the host's user."""


class Image(Model):
    """The image to write to the disk. All but live ISOs and OCI images need a checksum."""

    url: str = Field(description="Location of the image to deploy.")
    checksum: str | None = Field(default=None, description="Checksum of the image, or a URL that serves it.")
    checksum_type: ChecksumType | None = Field(default=None, description="How the checksum was made; md5 when empty.")
    format: Literal["raw", "qcow2", "vdi", "vmdk", "live-iso", ""] | None = Field(
        default=None, description="The image's format; detected if empty."
    )
    oci_auth_secret_name: str | None = Field(
        default=None,
        description="Secret of this namespace with the registry's credentials for an OCI image (oci://), of type "
        "kubernetes.io/dockerconfigjson or kubernetes.io/dockercfg. Only the entry for the image's registry is passed on.",
    )


class ReportedImage(Model):
    """The image that a host reports."""

    url: str = Field(description="Location of the image.")
    checksum: str | None = Field(default=None, description="Checksum of the image, or a URL that serves it.")
    checksum_type: Reported | None = Field(default=None, description="How the checksum was made.")
    format: Reported | None = Field(default=None, description="The image's format.")
    oci_auth_secret_name: str | None = Field(default=None, description="Secret with the registry's credentials for an OCI image.")


class CustomDeploy(Model):
    """A custom deploy procedure instead of an image."""

    method: str = Field(min_length=1, description="Name of the deploy method known to the hardware's deploy agent.")


class BMCDetails(Model):
    """The address and credentials of the management controller. Always empty in a tenant's view."""

    address: str = Field(description="The BMC's address.")
    credentials_name: str = Field(description="The secret with the BMC's user name and password.")
    disable_certificate_verification: bool | None = Field(default=None, description="Whether the BMC's certificate is not verified.")


class RootDeviceHints(Model):
    """The disk to install on. All given hints must match."""

    device_name: str | None = Field(default=None, description="A Linux device name, such as /dev/vda, or a link in /dev/disk/by-path.")
    hctl: str | None = Field(default=None, description="The SCSI address, such as 0:0:0:0.")
    model: str | None = Field(default=None, description="A part of the model's name.")
    vendor: str | None = Field(default=None, description="A part of the vendor's name.")
    serial_number: str | None = Field(default=None, description="The serial number.")
    min_size_gigabytes: int | None = Field(default=None, ge=0, description="At least this many gigabytes.")
    wwn: str | None = Field(default=None, description="The World Wide Name.")
    wwn_with_extension: str | None = Field(default=None, description="The World Wide Name with the vendor's extension.")
    wwn_vendor_extension: str | None = Field(default=None, description="The vendor's extension of the World Wide Name.")
    rotational: bool | None = Field(default=None, description="Whether the disk rotates.")


class FirmwareConfig(Model):
    """Vendor-independent BIOS settings."""

    virtualization_enabled: bool | None = Field(default=None, description="Whether the CPUs' virtualization is on.")
    simultaneous_multithreading_enabled: bool | None = Field(default=None, description="Whether simultaneous multithreading is on.")
    sriov_enabled: bool | None = Field(default=None, description="Whether SR-IOV is on.")


class HardwareRAIDVolume(Model):
    """One volume of a RAID controller."""

    controller: str | None = Field(default=None, description="The name of the RAID controller.")
    level: Reported = Field(description="0, 1, 2, 5, 6, 1+0, 5+0 or 6+0.")
    name: str | None = Field(default=None, max_length=64, description="The volume's name.")
    number_of_physical_disks: int | None = Field(default=None, ge=1, description="How many disks the volume has.")
    physical_disks: list[str] | None = Field(default=None, description="The names of the disks.")
    rotational: bool | None = Field(default=None, description="Whether to take only disks that rotate, or only those that do not.")
    size_gibibytes: int | None = Field(default=None, ge=0, description="The size in GiB; as large as possible when empty.")


class SoftwareRAIDVolume(Model):
    """One volume of a software RAID."""

    level: Reported = Field(description="0, 1 or 1+0.")
    physical_disks: list[RootDeviceHints] | None = Field(default=None, description="Hints for the disks.")
    root_volume: bool | None = Field(default=None, description="Whether the operating system is installed on this volume.")
    size_gibibytes: int | None = Field(default=None, ge=0, description="The size in GiB; as large as possible when empty.")


class RAIDConfig(Model):
    """The RAID volumes to create while the host is prepared."""

    hardware_raid_volumes: list[HardwareRAIDVolume] | None = Field(
        default=None, alias="hardwareRAIDVolumes", description="Volumes of RAID controllers."
    )
    software_raid_volumes: list[SoftwareRAIDVolume] | None = Field(
        default=None, alias="softwareRAIDVolumes", description="Volumes of the operating system's own RAID, at most two."
    )


class Taint(Model):
    """A taint for the node that the host becomes."""

    key: str = Field(description="The taint's key.")
    effect: str = Field(description="The taint's effect: NoSchedule, PreferNoSchedule or NoExecute.")
    value: str | None = Field(default=None, description="The taint's value.")
    time_added: Timestamp | None = Field(default=None, description="When the taint was added.")


class HostNetworkAttachment(Model):
    """The name of the attachment for a port."""

    name: str | None = Field(default=None, max_length=253, description="The attachment's name.")
    namespace: str | None = Field(default=None, max_length=63, description="The attachment's namespace.")


class SwitchPort(Model):
    """The switch port to which a NIC is connected."""

    port_id: str = Field(alias="portID", description="The port's identifier on the switch.")
    switch_id: MACAddress = Field(alias="switchID", description="The switch's MAC address.")


class NetworkInterface(Model):
    """The desired configuration of one NIC."""

    name: str | None = Field(default=None, description="The NIC's name in the operating system.")
    mac_address: MACAddress | None = Field(default=None, description="The NIC's MAC address.")
    host_network_attachment: HostNetworkAttachment | None = None
    switch_port: SwitchPort | None = None


class BareMetalHostSpec(Model):
    """The desired state of one host."""

    architecture: str | None = Field(default=None, description="CPU architecture, such as x86_64 or aarch64.")
    automated_cleaning_mode: Reported | None = Field(
        default=None, description="Whether disks are wiped between uses: metadata or disabled, or what else the host has."
    )
    bmc: BMCDetails | None = Field(default=None, description="How to reach the BMC; empty strings in a tenant's view.")
    boot_mac_address: MACAddress | None = Field(
        default=None, alias="bootMACAddress", description="MAC address of the NIC that the host boots from."
    )
    boot_mode: BootMode | None = None
    consumer_ref: ObjectReference | None = Field(
        default=None, description="The object that uses the host. Setting it claims the host, clearing it releases it."
    )
    custom_deploy: CustomDeploy | None = None
    description: str | None = Field(default=None, description="A text for people.")
    disable_power_off: bool | None = Field(default=None, description="Whether the host must never be powered off; it is rebooted instead.")
    externally_provisioned: bool | None = Field(
        default=None, description="Whether something other than the Baremetal Operator installed the host."
    )
    firmware: FirmwareConfig | None = None
    hardware_profile: str | None = Field(default=None, description="The name of a hardware profile; deprecated by the Baremetal Operator.")
    image: Image | None = None
    inspection_mode: Reported | None = Field(default=None, description="How the hardware is inspected: agent, fast or disabled.")
    meta_data: SecretReference | None = Field(default=None, description="Secret with metadata for the config drive (key metaData).")
    network_data: SecretReference | None = Field(
        default=None, description="Secret with network data for the config drive (key networkData)."
    )
    network_interfaces: list[NetworkInterface] | None = Field(default=None, description="The desired configuration of NICs.")
    online: bool = Field(default=False, description="Whether the host should be powered on.")
    preprovisioning_network_data_name: str | None = Field(
        default=None, description="Secret with the network data of the agent that inspects and cleans."
    )
    raid: RAIDConfig | None = None
    root_device_hints: RootDeviceHints | None = None
    taints: list[Taint] | None = Field(default=None, description="Taints for the node that the host becomes.")
    user_data: SecretReference | None = Field(
        default=None, description="Secret with cloud-init or ignition user data (key userData or value)."
    )


class CredentialsStatus(Model):
    """The BMC credentials that were tried last. Never in a tenant's view."""

    credentials: SecretReference | None = None
    credentials_version: str | None = Field(default=None, description="The resourceVersion of the secret that was tried.")


class CPU(Model):
    """The processors that inspection found."""

    arch: str | None = Field(default=None, description="Architecture, such as x86_64.")
    model: str | None = Field(default=None, description="The model's name.")
    clock_megahertz: float | None = Field(default=None, description="Clock rate in MHz.")
    flags: list[str] | None = Field(default=None, description="Features, such as avx2.")
    count: int | None = Field(default=None, description="CPUs (hardware threads).")


class BIOS(Model):
    """The BIOS that inspection found."""

    date: str | None = Field(default=None, description="Date of the release.")
    vendor: str | None = Field(default=None, description="The vendor's name.")
    version: str | None = Field(default=None, description="The version.")


class Firmware(Model):
    """The firmware that inspection found."""

    bios: BIOS | None = None


class VLAN(Model):
    """A VLAN seen on a NIC."""

    id: int | None = Field(default=None, ge=0, description="The VLAN's number.")
    name: str | None = Field(default=None, description="The VLAN's name.")


class LLDP(Model):
    """The switch to which a NIC is connected, by its own report. Never in a tenant's view."""

    port_id: str | None = Field(default=None, alias="portID", description="The switch's port.")
    switch_id: str | None = Field(default=None, alias="switchID", description="The switch's identifier.")
    switch_system_name: str | None = Field(default=None, description="The switch's name.")


class NIC(Model):
    """A network interface that inspection found."""

    name: str | None = Field(default=None, description="The NIC's name, such as eth0.")
    model: str | None = Field(default=None, description="Vendor and product number.")
    mac: MACAddress | None = Field(default=None, description="MAC address.")
    ip: str | None = Field(default=None, description="IP address at the inspection.")
    speed_gbps: int | None = Field(default=None, description="Speed in Gbit/s.")
    vlans: list[VLAN] | None = Field(default=None, description="VLANs seen at this NIC.")
    vlan_id: int | None = Field(default=None, ge=0, description="The untagged VLAN.")
    pxe: bool | None = Field(default=None, description="Whether the host boots from this NIC.")
    pci_address: str | None = Field(default=None, description="PCI address.")
    lldp: LLDP | None = None


class Storage(Model):
    """A disk that inspection found."""

    name: str | None = Field(default=None, description="The disk's name, such as /dev/disk/by-path/....")
    alternate_names: list[str] | None = Field(default=None, description="Other names of the disk.")
    rotational: bool | None = Field(default=None, description="Whether the disk rotates; deprecated in favor of type.")
    type: Reported | None = Field(default=None, description="HDD, SSD or NVME.")
    size_bytes: int | None = Field(default=None, description="Size in bytes.")
    vendor: str | None = Field(default=None, description="The vendor's name.")
    model: str | None = Field(default=None, description="The model's name.")
    serial_number: str | None = Field(default=None, description="The serial number.")
    wwn: str | None = Field(default=None, description="The World Wide Name.")
    wwn_vendor_extension: str | None = Field(default=None, description="The vendor's extension of the World Wide Name.")
    wwn_with_extension: str | None = Field(default=None, description="The World Wide Name with the vendor's extension.")
    hctl: str | None = Field(default=None, description="The SCSI address.")


class SystemVendor(Model):
    """The manufacturer and model of the machine."""

    manufacturer: str | None = Field(default=None, description="The manufacturer's name.")
    product_name: str | None = Field(default=None, description="The product's name.")
    serial_number: str | None = Field(default=None, description="The machine's serial number.")


class HardwareDetails(Model):
    """The hardware that inspection found."""

    system_vendor: SystemVendor | None = None
    firmware: Firmware | None = None
    ram_mebibytes: int | None = Field(default=None, description="Memory in MiB.")
    nics: list[NIC] | None = Field(default=None, description="Network interfaces.")
    storage: list[Storage] | None = Field(default=None, description="Disks.")
    cpu: CPU | None = None
    hostname: str | None = Field(default=None, description="The host's name at the inspection.")


OWNERS_KINDS = frozenset(
    {
        "baremetalswitches",
        "bmceventsubscriptions",
        "dataimages",
        "firmwareschemas",
        "hostclaims",
        "hostdeploypolicies",
        "hostfirmwarecomponents",
        "hostfirmwaresettings",
        "hostupdatepolicies",
        "preprovisioningimages",
    }
)
"""The other resources of the operator's group. They are the owner's, and not served to tenants."""


class HardwareDataSpec(Model):
    """The hardware of a host."""

    hardware: HardwareDetails | None = Field(default=None, description="The hardware that inspection found.")


class HardwareData(Model):
    """The hardware of the host whose BareMetalHost has the same name and namespace. Read-only."""

    api_version: str | None = Field(default=None, description="Version of the API.")
    kind: str | None = Field(default=None, description="HardwareData.")
    metadata: ObjectMeta = Field(default_factory=ObjectMeta, description="Standard object metadata.")
    spec: HardwareDataSpec = Field(default_factory=HardwareDataSpec, description="What is known of the hardware.")


class OperationMetric(Model):
    """The start and end of an operation."""

    start: Timestamp | None = Field(default=None, description="When the operation began.")
    end: Timestamp | None = Field(default=None, description="When the operation ended; none while it lasts.")


class OperationHistory(Model):
    """The latest start and end of each operation."""

    register_: OperationMetric | None = Field(default=None, alias="register")
    inspect: OperationMetric | None = None
    provision: OperationMetric | None = None
    deprovision: OperationMetric | None = None


class ProvisionStatus(Model):
    """The provisioning state of the host."""

    state: str = Field(description="The Baremetal Operator's state, such as available, provisioning, provisioned or deprovisioning.")
    id: str = Field(default="", alias="ID", description="An opaque identifier of the host.")
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

    operational_status: Reported = Field(default="", description="OK, discovered, error, delayed, detached or servicing.")
    error_type: Reported | None = Field(default=None, description="The sort of error, such as provisioning error; none without an error.")
    error_message: str = Field(default="", description="What is wrong, as a sentence; empty without an error.")
    error_count: int = Field(default=0, description="How often the operation has failed.")
    last_updated: Timestamp | None = Field(default=None, description="When this status last changed.")
    hardware_profile: str | None = Field(
        default=None, description="The hardware profile that was matched; deprecated by the Baremetal Operator."
    )
    hardware: HardwareDetails | None = None
    provisioning: ProvisionStatus
    provisioning_fail_count: int | None = Field(default=None, description="How often the installation of the last image has failed.")
    good_credentials: CredentialsStatus | None = None
    tried_credentials: CredentialsStatus | None = None
    last_attempted_image: ReportedImage | None = None
    powered_on: bool = Field(default=False, description="Whether the host is powered on.")
    operation_history: OperationHistory | None = None
    conditions: Conditions | None = Field(default=None, description="The conditions of the Baremetal Operator.")


class BareMetalHost(Model):
    """A physical server and its desired state, or a tenant's view of one."""

    api_version: str | None = None
    kind: str | None = None
    metadata: ObjectMeta = Field(default_factory=ObjectMeta)
    spec: BareMetalHostSpec = Field(default_factory=BareMetalHostSpec)
    status: BareMetalHostStatus | None = None

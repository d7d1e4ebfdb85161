"""Generate what an inspection finds: realistic hardware in a few sizes, always the same for one
host.

The annotation `simulator.metal3.io/profile` selects the size. Without it, or with an unknown one,
the name decides. LLDP data and serial numbers are included on purpose: they belong to the owner,
and no tenant may ever see the LLDP data.
"""

from __future__ import annotations

import hashlib
import re
from dataclasses import dataclass

from apiserver.apis.metal3 import BIOS, CPU, LLDP, NIC, BareMetalHost, Firmware, HardwareDetails, Storage, SystemVendor

ANNOTATION = "simulator.metal3.io/profile"
GIB, TB = 1024, 1000**4


@dataclass(frozen=True, slots=True)
class Profile:
    """One kind of server. Disks are (count, bytes, type)."""

    manufacturer: str
    product: str
    cpu_model: str
    clock: float
    cpus: int
    ram_mebibytes: int
    nics: int
    speed_gbps: int
    disks: tuple[tuple[int, int, str], ...]
    extra_flags: tuple[str, ...] = ()


PROFILES = {
    "small": Profile(
        "Supermicro", "SYS-510T-M", "Intel(R) Xeon(R) E-2378 CPU @ 2.60GHz", 2600.0, 16, 32 * GIB, 2, 1, ((1, 960 * 1000**3, "SSD"),)
    ),
    "medium": Profile(
        "Dell Inc.",
        "PowerEdge R650",
        "Intel(R) Xeon(R) Gold 6338 CPU @ 2.00GHz",
        2000.0,
        64,
        256 * GIB,
        2,
        25,
        ((2, 960 * 1000**3, "SSD"),),
    ),
    "large": Profile(
        "HPE",
        "ProLiant DL380 Gen11",
        "Intel(R) Xeon(R) Platinum 8468 CPU @ 2.10GHz",
        2100.0,
        192,
        1024 * GIB,
        4,
        25,
        ((2, 960 * 1000**3, "SSD"), (4, 4 * TB, "NVME")),
        ("amx_tile", "amx_int8"),
    ),
    "gpu": Profile(
        "Dell Inc.",
        "PowerEdge XE9680",
        "Intel(R) Xeon(R) Platinum 8480+ CPU @ 2.00GHz",
        2000.0,
        224,
        2048 * GIB,
        4,
        100,
        ((2, 960 * 1000**3, "SSD"), (8, 8 * TB, "NVME")),
        ("amx_tile", "amx_int8"),
    ),
}
FLAGS = ("aes", "avx", "avx2", "ept", "fma", "lm", "nx", "pae", "pdpe1gb", "sse4_2", "vmx")


def profile_of(host: BareMetalHost) -> str:
    """Return the name of the host's profile."""
    wanted = (host.metadata.annotations or {}).get(ANNOTATION, "")
    if wanted in PROFILES:
        return wanted
    return sorted(PROFILES)[_digest(host, "profile")[0] % len(PROFILES)]


def mac(seed: str) -> str:
    """Return a locally administered MAC address that is derived from the seed."""
    digest = hashlib.sha256(seed.encode()).digest()
    return ":".join(f"{byte:02x}" for byte in (0x52, 0x54, *digest[:4]))


def inspect(host: BareMetalHost) -> HardwareDetails:
    """Return what an inspection of this host finds."""
    profile = PROFILES[profile_of(host)]
    serial = _digest(host, "serial").hex()[:10].upper()
    return HardwareDetails(
        system_vendor=SystemVendor(manufacturer=profile.manufacturer, product_name=profile.product, serial_number=serial),
        firmware=Firmware(bios=BIOS(date="03/18/2025", vendor=profile.manufacturer, version="2.14.1")),
        ram_mebibytes=profile.ram_mebibytes,
        nics=[_nic(host, profile, number) for number in range(profile.nics)],
        storage=_disks(host, profile),
        cpu=CPU(
            arch=host.spec.architecture or "x86_64",
            model=profile.cpu_model,
            clock_megahertz=profile.clock,
            flags=sorted({*FLAGS, *profile.extra_flags}),
            count=profile.cpus,
        ),
        hostname=re.sub(r"[^a-z0-9.-]", "-", (host.metadata.name or "").lower()),
    )


def _nic(host: BareMetalHost, profile: Profile, number: int) -> NIC:
    boot = number == 0
    address = _digest(host, "ip")
    return NIC(
        name=f"eno{number + 1}",
        model="0x8086 0x1592" if profile.speed_gbps >= 25 else "0x8086 0x1533",
        mac=(host.spec.boot_mac_address if boot else None) or mac(f"{_identity(host)}/{number}"),
        ip=f"10.{address[0]}.{address[1]}.{address[2] % 253 + 2}" if boot else None,
        speed_gbps=profile.speed_gbps,
        vlan_id=0,
        pxe=boot,
        pci_address=f"0000:31:00.{number}",
        lldp=LLDP(
            port_id=f"Ethernet{address[3] % 48 + 1}/{number + 1}",
            switch_id=mac(f"switch/{number}"),
            switch_system_name=f"tor-{number % 2 + 1}",
        ),
    )


def _disks(host: BareMetalHost, profile: Profile) -> list[Storage]:
    disks: list[Storage] = []
    for count, size, kind in profile.disks:
        for number in range(count):
            name = f"/dev/nvme{number}n1" if kind == "NVME" else f"/dev/sd{'abcdefgh'[number]}"
            disks.append(_disk(name, size, kind, _digest(host, name).hex()))
    return disks


def _disk(name: str, size: int, kind: str, digest: str) -> Storage:
    return Storage(
        name=name,
        alternate_names=[name, f"/dev/disk/by-id/wwn-0x{digest[:16]}"],
        rotational=False,
        type="NVME" if kind == "NVME" else "SSD",
        size_bytes=size,
        vendor="SAMSUNG",
        model="MZQL2" if kind == "NVME" else "MZ7L3",
        serial_number=digest[:14].upper(),
        wwn=f"0x{digest[:16]}",
    )


def _identity(host: BareMetalHost) -> str:
    return f"{host.metadata.namespace}/{host.metadata.name}"


def _digest(host: BareMetalHost, purpose: str) -> bytes:
    return hashlib.sha256(f"{_identity(host)}/{purpose}".encode()).digest()

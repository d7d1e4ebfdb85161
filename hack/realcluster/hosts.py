"""Generate the owner's hosts: realistic BareMetalHosts with BMC credentials.

Every secret of the owner contains CANARY. Nothing that a tenant can read may contain CANARY in any
form; tests search for it.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from hack.realcluster.client import Object

NAMESPACE = "metal3"
CANARY = "canary-5e3f0wn3r"
RACKS = 4
# Three models of server, so that the best fit is not the first: (name, threads, GiB of memory,
# disks, GB per disk, GPUs).
MODELS = (("small", 16, 32, 1, 960, 0), ("large", 64, 512, 4, 1920, 0), ("gpu", 64, 1024, 2, 3840, 4))


def hosts(count: int) -> Iterator[tuple[Object, Object]]:
    """Yield (BMC secret, BareMetalHost) of host-0 ... host-<count - 1>, always the same for the
    same count."""
    for index in range(count):
        yield bmc_secret(index), host(index)


def bmc_secret(index: int) -> Object:
    """Return the credentials of a host's BMC."""
    data = {"username": f"{CANARY}-admin-{index}", "password": f"{CANARY}-password-{index}"}
    metadata = {"name": _secret_name(index), "namespace": NAMESPACE}
    return {"apiVersion": "v1", "kind": "Secret", "metadata": metadata, "type": "Opaque", "stringData": data}


def host(index: int) -> Object:
    """Return a host as its owner registers it: off and unused.

    It has labels for tenants, and an annotation that only the owner may see."""
    model = _model(index)
    labels = {
        "hardware.metal3.io/model": model[0],
        "infrastructure.cluster.x-k8s.io/failure-domain": f"rack-{index % RACKS}",
        "owner.example.com/cost-centre": f"{CANARY}-{index % RACKS}",
    }
    if model[5]:
        labels["nvidia.com/gpu"] = str(model[5])
    metadata = {
        "name": f"host-{index}",
        "namespace": NAMESPACE,
        "labels": labels,
        "annotations": {
            "owner.example.com/location": f"{CANARY} aisle {index // 40} unit {index % 40}",
            # The simulated operator's inspection finds a server of this size.
            "simulator.metal3.io/profile": model[0],
        },
    }
    bmc = {
        "address": f"redfish-virtualmedia://bmc-{index}.{CANARY}.example.com/redfish/v1/Systems/1",
        "credentialsName": _secret_name(index),
    }
    spec = {"online": False, "bootMACAddress": _mac(index, 0), "bootMode": "UEFI", "automatedCleaningMode": "metadata", "bmc": bmc}
    return {"apiVersion": "metal3.io/v1alpha1", "kind": "BareMetalHost", "metadata": metadata, "spec": spec}


def inspected_status(index: int) -> Object:
    """Return the status of an inspected and available host, for clusters without a Baremetal
    Operator."""
    return {
        "operationalStatus": "OK",
        "errorMessage": "",
        "errorCount": 0,
        "poweredOn": False,
        "provisioning": {"state": "available", "ID": f"{CANARY}-node-{index}", "bootMode": "UEFI"},
        "goodCredentials": {"credentials": {"name": _secret_name(index), "namespace": NAMESPACE}, "credentialsVersion": "1"},
        "hardware": hardware(index),
    }


def hardware(index: int) -> Object:
    """Return what inspection finds in a host."""
    name, threads, memory, disks, gigabytes, _ = _model(index)
    nics = [{"name": f"eno{port + 1}", "model": "0x8086 0x1572", "mac": _mac(index, port), "speedGbps": 25} for port in range(2)]
    nics[0] |= {"ip": f"172.22.{index // 200}.{index % 200 + 20}", "pxe": True}
    nics[0]["lldp"] = {"switchSystemName": f"{CANARY}-switch", "portID": f"Ethernet{index}", "switchID": "00:1c:73:00:00:01"}
    return {
        "hostname": f"host-{index}",
        "systemVendor": {"manufacturer": "Example", "productName": f"Server {name}", "serialNumber": f"SN{index:06}"},
        "cpu": {"arch": "x86_64", "count": threads, "model": "Example 9000", "clockMegahertz": 2600},
        "ramMebibytes": memory * 1024,
        "nics": nics,
        "storage": [_disk(index, disk, gigabytes) for disk in range(disks)],
    }


def _disk(index: int, disk: int, gigabytes: int) -> dict[str, Any]:
    name = f"/dev/nvme{disk}n1"
    return {"name": name, "type": "NVME", "rotational": False, "sizeBytes": gigabytes * 10**9, "serialNumber": f"D{index:05}{disk}"}


def _model(index: int) -> tuple[str, int, int, int, int, int]:
    return MODELS[index % len(MODELS)]


def _mac(index: int, port: int) -> str:
    return f"52:54:{index >> 8 & 0xFF:02x}:{index & 0xFF:02x}:00:{port:02x}"


def _secret_name(index: int) -> str:
    # The name is confidential too: it names the object with the credentials.
    return f"host-{index}-bmc-{CANARY}"

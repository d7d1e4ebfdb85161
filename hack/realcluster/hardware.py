"""Fill the hardware cluster: BMO's kind, the owner's hosts, the class's identity, and the simulated
Baremetal Operator."""

from __future__ import annotations

from functools import partial
from pathlib import Path

from hack.realcluster import hosts, manifests, pki
from hack.realcluster.client import Client, wait_for
from hack.realcluster.controlplane import CLIENT_STAGE, Cluster, service_account_kubeconfig
from hack.realcluster.processes import Process, Processes
from hack.realcluster.settings import Folder, Settings

CRDS = "/apis/apiextensions.k8s.io/v1/customresourcedefinitions"
BARE_METAL_HOSTS = f"/apis/metal3.io/v1alpha1/namespaces/{hosts.NAMESPACE}/baremetalhosts"


async def prepare(client: Client, kubectl: Path, settings: Settings) -> None:
    """Create the namespace, the kind, the roles and the hosts. Hosts that no operator drives get a
    status."""
    namespace = {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": hosts.NAMESPACE}}
    await client.apply_all(manifests.with_paths([namespace]))
    await install_kinds(client)
    roles = [*await manifests.kustomize(kubectl, manifests.ROOT / "manifests" / "hardware")]
    roles += manifests.load(manifests.DATA / "simulated-bmo.yaml")
    pairs = list(hosts.hosts(settings.hosts))
    await client.apply_all(manifests.with_paths([*roles, *(secret for secret, _ in pairs)]))
    await client.apply_all(manifests.with_paths(host for _, host in pairs))
    if settings.inspected or settings.bmo == "none":
        await client.apply_all(
            (f"{manifests.path_of(host)}/status", host | {"status": hosts.inspected_status(i)}) for i, (_, host) in enumerate(pairs)
        )


async def install_kinds(client: Client) -> None:
    """Create BMO's own kinds, and wait until they are served."""
    kinds = [kind for file in ("baremetalhosts", "hardwaredata") for kind in manifests.load(manifests.DATA / f"{file}.yaml")]
    await client.apply_all(manifests.with_paths(kinds))
    for kind in kinds:
        path = f"{CRDS}/{kind['metadata']['name']}"
        await wait_for(f"the kind {kind['metadata']['name']}", partial(_established, client, path), seconds=30)


async def _established(client: Client, path: str) -> str | None:
    # null at first
    conditions = (await client.get(path)).get("status", {}).get("conditions") or []
    return None if any(c["type"] == "Established" and c["status"] == "True" for c in conditions) else "not established yet"


async def credentials(cluster: Cluster, client: Client) -> bytes:
    """Return the kubeconfig with which the class `metal` reaches the hardware.

    It has the minimal permissions that manifests/hardware grants."""
    return await service_account_kubeconfig(cluster, client, hosts.NAMESPACE, "metal3-workloads")


async def start_simulated_bmo(
    program: Path, cluster: Cluster, client: Client, settings: Settings, folder: Folder, processes: Processes
) -> Process:
    """Start the simulated Baremetal Operator under its own service account."""
    config = folder.pki / "simulated-bmo.kubeconfig"
    pki.write_private(config, await service_account_kubeconfig(cluster, client, hosts.NAMESPACE, "simulated-bmo"))
    argv: list[str | Path] = [
        program,
        "simulate-bmo",
        "--kubeconfig",
        config,
        "--namespace",
        hosts.NAMESPACE,
        "--speed",
        f"{settings.bmo_speed:g}",
    ]
    return processes.start("simulated-bmo", argv, stage=CLIENT_STAGE)


async def wait_for_hosts(client: Client, count: int, *processes: Process) -> None:
    """Wait until every host is inspected and available."""

    async def available() -> str | None:
        items = (await client.get(BARE_METAL_HOSTS))["items"]
        states = [item.get("status", {}).get("provisioning", {}).get("state", "") for item in items]
        return None if states.count("available") >= count else f"{states.count('available')} of {count} available"

    await wait_for("hosts becoming available", available, seconds=60 + count / 4, processes=processes, poll=0.2)

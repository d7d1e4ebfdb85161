"""Provide machines that do not exist: any number of hosts, provisioned at once, and changed at a
given rate.

The controllers' own process loads it through its entry point (see `install`). Each change writes
the time of CLOCK_MONOTONIC, which all processes of a machine share, into the host's hostname. So a
reader can compute how long the change took to arrive.
"""

from __future__ import annotations

import asyncio
import time
from dataclasses import replace
from typing import TYPE_CHECKING, Any, Self

from pydantic import ConfigDict, Field

from apiserver.apis.base import Model
from controllers.providers.base import (
    Applied,
    ApplyRequest,
    Consumer,
    Outcome,
    Provider,
    ProviderContext,
    ProviderError,
    ProviderHost,
    Released,
    Source,
)

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path

PROVISIONER = "bench.example.com/synthetic"
KINDS = 8
"""The number of kinds of hardware, as in a fleet that was bought over years."""


class Parameters(Model):
    """The number of hosts, and the rate at which hosts in use change."""

    model_config = ConfigDict(extra="forbid")
    hosts: int = 10
    changes_per_second: int = Field(default=0, ge=0)


_machines: dict[str, dict[str, ProviderHost]] = {}
"""The hosts by class. They outlive the provider, which is created again when its parameters
change."""


class SyntheticProvider(Provider):
    """Hosts in memory."""

    parameters_model = Parameters

    def __init__(self, context: ProviderContext) -> None:
        assert isinstance(context.parameters, Parameters)
        self._context, self._parameters = context, context.parameters
        self._hosts = _machines.setdefault(context.class_name, {})

    @classmethod
    async def create(cls, context: ProviderContext) -> Self:
        return cls(context)

    async def run(self) -> None:
        for number in range(len(self._hosts), self._parameters.hosts):
            host = machine(self._context.class_name, number)
            self._hosts[host.source.uid] = host
            self._context.on_change(host.source.uid)
        self._context.on_health()
        if self._parameters.changes_per_second:
            await self._change(1 / self._parameters.changes_per_second)
        await asyncio.Event().wait()

    async def _change(self, every: float) -> None:
        """Change one host in use after the other, at a steady rate."""
        due = time.monotonic()
        while True:
            for host in [host for host in self._hosts.values() if host.consumer is not None]:
                due += every
                await asyncio.sleep(max(0.0, due - time.monotonic()))
                current = self._hosts[host.source.uid]
                hardware = {**current.report["status"]["hardware"], "hostname": str(time.monotonic_ns())}
                self._put(replace(current, report={**current.report, "status": {**current.report["status"], "hardware": hardware}}))
            await asyncio.sleep(0)

    def _put(self, host: ProviderHost) -> None:
        self._hosts[host.source.uid] = host
        self._context.on_change(host.source.uid)

    def hosts(self) -> Iterable[ProviderHost]:
        return list(self._hosts.values())

    def host(self, uid: str) -> ProviderHost | None:
        return self._hosts.get(uid)

    def problem(self) -> ProviderError | None:
        return None if self.synced else ProviderError("Connecting", "it is being read")

    @property
    def synced(self) -> bool:
        return len(self._hosts) >= self._parameters.hosts

    async def apply(self, request: ApplyRequest) -> Applied:
        host, spec = self._hosts[request.source.uid], request.workload["spec"]
        metadata = request.workload["metadata"]
        if host.consumer is None:
            consumer = Consumer("Workload", metadata["namespace"], metadata["name"], metadata["uid"])
            status = {
                **host.report["status"],
                "poweredOn": True,
                "provisioning": {"ID": "", "state": "provisioned", "image": spec["image"]},
            }
            host = replace(host, consumer=consumer, available=False, reason="Claimed", report={**host.report, "status": status})
            self._put(host)
        return self._seen(host)

    def applied(self, request: ApplyRequest) -> Applied | None:
        host = self._hosts[request.source.uid]
        return self._seen(host) if host.consumer is not None else None

    def _seen(self, host: ProviderHost) -> Applied:
        yes = Outcome(True, "Bound", "the host is this Workload's")
        return Applied(yes, Outcome(True, "Synchronized", "all settings were passed to the host"), observed=host.report["status"])

    async def release(self, request: ApplyRequest) -> Released:
        host = self._hosts[request.source.uid]
        self._put(machine(self._context.class_name, int(host.source.name.removeprefix("node-"))))
        return Released(True)

    async def close(self) -> None:
        return None


def machine(class_name: str, number: int) -> ProviderHost:
    """Return one free host, about 3 KiB, like an inspected server."""
    name, kind = f"node-{number:05}", number % KINDS
    nics = [
        {"name": f"eth{port}", "mac": f"00:00:{number >> 8:02x}:{number & 255:02x}:00:{port:02x}", "speedGbps": 25} for port in range(4)
    ]
    disks = [{"name": f"/dev/disk/by-path/pci-0000:00:{disk:02}.0", "sizeBytes": 960 * 10**9, "type": "SSD"} for disk in range(2 + kind)]
    hardware: dict[str, Any] = {
        "cpu": {
            "arch": "x86_64",
            "count": 16 << kind // 2,
            "model": "Some CPU at 2.6 GHz",
            "flags": [f"flag-{flag}" for flag in range(40)],
        },
        "ramMebibytes": 65536 << kind // 2,
        "hostname": name,
        "nics": nics,
        "storage": disks,
        "systemVendor": {"manufacturer": "Example", "productName": f"Model {kind}", "serialNumber": f"{number:08}"},
    }
    report = {
        "name": name,
        "labels": {"rack": f"r{number // 40}", "model": f"m{kind}"},
        "spec": {"online": False, "bootMACAddress": nics[0]["mac"]},
        "status": {
            "operationalStatus": "OK",
            "errorMessage": "",
            "errorCount": 0,
            "poweredOn": False,
            "provisioning": {"ID": "", "state": "available"},
            "hardware": hardware,
        },
    }
    return ProviderHost(Source("bench", name, f"{class_name}-{number}"), report, available=True)


def install(folder: Path) -> None:
    """Create a folder that makes the provider look installed when it is on PYTHONPATH."""
    info = folder / "bench_synthetic-1.0.dist-info"
    info.mkdir(parents=True)
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: bench-synthetic\nVersion: 1.0\n")
    (info / "entry_points.txt").write_text(f"[metal3_workloads.providers]\n{PROVISIONER} = {__name__}:{SyntheticProvider.__name__}\n")

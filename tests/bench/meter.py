"""Measure the cost of work on a running cluster: CPU by process, memory, and requests to
`serve`."""

from __future__ import annotations

import asyncio
import time
from collections import Counter
from pathlib import Path
from typing import TYPE_CHECKING

from prometheus_client.parser import text_string_to_metric_families

from tests.bench.cpu import cpu_seconds

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from tests.integration.running import Running

LISTED = 12
"""The number of the most frequent kinds of requests that are printed."""


class Meter:
    """Reads the processes of a cluster and the counters of `serve` before and after work, and
    prints the differences."""

    def __init__(self, running: Running, controllers_pid: int) -> None:
        self.running = running
        description = running.description
        self.processes = {
            "serve": description["apiserver"]["pids"],
            "controllers": [controllers_pid],
            "kube-apiserver": [description["management"]["pid"], *description["etcd"]["pids"]],
        }

    def cpu(self) -> dict[str, float]:
        """Return the seconds used so far, by process."""
        return {name: cpu_seconds(pids) for name, pids in self.processes.items()}

    def requests(self) -> Counter[str]:
        """Return the counts of requests to `serve` so far, except watches."""
        text = self.running.direct("/metrics", identity=self.running.admin_identity()).body.decode()
        found: Counter[str] = Counter()
        families = {family.name: family for family in text_string_to_metric_families(text)}
        for sample in families["apiserver_request"].samples:
            label = sample.labels
            if label["resource"] and label["verb"] != "WATCH":
                what = "/".join(part for part in (label["resource"], label["subresource"]) if part)
                found[f"{label['verb']} {what} {label['code']}"] += int(sample.value)
        return found

    def memory(self) -> str:
        """Return the current and the maximal resident memory of our two processes."""
        parts = []
        for name in ("serve", "controllers"):
            status = Path(f"/proc/{self.processes[name][0]}/status").read_text()
            kib = {line.split(":")[0]: int(line.split()[1]) for line in status.splitlines() if line.startswith(("VmRSS", "VmHWM"))}
            parts.append(f"{name} {kib['VmRSS'] / 2**20:.2f} GiB (most {kib['VmHWM'] / 2**20:.2f})")
        return ", ".join([*parts, f"store {self.stored() / 2**20:.1f} MiB"])

    def stored(self) -> float:
        """Return the bytes that the store takes."""
        text = self.running.direct("/metrics", identity=self.running.admin_identity()).body.decode()
        families = {family.name: family for family in text_string_to_metric_families(text)}
        return float(families["apiserver_storage_size_bytes"].samples[0].value)

    async def timed(self, what: str, work: Callable[[], Awaitable[str]], *, per: int = 0) -> None:
        """Do the work, and print how long it took, and the CPU time of each process."""
        asked = await asyncio.to_thread(self.requests)
        before, began = self.cpu(), time.monotonic()
        said = await work()
        took, used = time.monotonic() - began, {name: seconds - before[name] for name, seconds in self.cpu().items()}
        asked = await asyncio.to_thread(self.requests) - asked
        each = "; CPU each: " + ", ".join(f"{name} {seconds / per * 1000:.2f} ms" for name, seconds in used.items()) if per else ""
        total = ", ".join(f"{name} {seconds:.1f} s" for name, seconds in used.items())
        print(f"{what}: {took:.1f} s{', ' + said if said else ''}; CPU: {total}{each}", flush=True)
        print(f"    requests: {', '.join(f'{name}: {number}' for name, number in asked.most_common(LISTED))}", flush=True)

"""Draw the dashboard's panels as they look after some minutes of `metal3-workloads dev`.

Usage: python -m hack.pictures.dashboard FILE. A real Prometheus (of Debian's package, see
hack/monitoring/promtool) scrapes dev mode, and answers the dashboard's own queries."""

from __future__ import annotations

import asyncio
import base64
import contextlib
import json
import random
import re
import subprocess
import sys
import tempfile
import time
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Any

import matplotlib as mpl
import matplotlib.pyplot as plt
from matplotlib.dates import DateFormatter
from PIL import Image

from apiserver.client.client import Client
from apiserver.client.errors import ApiException
from apiserver.client.objects import Resource
from hack.realcluster import ports

ROOT = Path(__file__).parents[2]
DASHBOARD = ROOT / "manifests/components/monitoring/dashboard.json"
WORKLOADS = Resource("workload.metal3.io", "v1alpha1", "workloads", "Workload")
RESERVATIONS = Resource("workload.metal3.io", "v1alpha1", "reservations", "Reservation")
SETS = Resource("workload.metal3.io", "v1alpha1", "workloadsets", "WorkloadSet")
BARE_METAL_HOSTS = Resource("metal3.io", "v1alpha1", "baremetalhosts", "BareMetalHost")
FAULT = "simulator.metal3.io/fail"
FAILING = 5
HOSTS, SECONDS, STEP, RATE = 40, 240, 2, "20s"
START_SECONDS = 60
LEASE = 60
COLUMNS = 4
JOBS = ("metal3-workloads-apiserver", "metal3-workloads-controllers")


@contextlib.contextmanager
def process(*command: object) -> Iterator[subprocess.Popen[bytes]]:
    """Run a program until the end of the block."""
    started = subprocess.Popen([str(part) for part in command], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        yield started
    finally:
        started.terminate()
        started.wait(20)


def wait_for(check: Any) -> Any:
    """Return the first result that is true."""
    deadline = time.monotonic() + START_SECONDS
    while time.monotonic() < deadline:
        with contextlib.suppress(OSError, ValueError, KeyError):
            if found := check():
                return found
        time.sleep(0.2)
    raise TimeoutError(f"nothing within {START_SECONDS} s: {check}")


def configuration(folder: Path, kubeconfig: dict[str, Any]) -> Path:
    """Write Prometheus' configuration: dev mode exports both programs' metrics on one port."""
    (user,) = kubeconfig["users"]
    for name in ("certificate", "key"):
        (folder / f"{name}.pem").write_bytes(base64.b64decode(user["user"][f"client-{name}-data"]))
    server = next(one["cluster"]["server"] for one in kubeconfig["clusters"] if one["name"] == "management")
    jobs = [
        {
            "job_name": job,
            "scheme": "https",
            "tls_config": {
                "insecure_skip_verify": True,
                "cert_file": str(folder / "certificate.pem"),
                "key_file": str(folder / "key.pem"),
            },
            "static_configs": [{"targets": [server.removeprefix("https://")]}],
        }
        for job in JOBS
    ]
    path = folder / "prometheus.json"
    path.write_text(json.dumps({"global": {"scrape_interval": f"{STEP}s", "scrape_timeout": f"{STEP}s"}, "scrape_configs": jobs}))
    return path


async def live(kubeconfig: dict[str, Any]) -> None:
    """Create and delete Workloads of two tenants for SECONDS. Each has a WorkloadSet and a
    Reservation, too."""
    until, chance = time.monotonic() + SECONDS, random.Random(7)
    async with Client(kubeconfig, context="hardware") as owner:
        for name in chance.sample([f"host-{number}" for number in range(HOSTS)], FAILING):
            await owner.patch(BARE_METAL_HOSTS, name, {"metadata": {"annotations": {FAULT: "provisioning:1"}}}, "metal3")
    async with Client(kubeconfig, context="management") as client:
        for namespace, replicas in (("tenant-a", 3), ("tenant-b", 5)):
            await client.create(SETS, workload_set(replicas, chance), namespace)
            await client.create(RESERVATIONS, reservation(), namespace)
        present: list[tuple[str, str]] = []
        number = 0
        while time.monotonic() < until:
            number += 1
            namespace = chance.choice(("tenant-a", "tenant-b"))
            await client.create(WORKLOADS, workload(number, chance), namespace)
            present.append((namespace, f"w{number}"))
            if len(present) > HOSTS - 4 or chance.random() < 0.35:
                where, name = present.pop(chance.randrange(len(present)))
                with contextlib.suppress(ApiException):
                    await client.delete(WORKLOADS, name, where)
            await asyncio.sleep(chance.expovariate(1.0))


def workload(number: int, chance: random.Random) -> dict[str, Any]:
    """Return a Workload. A few need more than any host has, and some have a lease."""
    spec: dict[str, Any] = {
        "image": {"url": "http://images.example.com/a.qcow2", "checksum": "http://images.example.com/a.qcow2.sha256sum"}
    }
    if chance.random() < 0.06:
        spec["requirements"] = {"cpuCount": 4096}
    if chance.random() < 0.3:
        spec["lease"] = {"durationSeconds": LEASE}
    return {"apiVersion": WORKLOADS.api_version, "kind": "Workload", "metadata": {"name": f"w{number}"}, "spec": spec}


def workload_set(replicas: int, chance: random.Random) -> dict[str, Any]:
    """Return a WorkloadSet."""
    labels = {"matchLabels": {"app": "set"}}
    template = {"metadata": {"labels": labels["matchLabels"]}, "spec": {**workload(0, chance)["spec"], "requirements": {"cpuCount": 1}}}
    spec = {"replicas": replicas, "selector": labels, "template": template, "minAvailable": replicas}
    return {"apiVersion": SETS.api_version, "kind": "WorkloadSet", "metadata": {"name": "set"}, "spec": spec}


def reservation() -> dict[str, Any]:
    """Return a Reservation of half of the hosts. Some of these fail, so each tenant lacks hosts for
    a while."""
    end = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(time.time() + 2 * SECONDS))
    spec = {"className": "metal", "hosts": HOSTS // 2, "endTime": end}
    return {"apiVersion": RESERVATIONS.api_version, "kind": "Reservation", "metadata": {"name": "kept"}, "spec": spec}


def series(url: str, expression: str, start: float, end: float) -> list[dict[str, Any]]:
    """Return the answer to a query over a range of time."""
    expression = expression.replace("$__rate_interval", RATE).replace("$cluster", "")
    query = urllib.parse.urlencode({"query": expression, "start": start, "end": end, "step": STEP})
    with urllib.request.urlopen(f"{url}/api/v1/query_range?{query}", timeout=30) as response:
        found: list[dict[str, Any]] = json.load(response)["data"]["result"]
    return found


def sections() -> list[tuple[str, list[dict[str, Any]]]]:
    """Return the dashboard's rows, with the panels of each."""
    found: list[tuple[str, list[dict[str, Any]]]] = []
    for panel in json.loads(DASHBOARD.read_text())["panels"]:
        if panel["type"] == "row":
            found.append((panel["title"], []))
        else:
            found[-1][1].append(panel)
    return found


def draw(url: str, start: float, end: float, file: Path) -> None:
    """Draw all panels. Those without data say so, as Grafana does."""
    mpl.rcParams.update({"font.size": 7, "axes.titlesize": 8, "axes.spines.top": False, "axes.spines.right": False})
    found = sections()
    heights = [-(-len(panels) // COLUMNS) for _, panels in found]
    figure = plt.figure(figsize=(16, 2.6 * sum(heights)), layout="constrained")
    parts: Any = figure.subfigures(len(found), 1, height_ratios=heights)
    for part, (title, panels), rows in zip(parts, found, heights, strict=True):
        part.suptitle(title, x=0.01, ha="left", fontsize=11, fontweight="bold")
        axes = part.subplots(rows, COLUMNS, squeeze=False)
        for axis in axes.flat[len(panels) :]:
            axis.set_visible(False)
        for axis, panel in zip(axes.flat, panels, strict=False):
            draw_panel(axis, panel, url, start, end)
    figure.savefig(file, dpi=80)
    with Image.open(file) as drawn:
        drawn.convert("RGB").quantize(64).save(file, optimize=True)


def draw_panel(axis: Any, panel: dict[str, Any], url: str, start: float, end: float) -> None:
    """Draw one panel."""
    defaults = panel["fieldConfig"]["defaults"]
    lines = []
    for target in panel["targets"]:
        for one in series(url, target["expr"], start, end):
            label = re.sub(r"\{\{(\w+)\}\}", partial(_value, one["metric"]), target["legendFormat"])
            lines.append((label.strip(), {float(when): float(value) for when, value in one["values"]}))
    unit = {"s": " (s)", "bytes": " (MiB)"}.get(defaults["unit"], "")
    axis.set_title(panel["title"] + unit, loc="left", fontweight="bold")
    times = sorted({when for _, points in lines for when in points})
    scale = 2.0**20 if defaults["unit"] == "bytes" else 1.0
    if not times:
        axis.text(0.5, 0.5, "no data", ha="center", va="center", transform=axis.transAxes, color="gray")
        axis.set_xticks([])
        axis.set_yticks([])
        return
    days = [when / 86400 for when in times]
    if defaults["custom"]["stacking"]["mode"] == "normal":
        axis.stackplot(
            days, [[points.get(when, 0.0) for when in times] for _, points in lines], labels=[label for label, _ in lines], alpha=0.8
        )
    else:
        for label, points in lines:
            axis.plot(days, [points[when] / scale if when in points else float("nan") for when in times], label=label, linewidth=1)
    axis.set_ylim(bottom=0)
    axis.set_xlim(start / 86400, end / 86400)
    axis.xaxis.set_major_formatter(DateFormatter("%H:%M"))  # type: ignore[no-untyped-call] # it has no types
    axis.xaxis.set_major_locator(mpl.ticker.MaxNLocator(4))
    axis.grid(alpha=0.25)
    columns = 1 if len(lines) < 3 else 2 if len(lines) < 5 else 3
    axis.legend(fontsize=6, loc="upper left", bbox_to_anchor=(-0.02, -0.1), frameon=False, ncols=columns)


def _value(labels: dict[str, str], found: re.Match[str]) -> str:
    return labels.get(found[1], "")


def main(file: Path) -> None:
    """Run everything, and write the picture."""
    promtool = Path(subprocess.run([ROOT / "hack/monitoring/promtool"], stdout=subprocess.PIPE, text=True, check=True).stdout.strip())
    port = ports.reserve()
    url = f"http://127.0.0.1:{port}"
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        program = Path(sys.executable).with_name("metal3-workloads")
        with process(program, "dev", "--dir", folder / "dev", "--hosts", HOSTS):
            kubeconfig = wait_for(lambda: json.loads((folder / "dev/owner.kubeconfig").read_text()))
            arguments = (f"--config.file={configuration(folder, kubeconfig)}", f"--storage.tsdb.path={folder}/data")
            with process(promtool.with_name("prometheus"), *arguments, f"--web.listen-address=127.0.0.1:{port}"):
                start = time.time()
                wait_for(lambda: len(series(url, "up == 1", start - 60, time.time())) == len(JOBS))
                asyncio.run(live(kubeconfig))
                draw(url, start, time.time(), file)


if __name__ == "__main__":
    main(Path(sys.argv[1]))

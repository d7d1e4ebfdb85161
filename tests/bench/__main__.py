"""Runs the benchmarks and prints the table. `python -m tests.bench [--objects N] [--out FILE]`.

Starts its own control planes (hack/cluster, the API server alone) and ends them.
"""

from __future__ import annotations

import argparse
import asyncio
import base64
import sys
import tempfile
from contextlib import AsyncExitStack
from pathlib import Path
from typing import TYPE_CHECKING, Any

import yaml

from apiserver.registry.schema import structural_schema
from apiserver.registry.workloads import WORKLOADS
from tests.bench.target import Target, client_context
from tests.bench.work import NAMESPACE, ROWS, Row, fill
from tests.integration.running import Running, start, stop

if TYPE_CHECKING:
    from collections.abc import Sequence

GROUP = "bench.example.com"
WARM_UP = 3


def main() -> None:
    """The command."""
    parser = argparse.ArgumentParser(prog="python -m tests.bench", description=__doc__)
    parser.add_argument("--objects", type=int, default=2000, help="how many objects are listed (default 2000)")
    parser.add_argument("--out", type=Path, help="also write the table to this file, as Markdown")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="bench-") as folder:
        running = start(Path(folder) / "cluster", "--controllers", "off", "--bmo", "none", "--hosts", "0", "--tenants", NAMESPACE)
        try:
            lines = asyncio.run(measure(running, Path(folder), options.objects))
        finally:
            stop(running.root)
    print("\n".join(lines))
    if options.out:
        options.out.write_text("\n".join(lines) + "\n")


def definition() -> dict[str, Any]:
    """The same kind as a CRD of another group."""
    names = {"kind": WORKLOADS.kind, "listKind": f"{WORKLOADS.kind}List", "plural": WORKLOADS.plural, "singular": WORKLOADS.singular}
    columns = [
        {"name": column.name, "type": column.type, "jsonPath": "." + column.path, "priority": column.priority}
        for column in WORKLOADS.columns
        if "(" not in column.path
    ]
    version = {
        "name": WORKLOADS.version,
        "served": True,
        "storage": True,
        "subresources": {"status": {}},
        "schema": {"openAPIV3Schema": structural_schema(WORKLOADS)},
        "additionalPrinterColumns": columns,
    }
    spec = {"group": GROUP, "names": names, "scope": "Namespaced", "versions": [version]}
    metadata = {"name": f"{WORKLOADS.plural}.{GROUP}"}
    return {"apiVersion": "apiextensions.k8s.io/v1", "kind": "CustomResourceDefinition", "metadata": metadata, "spec": spec}


def targets(running: Running, folder: Path) -> tuple[Target, Target, Target]:
    """kube-apiserver with the CRD, this server directly, and this server through kube-apiserver."""
    description = running.description
    management, own = description["management"], description["apiserver"]
    admin = yaml.safe_load(Path(management["kubeconfig"]).read_text())
    cluster, user = admin["clusters"][0]["cluster"], admin["users"][0]["user"]
    files = {}
    for name, text in (
        ("ca", cluster["certificate-authority-data"]),
        ("crt", user["client-certificate-data"]),
        ("key", user["client-key-data"]),
    ):
        path = folder / f"admin.{name}"
        path.write_bytes(base64.b64decode(text))
        path.chmod(0o600)
        files[name] = str(path)
    kube = client_context(files["ca"], files["crt"], files["key"])
    direct = client_context(own["ca"], own["clientCert"], own["clientKey"])
    oracle_pids = [management["pid"], *description["etcd"]["pids"]]
    ours = f"/apis/{WORKLOADS.group}/{WORKLOADS.version}"
    both = [*own["pids"], management["pid"]]
    return (
        Target("kube-apiserver", f"{management['server']}/apis/{GROUP}/{WORKLOADS.version}", GROUP, oracle_pids, kube),
        Target("direct", own["url"] + ours, WORKLOADS.group, own["pids"], direct),
        Target("aggregated", management["server"] + ours, WORKLOADS.group, both, kube),
    )


async def measure(running: Running, folder: Path, objects: int) -> list[str]:
    """The table's lines."""
    running.kubectl("management", "apply", "-f", "-", stdin=definition())
    running.kubectl("management", "wait", "--for=condition=Established", f"crd/{WORKLOADS.plural}.{GROUP}", "--timeout=60s")
    async with AsyncExitStack() as stack:
        oracle, direct, aggregated = [await stack.enter_async_context(target) for target in targets(running, folder)]
        for target in (oracle, direct):
            print(f"making {objects} objects on {target.name}", file=sys.stderr)
            await fill(target, objects)
        lines = [
            f"CPU per request, {objects} objects; the ratio is kube-apiserver's CPU (with etcd's) divided by ours.",
            "",
            "| work | kube-apiserver | direct | ratio (goal) | aggregated | ratio (goal) |",
            "|---|---|---|---|---|---|",
        ]
        for row in ROWS:
            print(f"measuring {row.name}", file=sys.stderr)
            lines.append(await _line(row, (oracle, direct, aggregated), objects))
    return lines


async def _line(row: Row, measured: Sequence[Target], objects: int) -> str:
    figures = []
    for target in measured:
        work = row.work(target, objects)
        count = row.repeat(objects)
        if row.name != "POST":
            await target.cpu_of(min(WARM_UP, count), work)
        offset = {"aggregated": 500_000}.get(target.name, 0)

        async def shifted(number: int, work: Any = work, offset: int = offset) -> None:
            await work(number + offset)

        figures.append(await target.cpu_of(count, shifted if row.name == "POST" else work))
    oracle, direct, aggregated = figures
    ratios = [f"{oracle / max(figure, 1e-6):.1f} (≥ {goal:g})" for figure, goal in zip((direct, aggregated), row.goal, strict=True)]
    shown = [f"{figure * 1000:.2f} ms" for figure in figures]
    return f"| {row.name} | {shown[0]} | {shown[1]} | {ratios[0]} | {shown[2]} | {ratios[1]} |"


if __name__ == "__main__":
    main()

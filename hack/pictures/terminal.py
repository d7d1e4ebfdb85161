"""Draw what the commands about a fleet print on a terminal, for the documentation.

    python -m hack.pictures.terminal            write docs/images/terminal-*.svg

The fleet is made up, and the commands' own functions print it. rich draws the terminal."""

from __future__ import annotations

import re
from io import StringIO
from pathlib import Path
from typing import Any

from rich._export_format import CONSOLE_SVG_FORMAT
from rich.console import Console
from rich.text import Text

from controllers.cli import drain, fleet, history, why
from controllers.cli.tables import Screen
from controllers.drain import progress
from controllers.fleetreport import why as explanation

IMAGES = Path(__file__).parents[2] / "docs" / "images"
WIDTH = 80
SCREEN = Screen(WIDTH, styled=True)
# The reader's own fonts: a picture asks no other server for one.
FORMAT = re.sub(r"@font-face \{\{.*?\}\}\s*", "", CONSOLE_SVG_FORMAT, flags=re.DOTALL).replace("Fira Code", "DejaVu Sans Mono")

Object = dict[str, Any]
FREE: Object = {"available": True}


def host(name: str, claim: str = "", *, cpus: int = 16, class_: str = "metal", cordoned: bool = False, **status: Any) -> Object:
    """Return a Host. `claim` is NAMESPACE/NAME."""
    namespace, _, workload = claim.partition("/")
    spec: Object = {"className": class_, "source": {"name": name, "uid": name}}
    if claim:
        spec["claimRef"] = {"namespace": namespace, "name": workload, "uid": claim}
    if cordoned:
        spec["unschedulable"] = True
    report = {"labels": {}, "spec": {}, "status": {"hardware": {"cpu": {"count": cpus}, "ramMebibytes": 65536}}}
    return {"metadata": {"name": f"5f0c-{name}", "uid": name}, "spec": spec, "status": {"report": report, **status}}


def workload(key: str, reason: str, message: str, *, class_: str = "metal", **spec: Any) -> Object:
    """Return a Workload that waits."""
    namespace, _, name = key.partition("/")
    conditions = [{"type": "Ready", "status": "False", "reason": reason, "message": message}]
    metadata = {"name": name, "namespace": namespace, "uid": key}
    return {"metadata": metadata, "spec": {"className": class_, **spec}, "status": {"phase": "Pending", "conditions": conditions}}


def claim(key: str, bound: str, released: str = "", **more: str) -> Object:
    """Return an entry of a Host's history."""
    namespace, _, name = key.partition("/")
    ended = {"releasedAt": released, "outcome": "Released"} if released else {}
    return {"namespace": namespace, "name": name, "uid": f"{key}{released}", "boundAt": bound, **ended, **more}


FAILED = "image could not be written to disk: checksum does not match; provisioning failed 2 times"
HISTORY = [
    claim("batch/render-1", "2026-03-02T08:00:00Z", "2026-03-20T17:30:00Z", image="https://images.example.com/os/jammy.qcow2"),
    claim("web/shop", "2026-04-01T09:12:00Z", image="https://images.example.com/os/noble.qcow2", lastError=FAILED),
]
HOSTS = [
    host("rack1-a", "web/shop", reason="HostError", errorMessage=FAILED, history=HISTORY),
    host("rack1-b", "web/front"),
    host("rack1-c", "batch/render-2", cordoned=True),
    host("rack2-a", cpus=8, **FREE),
    host("rack2-b", reason="Quarantined", message="its last tenant kept what runs there: look at it"),
    host("gpu-1", "batch/train", class_="gpu"),
]
LOST = {
    "type": "Connected",
    "status": "False",
    "reason": "Unreachable",
    "message": "the hardware cluster does not answer: check the network",
}
CLASSES = [
    {"metadata": {"name": "gpu"}, "status": {"conditions": [LOST]}},
    {"metadata": {"name": "metal"}, "status": {"conditions": [{**LOST, "status": "True"}]}},
]
WAITS = workload("web/cache", "NoHostFits", "0/1 hosts fit: 1 has less than 16 CPUs", requirements={"cpuCount": 16})
WORKLOADS = [
    workload("web/shop", "ProvisioningFailed", "the image could not be installed, and is tried again"),
    WAITS,
    workload("batch/pinned", "HostNotFound", 'no host "rack9-z" is offered in this namespace', hostRef={"name": "rack9-z"}),
]
DRAINED = [
    progress(HOSTS[3], None),
    progress(HOSTS[2], {"metadata": {"namespace": "batch", "name": "render-2", "uid": "batch/render-2"}, "spec": {}}),
]


def pictures() -> dict[str, str]:
    """Return the pictures by their names."""
    printed = {
        "fleet": ("metal3-workloads fleet", fleet.shown(CLASSES, HOSTS, WORKLOADS, on=SCREEN)),
        "why": ("metal3-workloads why cache -n web", why.shown(explanation(WAITS, HOSTS, "web"), SCREEN)),
        "history": ("metal3-workloads history rack1-a", history.shown(HOSTS[:1], SCREEN)),
        "drain": ("metal3-workloads drain rack2-a rack1-c --timeout 60", drain.result(DRAINED, SCREEN)),
    }
    return {f"terminal-{name}.svg": drawn(command, text) for name, (command, text) in printed.items()}


def drawn(command: str, text: str) -> str:
    """Return a terminal with the command and its answer."""
    console = Console(record=True, width=WIDTH + 2, file=StringIO(), force_terminal=True, color_system="standard")
    console.print(Text.from_ansi(f"$ {command}\n{text}"))
    return console.export_svg(title=command, code_format=FORMAT, unique_id="terminal")


def main() -> None:
    """Write the pictures."""
    for name, picture in pictures().items():
        (IMAGES / name).write_text("".join(f"{line.rstrip()}\n" for line in picture.splitlines()))


if __name__ == "__main__":
    main()

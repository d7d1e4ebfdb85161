"""Read the packages that the product runs with from requirements.txt, and list them in CycloneDX
format."""

from __future__ import annotations

import re
from importlib.metadata import version
from pathlib import Path
from typing import Any

from packaging.requirements import Requirement

LINE = re.compile(r"^([a-z0-9].*?)\s*\\$", re.MULTILINE)


def pinned(requirements: Path) -> dict[str, str]:
    """Return the version of each package that is installed on Linux."""
    wanted = [Requirement(line) for line in LINE.findall(requirements.read_text())]
    return {each.name: str(each.specifier).removeprefix("==") for each in wanted if each.marker is None or each.marker.evaluate()}


def bill(pins: dict[str, str]) -> dict[str, Any]:
    """Return the CycloneDX document of the product with these packages."""
    product = {"type": "application", **_component("metal3-workloads", version("metal3-workloads"))}
    parts = [{"type": "library", **_component(name, pin)} for name, pin in sorted(pins.items())]
    return {"bomFormat": "CycloneDX", "specVersion": "1.5", "version": 1, "metadata": {"component": product}, "components": parts}


def _component(name: str, number: str) -> dict[str, Any]:
    purl = f"pkg:pypi/{name}@{number}"
    return {"bom-ref": purl, "name": name, "version": number, "purl": purl}

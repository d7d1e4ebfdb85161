"""Run the tests of all providers on the tutorial's provider, and check that the tutorial shows it
as it is."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest

from apiserver.apis.workloadclass import WorkloadClassSpec
from controllers.providers.base import BadClass, ProviderContext
from controllers.providers.testing import ProviderTests, SourceHarness
from docs.examples.shelf import Parameters, ShelfProvider

DOCS = Path(__file__).parents[3] / "docs"


class Shelf(SourceHarness):
    """Run a shelf in a temporary folder, with a robot that finishes at once."""

    provider = ShelfProvider
    credentials = {}  # noqa: RUF012 - read only, as in every harness

    def __init__(self, folder: Path) -> None:
        self.folder, self.away = folder, folder.with_name("away")
        self.spec: dict[str, Any] = {"provisioner": "example.com/shelf", "parameters": {"folder": str(folder), "pollSeconds": 0.01}}
        folder.mkdir()
        self.add_host("m1")

    def add_host(self, name: str) -> None:
        machine = {"serial": f"serial-{name}", "cpus": 4, "ram": 8192, "note": f"{self.canary}: third shelf"}
        (self.folder / "new").write_text(json.dumps(machine))
        (self.folder / "new").replace(self.folder / f"{name}.machine")

    def remove_host(self, name: str) -> None:
        (self.folder / f"{name}.machine").unlink()

    def take_host(self, name: str) -> None:
        (self.folder / f"{name}.claim").write_text(json.dumps({"uid": "stranger"}))

    def runs(self, name: str) -> str | None:
        claim = self.folder / f"{name}.claim"
        image = json.loads(claim.read_text()).get("image") if claim.exists() else None
        return str(image["url"]) if image else None

    def leftovers(self) -> list[str]:
        return [path.name for path in self.folder.iterdir() if path.suffix != ".machine"]

    def go_away(self) -> None:
        self.folder.rename(self.away)

    def come_back(self) -> None:
        self.away.rename(self.folder)


@pytest.fixture
def source(tmp_path: Path) -> Shelf:
    return Shelf(tmp_path / "shelf")


class TestShelf(ProviderTests):
    """Run the tests of all providers on a shelf."""


async def test_a_folder_that_cannot_be() -> None:
    spec = WorkloadClassSpec(provisioner="x")
    context = ProviderContext("c", spec, Parameters(folder="shelf"), {}, on_change=lambda uid: None, on_health=lambda: None)
    with pytest.raises(BadClass, match="absolute path"):
        await ShelfProvider.create(context)


def test_the_tutorial_shows_all_of_it() -> None:
    """Check that its Python blocks in order, except the one on tests, are the file."""
    blocks = re.findall(r"```python\n# docs/examples/shelf\.py\n(.*?)```", (DOCS / "providers.md").read_text(), re.DOTALL)
    shown = [line for block in blocks for line in block.splitlines() if line.strip()]
    assert shown == [line for line in (DOCS / "examples" / "shelf.py").read_text().splitlines() if line.strip()]

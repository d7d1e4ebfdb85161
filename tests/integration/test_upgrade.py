"""Upgrade, downgrade and upgrade again, over one store, beside real kube-apiservers.

tests/integration/stored/README.md describes the older version. Machines that run notice nothing,
and each version reads and releases what the other one has stored."""

from __future__ import annotations

import subprocess
import sys
import tarfile
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
import yaml

from tests.integration import running
from tests.integration.objects import secret, workload
from tests.integration.running import ADMIN, OWNER, ROOT, Running, eventually

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

STORED = Path(__file__).parent / "stored"
RECORD = "workload.metal3.io/record"
"""The annotation of claimed hosts that the older version does not write."""
UNKNOWN = "--metrics-"
"""The beginning of the flags that the older version does not know. Each has a value."""
VIEW = "baremetalhosts.metal3.io"
KINDS = ("workloads", "workloadclasses", "hosts", VIEW)
MODIFIED_BY_KUBERNETES = ("resourceVersion", "managedFields")
LAUNCHER = """#!{python}
import os, sys
given = sys.argv[1:]
if os.path.exists({older!r}):
    unknown = {{at + step for at, flag in enumerate(given) if flag.startswith({unknown!r}) for step in (0, 1)}}
    given = [flag for at, flag in enumerate(given) if at not in unknown]
    sys.path.insert(0, {older!r})
sys.argv[1:] = given
from apiserver.cli.main import main
sys.exit(main())
"""


class Fleet:
    """A cluster whose version of the programs can be changed."""

    def __init__(self, cluster: Running, older: Path) -> None:
        self.cluster, self._older = cluster, older
        self._aside = older.with_name("aside")

    def run_newer(self) -> None:
        """Replace the programs and roles by those of this version."""
        self._older.rename(self._aside)
        self._replace(ROOT)

    def run_older(self) -> None:
        """Replace the programs and roles by those of the older version."""
        self._aside.rename(self._older)
        self._replace(self._older)

    def _replace(self, version: Path) -> None:
        self.cluster.kubectl(ADMIN, "apply", "-f", "-", stdin=roles(self.cluster, version))
        for name in ("controllers", "apiserver"):
            running.restart(self.cluster, name)
        eventually(lambda: self.cluster.try_kubectl("a", "get", "workloads").returncode == 0)

    def create(self, name: str) -> None:
        """Create a Workload, and wait until it runs."""
        self.cluster.kubectl("a", "apply", "-f", "-", stdin=workload(name, userData={"name": "boot"}))
        self.cluster.kubectl("a", "wait", f"workload/{name}", "--for=condition=Ready", "--timeout=120s")

    def delete(self, *names: str) -> None:
        """Delete Workloads, and wait until their hosts are available again."""
        hosts = [self.workload(name)["status"]["host"]["name"] for name in names]
        self.cluster.kubectl("a", "delete", "workload", *names, "--timeout=120s")
        for name in hosts:
            eventually(partial(self._is_released, name))

    def _is_released(self, host: str) -> bool:
        found = self.host(host)
        return "consumerRef" not in found["spec"] and state(found) == "available"

    def is_ready(self, name: str) -> bool:
        """Return whether a Workload's condition Ready is true."""
        return conditions(self.workload(name))["Ready"][0] == "True"

    def workload(self, name: str) -> dict[str, Any]:
        """Return a Workload, as its tenant sees it."""
        return self.cluster.get("a", "workload", name)

    def host(self, name: str) -> dict[str, Any]:
        """Return a real host."""
        return self.cluster.get(OWNER, "baremetalhost", "-n", "metal3", name)

    def host_of(self, name: str) -> dict[str, Any]:
        """Return the real host of a Workload."""
        return self.host(self.workload(name)["status"]["host"]["name"])

    def read_and_write(self, mark: str, kinds: Sequence[str] = KINDS) -> None:
        """Label every stored object, which the server validates as a whole. A free host in the view
        accepts nothing but a claim."""
        for kind in kinds:
            scope = () if kind in ("workloadclasses", "hosts") else ("-n", "a")
            found = self.cluster.items(ADMIN, kind, *scope)
            names = [item["metadata"]["name"] for item in found if kind != VIEW or "consumerRef" in item["spec"]]
            assert names
            self.cluster.kubectl(ADMIN, "label", kind, *names, *scope, f"{mark}=yes")


@pytest.fixture(scope="module")
def fleet(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Fleet]:
    """Start the older version, with a Workload that runs and one that waits."""
    folder = tmp_path_factory.mktemp("upgrade")
    older, launcher = folder / "older", folder / "metal3-workloads"
    (archive,) = STORED.glob("*.tar.xz")
    with tarfile.open(archive) as opened:
        opened.extractall(older, filter="data")
    launcher.write_text(LAUNCHER.format(python=sys.executable, older=str(older), unknown=UNKNOWN))
    launcher.chmod(0o755)
    root = folder / "cluster"
    try:
        options = ("--program", str(launcher), "--overlay", str(older / "manifests/base"))
        cluster = running.start(root, *options, "--hosts", "3", "--tenants", "a", "--fsync", "off")
        fleet = Fleet(cluster, older)
        cluster.kubectl("a", "apply", "-f", "-", stdin=secret("boot", value="#!/bin/sh\n"))
        fleet.create("web")
        cluster.kubectl("a", "apply", "-f", "-", stdin=workload("waits", requirements={"cpuCount": 500}))
        yield fleet
    finally:
        running.stop(root)


def roles(cluster: Running, version: Path) -> list[dict[str, Any]]:
    """Return the objects of a version's file, without the programs, which do not run as pods
    here."""
    command = [str(cluster.tools / "kubectl"), "kustomize", str(version / "manifests/base")]
    made = yaml.safe_load_all(subprocess.run(command, stdout=subprocess.PIPE, check=True).stdout)
    return [obj for obj in made if obj["kind"] not in ("Deployment", "Service", "APIService")]


def state(host: dict[str, Any]) -> str:
    return str(host["status"]["provisioning"]["state"])


def without_record(host: dict[str, Any]) -> dict[str, Any]:
    """Return the parts of a host that a controller can change, without the annotation that an
    upgrade adds."""
    metadata = {key: value for key, value in host["metadata"].items() if key not in MODIFIED_BY_KUBERNETES}
    metadata["annotations"] = {key: value for key, value in metadata.get("annotations", {}).items() if key != RECORD}
    return {"metadata": metadata, "spec": host["spec"], "state": state(host)}


def conditions(obj: dict[str, Any]) -> dict[str, tuple[str, str]]:
    """Return the state of each condition, and since when it has been so."""
    return {one["type"]: (one["status"], one["lastTransitionTime"]) for one in obj["status"]["conditions"]}


def test_an_upgrade_and_a_downgrade_change_no_machine(fleet: Fleet) -> None:
    host, before = fleet.host_of("web"), fleet.workload("web")
    assert RECORD not in host["metadata"].get("annotations", {}), "the older version runs"

    fleet.run_newer()
    eventually(lambda: RECORD in fleet.host_of("web")["metadata"]["annotations"])
    assert without_record(fleet.host_of("web")) == without_record(host)
    upgraded = fleet.workload("web")
    assert upgraded["spec"] == before["spec"]
    assert upgraded["status"]["phase"] == "Running"
    assert conditions(upgraded)["Ready"] == conditions(before)["Ready"], "it was ready all the time"
    fleet.read_and_write("upgraded")
    fleet.create("newer")
    newer = fleet.host_of("newer")

    fleet.run_older()
    # The older version changes no metadata of a Host that this version bound, whose claimRef it does
    # not know in full. This version keeps what it does not know.
    fleet.read_and_write("downgraded", [kind for kind in KINDS if kind != "hosts"])
    fleet.create("older")
    for name, known in (("web", host), ("newer", newer)):
        eventually(partial(fleet.is_ready, name))
        assert without_record(fleet.host_of(name)) == without_record(known)
    assert fleet.workload("waits")["status"]["phase"] == "Pending"
    fleet.delete("newer")

    fleet.run_newer()
    fleet.read_and_write("again")
    eventually(lambda: RECORD in fleet.host_of("older")["metadata"]["annotations"])
    assert without_record(fleet.host_of("web")) == without_record(host)
    assert fleet.is_ready("web")
    fleet.delete("web", "older")

"""Check which objects exist at the first start, and that they stay as the user leaves them."""

from __future__ import annotations

import base64
import json
import re
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from apiserver.apis.metal3 import BareMetalHost
from apiserver.apis.workloadclass import WorkloadClass
from apiserver.dev import seed
from apiserver.dev.tour import FILES, tour
from apiserver.registry.generic.context import DeleteOptions
from tests.unit.apiserver.dev.conftest import CONTEXT

if TYPE_CHECKING:
    from tests.unit.apiserver.dev.conftest import Registries


def test_hosts_differ_and_are_valid() -> None:
    hosts = [BareMetalHost.decode(obj) for obj in seed.hardware(600) if obj["kind"] == "BareMetalHost"]
    assert len(hosts) == 600
    assert len({host.spec.boot_mac_address for host in hosts}) == 600
    assert len({host.spec.bmc.address for host in hosts if host.spec.bmc}) == 600
    assert {(host.metadata.labels or {})["size"] for host in hosts} == {"small", "medium", "large", "gpu"}


def test_the_class_is_valid_and_only_for_tenants() -> None:
    made = next(obj for obj in seed.management({}) if obj["kind"] == "WorkloadClass")
    assert WorkloadClass.decode(made).spec.credentials_secret_ref is not None


async def test_sown_once_and_never_against_the_user(registries: Registries) -> None:
    async def create_missing(hosts: int) -> int:
        return await seed.create_missing(seed.hardware(hosts), registries.by_kind, registries.core.configmaps)

    assert await create_missing(2) == 3 + 4
    assert await create_missing(2) == 0
    await registries.hosts.delete(CONTEXT, "metal3", "host-0", DeleteOptions())
    await registries.core.secrets.update(CONTEXT, "metal3", "host-1-bmc", lambda obj: {**obj, "stringData": {"password": "changed"}})
    assert await create_missing(3) == 2
    assert registries.hosts.find("metal3", "host-0") is None
    data = registries.core.secrets.get("metal3", "host-1-bmc").object()["data"]
    assert base64.b64decode(data["password"]) == b"changed"


async def test_cut_short_it_continues(registries: Registries) -> None:
    objects = seed.hardware(3)
    for obj in objects[:5]:
        await registries.make(obj)
    assert await seed.create_missing(objects, registries.by_kind, registries.core.configmaps) == len(objects) - 5


async def test_our_credentials_are_kept_up_to_date_but_not_the_owners(registries: Registries) -> None:
    secret = next(obj for obj in seed.management({"old": True}) if obj["kind"] == "Secret")
    await registries.namespace(seed.SYSTEM_NAMESPACE)
    await registries.make(secret)
    await seed.refresh_credentials(registries.core.secrets, {"new": True})
    assert _kubeconfig(registries) == {"new": True}
    registry = registries.core.secrets
    await registry.update(
        CONTEXT, seed.SYSTEM_NAMESPACE, seed.CREDENTIALS, lambda o: {**o, "metadata": {**o["metadata"], "annotations": {}}}
    )
    await seed.refresh_credentials(registry, {"newer": True})
    assert _kubeconfig(registries) == {"new": True}
    await registry.delete(CONTEXT, seed.SYSTEM_NAMESPACE, seed.CREDENTIALS, DeleteOptions())
    await seed.refresh_credentials(registry, {})
    assert registry.find(seed.SYSTEM_NAMESPACE, seed.CREDENTIALS) is None


def _kubeconfig(registries: Registries) -> object:
    data = registries.core.secrets.get(seed.SYSTEM_NAMESPACE, seed.CREDENTIALS).object()["data"]
    return json.loads(base64.b64decode(data["kubeconfig"]))


def test_the_tour_names_files_that_are_there(tmp_path: Path) -> None:
    folder = tmp_path / "with space"
    text = tour(folder, {"management": "https://127.0.0.1:1", "hardware": "https://127.0.0.1:2"})
    for name in FILES:
        assert f"'{folder / name}'" in text
    assert "https://127.0.0.1:1" in text


def test_the_tour_leaves_no_failure_behind(tmp_path: Path) -> None:
    """Check that each switch of the simulator is set back, because what follows would fail by it."""
    text = tour(tmp_path, {"management": "", "hardware": ""})
    switched = re.findall(r"simulator\.metal3\.io/(\w+)=", text)
    assert switched == re.findall(r"simulator\.metal3\.io/(\w+)-", text)
    assert switched


def test_the_tour_runs_the_program_beside_its_python(tmp_path: Path) -> None:
    text = tour(tmp_path, {"management": "", "hardware": ""})
    (command,) = [line.strip() for line in text.splitlines() if " usage " in line]
    assert Path(command.split()[1]) == Path(sys.executable).with_name("metal3-workloads")

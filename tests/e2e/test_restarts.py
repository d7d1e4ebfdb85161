"""Stop, kill and restart dev mode: nothing is lost, and unfinished work continues."""

from __future__ import annotations

import base64
import subprocess
from typing import TYPE_CHECKING

from tests.e2e.objects import eventually, secret, workload

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from tests.e2e.process import Dev


def test_stop_and_start_loses_nothing(make_dev: Callable[..., Dev]) -> None:
    dev = make_dev("--hosts", "2").start()
    tenant = dev.user("tenant-a")
    tenant.apply(secret("s", userData="#cloud-config"), workload("w", userData={"name": "s"}))
    tenant.wait("workload/w", "jsonpath={.status.phase}=Running")
    dev.hardware("delete", "bmh", _other(dev), "--timeout=30s")
    dev.owner("annotate", "workloadclass", "metal", "note=mine")
    before = tenant.json("get", "workload", "w")
    kubeconfig = (dev.folder / "tenant-a.kubeconfig").read_bytes()

    assert dev.stop() == 0
    dev.start()

    assert (dev.folder / "tenant-a.kubeconfig").read_bytes() == kubeconfig
    after = tenant.json("get", "workload", "w")
    assert after["metadata"]["uid"] == before["metadata"]["uid"]
    assert after["status"]["host"] == before["status"]["host"]
    # A restart restores nothing that the user changed or deleted.
    assert len(dev.hardware.items("bmh")) == 1
    assert dev.owner.json("get", "workloadclass", "metal")["metadata"]["annotations"]["note"] == "mine"
    # Everything still works.
    tenant("delete", "workload", "w", "--timeout=30s")
    eventually(lambda: _phases(dev, ["Available"]))


def test_killed_in_the_middle_of_everything(make_dev: Callable[..., Dev]) -> None:
    dev = make_dev("--hosts", "8").start()
    tenant = dev.user("tenant-a")
    names = [f"w-{number}" for number in range(6)]
    tenant.apply(*(workload(name) for name in names))
    dev.kill()
    dev.start()
    dev.kill()
    dev.start()
    for name in names:
        tenant.wait(f"workload/{name}", "jsonpath={.status.phase}=Running")
    hosts = {tenant.json("get", "workload", name)["status"]["host"]["uid"] for name in names}
    assert len(hosts) == len(names)
    consumers = [host["spec"]["consumerRef"]["name"] for host in dev.hardware.items("bmh") if "consumerRef" in host["spec"]]
    assert sorted(consumers) == names

    tenant("delete", "workloads", "--all", "--wait=false")
    dev.kill()
    dev.start()
    eventually(lambda: _phases(dev, ["Available"] * 8))
    eventually(lambda: _none_left(dev))
    assert all("consumerRef" not in host["spec"] for host in dev.hardware.items("bmh"))


def test_an_acknowledged_write_survives_kill(make_dev: Callable[..., Dev]) -> None:
    dev = make_dev("--hosts", "0").start()
    tenant = dev.user("tenant-b")
    for number in range(5):
        tenant.apply(secret("s", value=str(number)))
        dev.kill()
        dev.start()
        found = tenant.json("get", "secret", "s")["data"]["value"]
        assert base64.b64decode(found).decode() == str(number)


def test_more_hosts_can_be_added(make_dev: Callable[..., Dev], kubectl: Path) -> None:
    dev = make_dev("--hosts", "1").start()
    dev.stop()
    more = type(dev)(dev.folder, kubectl, "--bmo-speed", "0.05", "--hosts", "3").start()
    try:
        eventually(lambda: _phases(more, ["Available"] * 3))
    finally:
        more.close()


def test_wrong_arguments_are_explained(make_dev: Callable[..., Dev]) -> None:
    dev = make_dev("--hosts", "0").start()
    port = dev.user("owner").json("config", "view")["clusters"][0]["cluster"]["server"].rpartition(":")[2]
    elsewhere = str(dev.folder.with_name("elsewhere"))
    for arguments, message in (
        (["--dir", str(dev.folder)], f"is in use by process {dev.pid}"),
        (["--dir", elsewhere, "--management-port", port], f"port {port} of 127.0.0.1 is taken by another process"),
        (["--dir", "/dev/null/x"], "cannot be used"),
        (["--dir", elsewhere, "--hosts", "-1"], "--hosts must be between"),
        (["--dir", elsewhere, "--bmo-speed", "-1"], "--bmo-speed: the speed must be zero or more"),
    ):
        command = [*dev.command[: dev.command.index("dev") + 1], *arguments]
        done = subprocess.run(command, capture_output=True, text=True, timeout=30, check=False)
        assert done.returncode == 1, done.stderr
        assert message in done.stderr.splitlines()[-1]
        assert "Traceback" not in done.stderr


def _other(dev: Dev) -> str:
    return next(str(host["metadata"]["name"]) for host in dev.hardware.items("bmh") if "consumerRef" not in host["spec"])


def _none_left(dev: Dev) -> None:
    """Check that all Workloads are gone: each ends a moment after its host is available."""
    assert dev.user("tenant-a").items("workloads") == []


def _phases(dev: Dev, wanted: list[str]) -> None:
    assert [host.get("status", {}).get("phase") for host in dev.owner.items("hosts")] == wanted

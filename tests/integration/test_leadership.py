"""Run two replicas of the controllers: one leads, the other takes over within seconds, and a leader
that was frozen changes nothing."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from tests.integration import running
from tests.integration.objects import workload
from tests.integration.running import ADMIN, OWNER, Running, eventually

if TYPE_CHECKING:
    from collections.abc import Iterator

HOSTS = 8
LEASE = ("lease/metal3-workloads-controllers", "-n", "metal3-workloads-system")
TAKEOVER_SECONDS = 60
"""This suits a busy machine; a quiet one takes less than ten seconds."""


@pytest.fixture(scope="module")
def alone(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    """Start a cluster without controllers, whose hosts no operator drives."""
    folder = tmp_path_factory.mktemp("cluster") / "leadership"
    try:
        yield running.start(folder, "--hosts", str(HOSTS), "--bmo", "none", "--controllers", "off", "--tenants", "a")
    finally:
        running.stop(folder)


@contextmanager
def replica(cluster: Running, log: Path) -> Iterator[subprocess.Popen[bytes]]:
    """Start one more replica of the controllers."""
    program = Path(sys.executable).with_name("metal3-workloads")
    argv = [str(program), "controllers", "--leader-elect", "--kubeconfig", cluster.kubeconfig(ADMIN)]
    argv += ["--apiserver", cluster.description["apiserver"]["url"]]
    with log.open("wb") as output:
        process = subprocess.Popen(argv, stderr=output)
        try:
            yield process
        finally:
            if process.poll() is None:
                process.send_signal(signal.SIGCONT)
                process.kill()
            process.wait(30)


@pytest.fixture
def replicas(alone: Running, tmp_path: Path) -> Iterator[tuple[subprocess.Popen[bytes], subprocess.Popen[bytes]]]:
    """Start two replicas, and yield the leader and the other one."""
    with ExitStack() as stack:
        both = [stack.enter_context(replica(alone, tmp_path / f"replica-{number}.log")) for number in range(2)]
        pid = eventually(lambda: leader(alone) in [process.pid for process in both] and leader(alone), seconds=TAKEOVER_SECONDS)
        first, second = sorted(both, key=lambda process: process.pid != pid)
        yield first, second


def leader(cluster: Running) -> int:
    """Return the pid of the replica that holds the lease, or 0 when none does."""
    answer = cluster.try_kubectl(ADMIN, "get", *LEASE, "-o", "jsonpath={.spec.holderIdentity}")
    return int(answer.stdout.split("_")[-2]) if answer.returncode == 0 and answer.stdout else 0


def writes(cluster: Running, pid: int) -> list[dict[str, Any]]:
    """Return what this replica wrote to the API server, according to the audit log."""
    lines = (cluster.root / "logs" / "apiserver-audit.jsonl").read_text().splitlines()
    events = [json.loads(line) for line in lines if line.endswith("}")]
    return [event for event in events if f"metal3-workloads-controllers/{os.uname().nodename}_{pid}_" in event.get("userAgent", "")]


def bound(cluster: Running, *names: str) -> bool:
    """Return whether all these Workloads have hosts, each its own."""
    found = {item["metadata"]["name"]: (item.get("status") or {}).get("host") for item in cluster.items("a", "workloads")}
    assert all(found.get(name) for name in names), found
    uids = [host["uid"] for host in found.values() if host]
    assert len(uids) == len(set(uids))
    return True


def hardware(cluster: Running) -> dict[str, str]:
    """Return the real hosts with their resourceVersion, which changes with every write to them."""
    return {
        host["metadata"]["name"]: host["metadata"]["resourceVersion"] for host in cluster.items(OWNER, "baremetalhosts", "-n", "metal3")
    }


def taken(cluster: Running, *names: str) -> bool:
    """Return whether real hosts have these Workloads as consumers and know what to run, which is
    written to them last."""
    specs = [host["spec"] for host in cluster.items(OWNER, "baremetalhosts", "-n", "metal3")]
    assert {(spec.get("consumerRef") or {}).get("name") for spec in specs if "image" in spec} >= set(names), specs
    return True


def test_a_killed_leader_is_followed_within_seconds(
    alone: Running, replicas: tuple[subprocess.Popen[bytes], subprocess.Popen[bytes]], capsys: pytest.CaptureFixture[str]
) -> None:
    first, second = replicas
    alone.kubectl("a", "create", "-f", "-", stdin=workload("before"))
    eventually(lambda: bound(alone, "before"))
    first.kill()
    began = time.monotonic()
    alone.kubectl("a", "create", "-f", "-", stdin=workload("after"))
    eventually(lambda: leader(alone) == second.pid, seconds=TAKEOVER_SECONDS)
    took = time.monotonic() - began
    eventually(lambda: bound(alone, "before", "after"), seconds=TAKEOVER_SECONDS)
    with capsys.disabled():
        print(f"\nleader killed: followed after {took:.1f} s, its work went on after {time.monotonic() - began:.1f} s")
    eventually(lambda: taken(alone, "before", "after"), seconds=TAKEOVER_SECONDS)


def test_a_leader_that_was_frozen_changes_nothing(
    alone: Running, replicas: tuple[subprocess.Popen[bytes], subprocess.Popen[bytes]], tmp_path: Path
) -> None:
    """Freeze the leader in the middle of its work. When it wakes up, its watches deliver the events
    of what happened meanwhile."""
    first, second = replicas
    alone.kubectl("a", "create", "-f", "-", stdin=[workload(f"w-{number}") for number in range(3)])
    eventually(lambda: any((item.get("status") or {}).get("host") for item in alone.items("a", "workloads")), poll=0.02)
    first.send_signal(signal.SIGSTOP)
    eventually(lambda: leader(alone) == second.pid, seconds=TAKEOVER_SECONDS)
    eventually(lambda: bound(alone, "w-0", "w-1", "w-2"), seconds=TAKEOVER_SECONDS)
    alone.kubectl("a", "create", "-f", "-", stdin=workload("w-3"))
    eventually(lambda: bound(alone, "w-3"), seconds=TAKEOVER_SECONDS)
    eventually(lambda: taken(alone, "w-0", "w-1", "w-2", "w-3"), seconds=TAKEOVER_SECONDS)
    second.send_signal(signal.SIGSTOP)  # any write from now on is the old leader's
    before, real = len(writes(alone, first.pid)), hardware(alone)
    assert before, "it led, and wrote"
    alone.kubectl("a", "create", "-f", "-", stdin=workload("w-4"))
    first.send_signal(signal.SIGCONT)
    assert first.wait(60) != 0
    log = next(path for path in tmp_path.glob("*.log") if "another replica leads" in path.read_text())
    assert "LeadershipLost" not in log.read_text(), "it says so in words, not by its error"
    assert writes(alone, first.pid)[before:] == []
    assert hardware(alone) == real

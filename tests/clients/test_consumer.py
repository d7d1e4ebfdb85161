"""Take the steps of Cluster API's Metal3 provider on BareMetalHosts, with its libraries and its
rights, for two tenants at once."""

from __future__ import annotations

import json
import os
import signal
import subprocess
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from hack.demos.consumers import Machine
from tests.clients.identities import WATCHES_HOSTS, service_account
from tests.integration.canary import sightings
from tests.integration.conftest import TENANTS
from tests.integration.running import OWNER, Running, eventually

if TYPE_CHECKING:
    from collections.abc import Iterator

CONSUMER = Path(__file__).parents[1] / "consumer"
BMH = "baremetalhosts.metal3.io"
UNHEALTHY = "capm3.metal3.io/unhealthy"
SECONDS = 300

Step = dict[str, Any]


@pytest.fixture(scope="session")
def consumer() -> Path:
    """Build the consumer's binary, and return its path."""
    return Path(subprocess.run([CONSUMER / "build"], stdout=subprocess.PIPE, text=True, check=True).stdout.strip())


@pytest.fixture
def providers(tenants: Running) -> dict[str, Path]:
    """Return the kubeconfigs of a provider for each tenant."""
    return {tenant: service_account(tenants, tenant, "capm3", everywhere=WATCHES_HOSTS) for tenant in TENANTS}


def run(consumer: Path, kubeconfig: Path, tenant: str, scenario: str, *options: str) -> list[Step]:
    """Run a scenario to its successful end, and return its steps."""
    argv = [str(consumer), f"--kubeconfig={kubeconfig}", f"--namespace={tenant}", f"--scenario={scenario}", *options]
    done = subprocess.run(argv, capture_output=True, text=True, check=False, timeout=SECONDS)
    assert done.returncode == 0, f"{done.stderr}after\n{done.stdout}"
    assert not sightings(done.stdout.encode())
    steps: list[Step] = [json.loads(line) for line in done.stdout.splitlines()]
    assert steps[0]["step"] == "informer"
    assert steps[-1] | {"step": "done", "scenario": scenario} == steps[-1]
    return steps


def at_once(consumer: Path, providers: dict[str, Path], scenario: str, *options: str) -> dict[str, list[Step]]:
    """Run the same scenario for all tenants at the same time."""
    with ThreadPoolExecutor(len(providers)) as pool:
        ran = pool.map(lambda item: run(consumer, item[1], item[0], scenario, *options), providers.items())
        return dict(zip(providers, ran, strict=True))


def names(steps: list[Step]) -> list[str]:
    """Return what happened, in order."""
    return [step["step"] for step in steps]


def test_a_machines_life(consumer: Path, providers: dict[str, Path]) -> None:
    """Let both tenants claim one of the two small hosts; the loser of a race finds the other
    one."""
    ran = at_once(consumer, providers, "machine", "--selector=hardware.metal3.io/model=small")
    for steps in ran.values():
        assert names(steps)[1:-1] == [
            "associate", "render", "provision", "label sync", "reboot", "pause", "unpause", "deprovision", "release",
        ]  # fmt: skip


def test_a_machine_without_a_template_deleted_at_once(consumer: Path, providers: dict[str, Path]) -> None:
    for steps in at_once(consumer, providers, "immediate").values():
        assert names(steps)[1:-1] == ["associate", "deprovision", "release"]


def test_a_host_is_kept_for_the_successor(consumer: Path, providers: dict[str, Path]) -> None:
    for steps in at_once(consumer, providers, "reuse").values():
        first, second = [step["host"] for step in steps if step["step"] == "associate"]
        assert first == second


def test_one_of_two_machines_gets_a_host(consumer: Path, providers: dict[str, Path]) -> None:
    for steps in at_once(consumer, providers, "rivals").values():
        assert "conflict" in names(steps)


THIEF = {"apiVersion": "infrastructure.cluster.x-k8s.io/v1beta1", "kind": "Metal3Machine", "namespace": "elsewhere", "name": "thief"}
WORKLOADS = "/apis/workload.metal3.io/v1alpha1/namespaces/a/workloads"


@pytest.mark.parametrize("in_time", [True, False], ids=["answered with a conflict", "answered before the source was asked"])
def test_a_claim_on_a_host_that_the_source_gives_to_another_is_reported(
    tenants: Running, consumer: Path, providers: dict[str, Path], in_time: bool
) -> None:
    """Steal the host before the controllers see it: they are held up, as by a slow network."""
    (controllers,) = tenants.description["controllers"]["pids"]
    machine, host = Machine(consumer, providers["a"], "a", "robbed", "", "robbed"), ""
    try:
        host = machine.until("chosen")[-1]["host"]
        os.kill(controllers, signal.SIGSTOP)
        own(tenants, host, THIEF)
        machine.go_on()
        if in_time:
            eventually(lambda: tenants.direct(WORKLOADS, identity=tenants.admin_identity()).json()["items"], poll=0.01)
        else:
            machine.until("claimed")
        os.kill(controllers, signal.SIGCONT)
        if not in_time:
            machine.go_on()
        machine.until("conflict" if in_time else "withdrawn")
        machine.go_on()
        assert machine.until("done")[0]["host"] != host
        real = tenants.get(OWNER, "baremetalhosts", host, "-n", "metal3")
        assert real["spec"]["consumerRef"] == THIEF
        assert "image" not in real["spec"]
        assert "workload.metal3.io/workload-uid" not in real["metadata"].get("labels", {})
    finally:
        os.kill(controllers, signal.SIGCONT)
        machine.end()
        if host:
            own(tenants, host, None)


def own(cluster: Running, host: str, consumer: dict[str, str] | None) -> None:
    """Write a consumer into the owner's BareMetalHost, or remove it."""
    patch = json.dumps({"spec": {"consumerRef": consumer}})
    cluster.kubectl(OWNER, "patch", "baremetalhosts", host, "-n", "metal3", "--type=merge", "-p", patch)


@pytest.fixture
def healed(tenants: Running) -> Iterator[Running]:
    """Repair every host afterwards as its owner, until tenant b is offered all of them again."""
    every = offered(tenants, "b")
    yield tenants
    tenants.kubectl(OWNER, "annotate", "baremetalhosts", "--all", "-n", "metal3", f"{UNHEALTHY}-")
    eventually(lambda: offered(tenants, "b") == every)


def offered(cluster: Running, tenant: str) -> set[str]:
    """Return the names of the hosts that a tenant sees."""
    return {host["metadata"]["name"] for host in cluster.items(tenant, BMH)}


def test_an_unhealthy_host_is_not_offered_to_other_tenants(healed: Running, consumer: Path, providers: dict[str, Path]) -> None:
    """Let one tenant's remediation give up: the mark on the real host outlives the claim, and no
    other tenant is offered the host."""
    host = run(consumer, providers["a"], "a", "unhealthy")[-2]["host"]
    real = healed.get(OWNER, "baremetalhosts", host, "-n", "metal3")
    assert UNHEALTHY in real["metadata"]["annotations"]
    eventually(lambda: host not in offered(healed, "b"))


def test_a_deviation_is_reported(consumer: Path, providers: dict[str, Path]) -> None:
    """Check that the checks can fail: without a host that fits, the wait ends with what is
    missing."""
    argv = [str(consumer), f"--kubeconfig={providers['a']}", "--namespace=a", "--selector=no=such", "--deadline=1s"]
    done = subprocess.run(argv, capture_output=True, text=True, check=False, timeout=SECONDS)
    assert done.returncode == 1
    assert "no available host found among 0" in done.stderr

"""Demonstrate a pivot: a cluster's objects move to another management cluster, while its machines
run on."""

from __future__ import annotations

import argparse
import base64
import json
import subprocess
import sys
import tempfile
import threading
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from hack.demos import capi
from hack.demos.outage import Outage
from hack.demos.story import Link, Story
from tests.clients.identities import WATCHES_HOSTS, service_account
from tests.integration import running
from tests.integration.objects import secret, workload
from tests.integration.running import ADMIN, OWNER, ROOT, TARGET, Running, eventually

TENANT, MACHINE = "a", "machine"
BMH, WORKLOADS, CLASSES, HOSTS = "baremetalhosts.metal3.io", "workloads.workload.metal3.io", "workloadclasses", "hosts.workload.metal3.io"
SECONDS = 300

Object = dict[str, Any]


class Witness:
    """Records every state of the real hosts with a watch of its own, from its start to its end."""

    def __init__(self, cluster: Running) -> None:
        columns = "custom-columns=NAME:.metadata.name,STATE:.status.provisioning.state,IMAGE:.spec.image.url"
        argv = [str(cluster.tools / "kubectl"), "--kubeconfig", cluster.kubeconfig(OWNER), "get", BMH, "-n", "metal3"]
        self._process = subprocess.Popen([*argv, "-o", columns, "--no-headers", "--watch"], stdout=subprocess.PIPE, text=True)
        self._seen: dict[str, list[tuple[str, str]]] = {}
        self._thread = threading.Thread(target=self._read)
        self._thread.start()

    def of(self, host: str) -> list[tuple[str, str]]:
        """Return (state, image) of a host, without repetitions."""
        return list(self._seen.get(host, []))

    def close(self) -> None:
        self._process.terminate()
        self._process.wait(10)
        self._thread.join(10)

    def _read(self) -> None:
        assert self._process.stdout is not None
        with self._process.stdout as stream:
            for line in stream:
                name, state, image = line.split()
                seen = self._seen.setdefault(name, [])
                if not seen or seen[-1] != (state, image):
                    seen.append((state, image))


class Pivot:
    """The acts of the demonstration, in order."""

    def __init__(self, cluster: Running, story: Story, outage: float = 0.0) -> None:
        """Prepare the demonstration.

        `outage`: the seconds for which the link drops everything, besides being cut for a
        moment."""
        self.cluster, self.story, self.outage = cluster, story, outage
        self.consumer = subprocess.run([ROOT / "tests/consumer/build"], stdout=subprocess.PIPE, text=True, check=True).stdout.strip()

    def tell(self) -> None:
        """Run all acts."""
        story, cluster = self.story, self.cluster
        story.step("Two management clusters. The source has the hardware; the target has a class that relays namespace a of the source")
        story.show(cluster, ADMIN, "get", CLASSES)
        story.show(cluster, TARGET, "get", CLASSES)
        self.same_hosts()
        host = self.provisioned()
        witness = Witness(cluster)
        try:
            eventually(lambda: witness.of(host))
            self.moved(host)
            self.resumed(host)
            self.cut_off(host)
            self.moved_back(host)
            assert set(witness.of(host)) == {("provisioned", "https://images.example.com/node.qcow2")}, witness.of(host)
            story.checked(f"the real {host} kept its image and was provisioned at every moment since before the move")
        finally:
            witness.close()
        self.retired(host)
        self.there_and_back()

    def same_hosts(self) -> None:
        """Check that identity is passed through."""
        here, there = (self.identities(who) for who in (ADMIN, TARGET))
        assert here == there, f"{here} is not {there}"
        self.story.checked(f"both show the same {len(here)} hosts, by name and uid")

    def identities(self, who: str) -> dict[str, str]:
        items = self.cluster.items(who, BMH, "-n", TENANT)
        return {item["metadata"]["name"]: item["metadata"]["uid"] for item in items}

    def provisioned(self) -> str:
        """Create a Cluster API machine in the source. Return its host."""
        story, cluster = self.story, self.cluster
        story.step("In the source, Cluster API's Metal3 provider puts a machine on a host, and is paused for a move")
        for who in (ADMIN, TARGET):
            capi.install(cluster, who)
        host = self.acts(ADMIN, "settle")
        capi.make(cluster, ADMIN, TENANT, MACHINE, host)
        eventually(lambda: self.consumer_of(TARGET, host) == "Metal3Machine")
        story.show(cluster, ADMIN, "get", BMH, "-n", TENANT)
        story.step("The target shows the host as it is in the source, and has taken nothing")
        story.show(cluster, TARGET, "get", BMH, "-n", TENANT)
        assert cluster.items(TARGET, WORKLOADS, "-n", TENANT) == []
        views = [cluster.get(who, BMH, host, "-n", TENANT) for who in (ADMIN, TARGET)]
        assert views[0]["spec"] == views[1]["spec"], f"{views[0]['spec']} is not {views[1]['spec']}"
        story.checked("the same spec: consumer, image, secrets")
        return host

    def moved(self, host: str) -> None:
        """Move the objects as clusterctl move does."""
        story, cluster = self.story, self.cluster
        story.step("Cluster API's objects move as clusterctl moves them: created again in the target, without finalizers in the source")
        for name in capi.move(cluster, ADMIN, TARGET, TENANT, MACHINE):
            story.print_line(name)
        left = cluster.items(ADMIN, capi.MACHINE, "-n", TENANT)
        assert left == [], left
        assert self.consumer_of(ADMIN, host) == "Metal3Machine"
        story.checked("the machine has vanished from the source, and its host is not released there")

    def resumed(self, host: str) -> None:
        """Let the target's consumer continue."""
        story, cluster = self.story, self.cluster
        story.step("In the target, the provider continues with the machine: it finds its host, asserts what it wants, and reboots it once")
        assert self.acts(TARGET, "resume") == host
        eventually(lambda: self.consumer_of(ADMIN, host) == "Workload")
        story.show(cluster, TARGET, "get", BMH, host, "-n", TENANT)
        story.show(cluster, TARGET, "get", WORKLOADS, "-n", TENANT)
        story.step("The source now says that the target has it")
        story.show(cluster, ADMIN, "get", BMH, host, "-n", TENANT, "-o", "jsonpath={.spec.consumerRef}")
        annotations = cluster.get(ADMIN, BMH, host, "-n", TENANT)["metadata"]["annotations"]
        assert annotations["workload.metal3.io/management"] == "target", annotations
        eventually(lambda: self.phase() == "Running")

    def cut_off(self, host: str) -> None:
        """Cut the link, and check that writes made meanwhile are carried out afterwards.

        The credentials are also replaced."""
        story, cluster = self.story, self.cluster
        story.step("The target's way to the source is changed to one that can be cut: new credentials, and nothing is restarted")
        port = urlsplit(cluster.description[ADMIN]["server"]).port
        assert port is not None
        with Link(port) as link:
            self.reach(f"https://127.0.0.1:{link.port}")
            eventually(lambda: link.tried)
            # The class stays connected while it switches to the new address. A change that the
            # owner makes now can arrive only there.
            cluster.kubectl(OWNER, "label", BMH, host, "-n", "metal3", "way=new")
            eventually(lambda: cluster.get(TARGET, BMH, host, "-n", TENANT)["metadata"]["labels"].get("way") == "new")
            cluster.kubectl(OWNER, "label", BMH, host, "-n", "metal3", "way-")
            story.step("The link is cut")
            link.cut()
            eventually(lambda: self.connected()["status"] == "False")
            story.print_line(f"{self.connected()['reason']}: {self.connected()['message']}")
            assert "is of 20" in self.connected()["message"], "it says since when"
            story.show(cluster, TARGET, "get", BMH, host, "-n", TENANT)
            story.checked("reads answer with what was last known")
            cluster.kubectl(TARGET, "patch", BMH, host, "-n", TENANT, "--type=merge", "-p", '{"spec": {"online": false}}')
            story.checked("a write is accepted")
            eventually(lambda: self.waits())
            assert cluster.get(OWNER, BMH, host, "-n", "metal3")["spec"]["online"] is True
            story.show(cluster, TARGET, "get", WORKLOADS, "-n", TENANT, "-o", "wide")
            story.step("The link is back")
            link.mend()
            eventually(lambda: not cluster.get(OWNER, BMH, host, "-n", "metal3")["status"]["poweredOn"])
            story.checked("the write has reached the machine: it is off")
            cluster.kubectl(TARGET, "patch", BMH, host, "-n", TENANT, "--type=merge", "-p", '{"spec": {"online": true}}')
            eventually(lambda: self.phase() == "Running")
            if self.outage:
                Outage(cluster, story, link, TENANT, host, self.connected).last(self.outage)
            self.reach(cluster.description[ADMIN]["server"])
            eventually(lambda: self.connected()["status"] == "True")

    def moved_back(self, host: str) -> None:
        """Move in the other direction: the consumer in the source writes its name, and the target
        hands the claim back."""
        story, cluster = self.story, self.cluster
        story.step("Cluster API's objects move back, and the provider in the source continues")
        capi.move(cluster, TARGET, ADMIN, TENANT, MACHINE)
        assert self.acts(ADMIN, "resume") == host
        eventually(lambda: cluster.items(TARGET, WORKLOADS, "-n", TENANT) == [])
        eventually(lambda: self.consumer_of(TARGET, host) == "Metal3Machine" == self.consumer_of(ADMIN, host))
        story.show(cluster, ADMIN, "get", BMH, host, "-n", TENANT)
        story.checked("the target has handed the claim back, and shows the host as it is in the source again")

    def retired(self, host: str) -> None:
        """Delete the machine."""
        story, cluster = self.story, self.cluster
        story.step("The machine is deleted, and its host is clean and free for both")
        self.acts(ADMIN, "retire")
        eventually(lambda: self.consumer_of(ADMIN, host) == "" == self.consumer_of(TARGET, host))
        eventually(lambda: "consumerRef" not in cluster.get(OWNER, BMH, host, "-n", "metal3")["spec"])
        eventually(lambda: cluster.items(ADMIN, WORKLOADS, "-n", TENANT) == [] == cluster.items(TARGET, WORKLOADS, "-n", TENANT))
        story.show(cluster, TARGET, "get", BMH, "-n", TENANT)
        left = [item["metadata"]["name"] for item in cluster.items(ADMIN, "secrets", "-n", TENANT)]
        assert not any(name.startswith("workload-") for name in left), f"left in the source: {left}"
        story.checked("no copied secret is left in the source")

    def there_and_back(self) -> None:
        """Move a Workload without Cluster API, with the project's own command."""
        story, cluster = self.story, self.cluster
        story.step("A Workload without a Metal3Machine runs in the source")
        objects = [secret("boot", userData="#cloud-config"), workload("web", userData={"name": "boot"})]
        cluster.kubectl(ADMIN, "create", "-n", TENANT, "-f", "-", stdin=objects)
        eventually(lambda: self.phase(ADMIN) == "Running")
        host = str(cluster.get(ADMIN, WORKLOADS, "web", "-n", TENANT)["status"]["host"]["name"])
        witness = Witness(cluster)
        try:
            eventually(lambda: witness.of(host))
            story.step("It moves to the target")
            self.moves(ADMIN, TARGET, "--dry-run")
            self.moves(ADMIN, TARGET)
            eventually(lambda: self.phase(TARGET) == "Running")
            self.where_it_is()
            story.step("And back")
            self.moves(TARGET, ADMIN)
            eventually(lambda: self.phase(ADMIN) == "Running")
            self.where_it_is()
            assert {state for state, _ in witness.of(host)} == {"provisioned"}, witness.of(host)
            story.checked(f"the real {host} was provisioned all the time")
        finally:
            witness.close()
        story.step("It moves to the target once more, and is deleted there: the host is clean and free for both")
        self.moves(ADMIN, TARGET)
        cluster.kubectl(TARGET, "delete", WORKLOADS, "web", "-n", TENANT, "--timeout=60s")
        eventually(lambda: cluster.items(ADMIN, WORKLOADS, "-n", TENANT) == [])
        eventually(lambda: self.consumer_of(ADMIN, host) == "" == self.consumer_of(TARGET, host))
        assert cluster.items(ADMIN, "secrets", "-n", TENANT, "--field-selector=type=Opaque") == []
        story.checked("no secret is left in the source")

    def where_it_is(self) -> None:
        for who in (ADMIN, TARGET):
            self.story.show(self.cluster, who, "get", WORKLOADS, "-n", TENANT)

    def moves(self, source: str, target: str, *options: str) -> None:
        """Run the command, and print its output."""
        argv = ["move", "--to", self.cluster.kubeconfig(target), "--namespace", TENANT, *options]
        shown = ["metal3-workloads", "move", "--to", f"{target}.kubeconfig", *argv[3:]]
        self.story.print_line(f"{source}$ {' '.join(shown)}")
        program = str(Path(sys.executable).with_name("metal3-workloads"))
        given = [program, *argv, "--kubeconfig", self.cluster.kubeconfig(source)]
        done = subprocess.run(given, capture_output=True, text=True, check=False, timeout=SECONDS)
        for line in done.stdout.splitlines():
            self.story.print_line(line)
        assert done.returncode == 0, done.stderr

    def acts(self, who: str, scenario: str) -> str:
        """Let the provider's stand-in do its part. Return the host's name."""
        kubeconfig = service_account(self.cluster, TENANT, "capm3", everywhere=[*WATCHES_HOSTS, capi.READS_MACHINES], at=who)
        argv = [self.consumer, f"--kubeconfig={kubeconfig}", f"--namespace={TENANT}", f"--scenario={scenario}", f"--machine={MACHINE}"]
        done = subprocess.run(argv, capture_output=True, text=True, check=False, timeout=SECONDS)
        assert done.returncode == 0, f"{done.stderr}after\n{done.stdout}"
        steps = [json.loads(line) for line in done.stdout.splitlines()]
        for step in steps:
            self.story.print_line(f"{step['step']} {step.get('host', '')}".strip())
        return next(str(step["host"]) for step in steps if "host" in step)

    def consumer_of(self, who: str, host: str) -> str:
        view = self.cluster.get(who, BMH, host, "-n", TENANT)
        return str((view["spec"].get("consumerRef") or {}).get("kind", ""))

    def phase(self, who: str = TARGET) -> str:
        [found] = self.cluster.items(who, WORKLOADS, "-n", TENANT)
        return str(found["status"].get("phase"))

    def waits(self) -> bool:
        """Return whether the tenant reads that the request is kept."""
        [found] = self.cluster.items(TARGET, WORKLOADS, "-n", TENANT)
        return "SourceUnavailable" in [condition["reason"] for condition in found["status"]["conditions"]]

    def connected(self) -> Object:
        conditions = self.cluster.get(TARGET, CLASSES, "relay")["status"]["conditions"]
        return next(condition for condition in conditions if condition["type"] == "Connected")

    def reach(self, server: str) -> None:
        """Let the target reach the source at this address."""
        config = json.loads(Path(self.cluster.kubeconfig(TENANT)).read_text())
        config["clusters"][0]["cluster"]["server"] = server
        data = {"kubeconfig": base64.b64encode(json.dumps(config).encode()).decode()}
        secret = ["secret", "relay-credentials", "-n", "metal3-workloads-system"]
        self.cluster.kubectl(TARGET, "patch", *secret, "--type=merge", "-p", json.dumps({"data": data}))


def main() -> int:
    """Run the demonstration on clusters of its own."""
    parser = argparse.ArgumentParser(prog="hack/demo-pivot", description=__doc__)
    parser.add_argument("--outage", type=float, default=0.0, metavar="SECONDS", help="have the link drop everything for so long")
    outage = parser.parse_args().outage
    story = Story("A pivot: only the workloads move, and the machines run on")
    with tempfile.TemporaryDirectory(prefix="demo-pivot-") as folder:
        root = Path(folder) / "clusters"
        try:
            cluster = running.start(root, "--target", "--hosts", "3", "--tenants", TENANT)
            Pivot(cluster, story, outage).tell()
        except AssertionError as error:
            print(f"\nfailed: {error}{running.tails(root)}", file=sys.stderr)
            return 1
        finally:
            running.stop(root)
    story.end()
    return 0

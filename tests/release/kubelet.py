"""Run the pods of Deployments and Jobs from an image, as a node with kubelet, containerd,
kube-proxy and CoreDNS does, and replace them as the Deployment controller does.

Arguments, replicas, strategy, user, volumes, root and probes are those of the objects in the
cluster. This module provides what a node decides: tokens, networks, owners of volumes. It
implements neither seccomp, nor resource limits, nor restarts.
"""

from __future__ import annotations

import base64
import itertools
import json
import os
import shutil
import ssl
import subprocess
import time
import urllib.error
import urllib.request
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, TypeAlias
from urllib.parse import urlsplit

from tests.integration.running import ADMIN, OWNER, eventually
from tests.release.network import LOOPBACK, Address, Network, Proxy
from tests.release.oci import Mount, configuration, process

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from pathlib import Path

    from tests.integration.running import Running
    from tests.release.oci import Image

Object: TypeAlias = "dict[str, Any]"
TOKEN = "/var/run/secrets/kubernetes.io/serviceaccount"
STOP_SECONDS = 60
READY_SECONDS = 90
JOB_SECONDS = 120
BEGIN = time.monotonic()


def say(what: str) -> None:
    """Print the progress."""
    print(f"[{time.monotonic() - BEGIN:5.1f}s] {what}", flush=True)


@dataclass
class Pod:
    """A running container, and what it was created from."""

    name: str
    labels: dict[str, str]
    spec: Object
    folder: Path
    image: Image
    network: Network
    child: subprocess.Popen[bytes]
    variables: dict[str, str]
    published: bool = False

    @property
    def container(self) -> Object:
        """Return the only container of the pod."""
        (container,) = self.spec["containers"]
        found: Object = container
        return found

    @property
    def log(self) -> str:
        """Return the output of the container."""
        return (self.folder / "log").read_text(errors="replace")

    def port(self, name: str | int) -> int:
        """Return the number of a port, by its name."""
        if isinstance(name, int):
            return name
        (found,) = (port["containerPort"] for port in self.container["ports"] if port["name"] == name)
        return int(found)

    def execute(self, *command: str, stdin: str = "") -> subprocess.CompletedProcess[str]:
        """Run a command in the container, as `kubectl exec` and exec probes do."""
        file = self.folder / "process.json"
        file.write_text(json.dumps(process(self.spec, self.container, self.image, self.variables, command)))
        argv = [*runc(self.folder), "exec", "--process", str(file), self.name]
        return subprocess.run(argv, input=stdin, capture_output=True, text=True, timeout=60, check=False)

    def probe(self, kind: str) -> bool:
        """Return whether this probe of the pod succeeds. A missing probe succeeds."""
        asked = self.container.get(kind, {})
        if "exec" in asked:
            return self.execute(*asked["exec"]["command"]).returncode == 0
        return "httpGet" not in asked or self._get(asked["httpGet"])

    def _get(self, asked: Object) -> bool:
        scheme = asked.get("scheme", "HTTP").lower()
        url = f"{scheme}://{asked.get('host', self.network.address)}:{self.port(asked['port'])}{asked.get('path', '/')}"
        # Like kubelet, this does not verify certificates.
        context = ssl._create_unverified_context() if scheme == "https" else None
        try:
            with self.network.inside(), urllib.request.urlopen(url, context=context, timeout=5) as answer:
                return 200 <= int(answer.status) < 400
        except OSError:
            return False

    def ready(self) -> bool:
        """Return whether a rollout would continue: started, alive and ready.

        Raises RuntimeError if the container has ended."""
        if self.child.poll() is not None:
            raise RuntimeError(f"{self.name} ended with {self.child.returncode}: {self.log[-3000:]}")
        return all(self.probe(kind) for kind in ("startupProbe", "readinessProbe", "livenessProbe"))

    def terminate(self) -> None:
        """Ask it to end, as kubelet does."""
        if self.child.poll() is None:
            subprocess.run([*runc(self.folder), "kill", self.name, "TERM"], check=True, capture_output=True)

    def wait(self) -> None:
        """Wait until the pod has ended. After its grace period, it is killed, and the test
        fails."""
        try:
            self.child.wait(self.spec["terminationGracePeriodSeconds"])
        except subprocess.TimeoutExpired:
            self.kill()
            raise AssertionError(f"{self.name} did not end in its grace period: {self.log[-2000:]}") from None

    def kill(self) -> None:
        """End it at once."""
        subprocess.run([*runc(self.folder), "kill", self.name, "KILL"], check=False, capture_output=True)
        self.child.wait(STOP_SECONDS)


class Kubelet:
    """One node of a cluster that hack/cluster has started in this network."""

    def __init__(self, cluster: Running, image: Image) -> None:
        self.cluster, self.image = cluster, image
        self.pods: dict[str, list[Pod]] = {}
        self.ending: list[Pod] = []
        self.reachable = [port_of(cluster.description[who]["server"]) for who in (ADMIN, OWNER)]
        """The ports of the node's loopback address that every pod reaches on its own loopback
        address."""
        self._proxy = Proxy()
        self._numbers = itertools.count()

    @property
    def folder(self) -> Path:
        """Return the folder in which the node keeps pods and volumes."""
        return self.cluster.root / "node"

    def pod(self, deployment: str) -> Pod:
        """Return the only pod of a Deployment."""
        (pod,) = self.pods[deployment]
        return pod

    def roll_out(self, namespace: str, deployment: str, image: Image | None = None) -> None:
        """Replace the pods of a Deployment, as its strategy says, by as many as it wants.

        New pods are ready when this returns. Old ones may still be ending: see `settle`."""
        spec = self.cluster.get(ADMIN, "deployment", "-n", namespace, deployment)["spec"]
        if spec["strategy"]["type"] == "Recreate":
            self.stop(deployment)
        old = list(self.pods.get(deployment, ()))
        for _ in range(spec["replicas"]):
            self._add(namespace, deployment, spec["template"], image or self.image)
            if old:
                self._retire(namespace, deployment, old.pop(0))
        for pod in old:
            self._retire(namespace, deployment, pod)
        self._note(namespace, deployment)

    def replace(self, namespace: str, deployment: str) -> None:
        """Start pods in the place of those that have failed, until there are as many as wanted."""
        spec = self.cluster.get(ADMIN, "deployment", "-n", namespace, deployment)["spec"]
        while len(self.pods[deployment]) < spec["replicas"]:
            self._add(namespace, deployment, spec["template"], self.image)

    def fail(self, namespace: str, deployment: str, pod: Pod) -> None:
        """Kill a pod, then remove it from the endpoints, as kubelet and the endpoints controller
        do."""
        pod.kill()
        self.pods[deployment].remove(pod)
        self._publish(namespace)
        self._remove(pod)

    def stop(self, deployment: str) -> None:
        """End a Deployment's pods. Their folders are removed, and their claims' volumes stay."""
        self.terminate(deployment)
        self.settle()

    def terminate(self, deployment: str) -> None:
        """Ask a Deployment's pods to end, and do not wait for that."""
        pods = self.pods.pop(deployment, [])
        for pod in pods:
            pod.terminate()
        self.ending += pods

    def settle(self) -> None:
        """Wait until every pod that was asked to end has ended in its grace period."""
        while self.ending:
            pod = self.ending.pop()
            pod.wait()
            say(f"{pod.name} has ended")
            self._remove(pod)

    def complete(self, namespace: str, job: str) -> str:
        """Run the pod of a Job to its end, note that in the Job's status, and return the log.

        Raises AssertionError with the log if the pod fails."""
        template = self.cluster.get(ADMIN, "job", "-n", namespace, job)["spec"]["template"]
        self._find_neighbours(namespace, template["spec"])
        pod = self._start(namespace, job, template, self.image)
        try:
            code = pod.child.wait(JOB_SECONDS)
        finally:
            pod.kill()
        log = pod.log
        self._remove(pod)
        patch = json.dumps({"status": job_status("Complete" if code == 0 else "Failed")})
        self.cluster.kubectl(ADMIN, "patch", "job", job, "-n", namespace, "--subresource=status", "--type=merge", "-p", patch)
        assert code == 0, f"{job} ended with {code}: {log[-3000:]}"
        return log

    def _find_neighbours(self, namespace: str, spec: Object) -> None:
        """Assert that this node has the pods that the pod's affinity requires."""
        terms = spec.get("affinity", {}).get("podAffinity", {}).get("requiredDuringSchedulingIgnoredDuringExecution", ())
        deployments = self.cluster.items(ADMIN, "deployments", "-n", namespace)
        for term in terms:
            wanted = term["labelSelector"]["matchLabels"].items()
            fitting = {item["metadata"]["name"] for item in deployments if wanted <= item["spec"]["template"]["metadata"]["labels"].items()}
            assert any(self.pods.get(name) for name in fitting), f"no pod runs that {term} selects"

    def close(self) -> None:
        """Kill everything."""
        for pod in [*itertools.chain(*self.pods.values()), *self.ending]:
            pod.kill()
        self._proxy.close()

    def _add(self, namespace: str, deployment: str, template: Object, image: Image) -> None:
        """Start a pod of a Deployment. Return when it is ready and, if a Service selects it,
        reachable through that."""
        pod = self._start(namespace, deployment, template, image)
        say(f"{pod.name} is started")
        self.pods.setdefault(deployment, []).append(pod)
        eventually(pod.ready, seconds=READY_SECONDS)
        say(f"{pod.name} is ready")
        pod.published = True
        self._publish(namespace)

    def _retire(self, namespace: str, deployment: str, pod: Pod) -> None:
        """Ask a pod to end, and take it out of its Services."""
        pod.terminate()
        self.pods[deployment].remove(pod)
        self.ending.append(pod)
        self._publish(namespace)

    def _remove(self, pod: Pod) -> None:
        self._proxy.leave(pod.network)
        pod.network.close()
        shutil.rmtree(pod.folder)

    def _start(self, namespace: str, owner: str, template: Object, image: Image) -> Pod:
        name = f"{owner}-{next(self._numbers)}"
        folder = self.folder / "pods" / name
        folder.mkdir(parents=True)
        server = urlsplit(self.cluster.description[ADMIN]["server"])
        variables = {"KUBERNETES_SERVICE_HOST": str(server.hostname), "KUBERNETES_SERVICE_PORT": str(server.port)}
        maps = {item["metadata"]["name"]: item.get("data", {}) for item in self.cluster.items(ADMIN, "configmaps", "-n", namespace)}
        network = self._network(namespace)
        given = {"hostname": name, "namespace": namespace, "address": network.address, "network": network.path, "configMaps": maps}
        spec = {**template["spec"], **given}
        (container,) = spec["containers"]
        mounts = [*self._volumes(namespace, spec, container, folder), self._hosts(folder)]
        if spec.get("automountServiceAccountToken", True):
            mounts.append(self._identity(namespace, spec["serviceAccountName"], folder))
        (folder / "config.json").write_text(json.dumps(configuration(spec, container, image, mounts, variables)))
        with (folder / "log").open("wb") as log:
            argv = [*runc(folder), "run", "--bundle", str(folder), name]
            child = subprocess.Popen(argv, stdin=subprocess.DEVNULL, stdout=log, stderr=log)
        return Pod(name, template["metadata"].get("labels", {}), spec, folder, image, network, child, variables)

    def _network(self, namespace: str) -> Network:
        """Create a pod's network, from which it reaches Services and the node's processes."""
        network = Network()
        for port in self.reachable:
            self._proxy.forward(Address(network, LOOPBACK, port), _node(port))
        for service in self._selecting(namespace):
            self._forward(network, service)
        return network

    def _volumes(self, namespace: str, spec: Object, container: Object, folder: Path) -> list[Mount]:
        volumes = {volume["name"]: volume for volume in spec.get("volumes", ())}
        group = spec["securityContext"].get("fsGroup")
        mounts = []
        for mount in container.get("volumeMounts", ()):
            source = self._volume(namespace, volumes[mount["name"]], folder)
            if group is not None:
                own(source, group)
            mounts.append(Mount(source, mount["mountPath"], mount.get("readOnly", False)))
        return mounts

    def _volume(self, namespace: str, volume: Object, folder: Path) -> Path:
        made = folder / "volumes" / str(volume["name"])
        if "persistentVolumeClaim" in volume:
            claim = str(volume["persistentVolumeClaim"]["claimName"])
            modes = self.cluster.get(ADMIN, "persistentvolumeclaim", "-n", namespace, claim)["spec"]["accessModes"]
            assert "ReadWriteOncePod" not in modes or not self._users(claim), f"{claim} is for one pod, and in use by {self._users(claim)}"
            made = self.folder / "volumes" / claim
        made.mkdir(parents=True, exist_ok=True)
        if "emptyDir" in volume:
            made.chmod(0o777)
        if "secret" in volume:
            self._write(made, self.cluster.get(ADMIN, "secret", "-n", namespace, volume["secret"]["secretName"])["data"])
        return made

    def _write(self, folder: Path, data: dict[str, str]) -> None:
        for key, value in data.items():
            (folder / key).write_bytes(base64.b64decode(value))

    def _users(self, claim: str) -> list[str]:
        """Return the running pods that have the volume of a claim."""
        return [pod.name for pod in itertools.chain(*self.pods.values()) if claim in json.dumps(pod.spec["volumes"])]

    def _identity(self, namespace: str, account: str, folder: Path) -> Mount:
        """Provide the token of the service account."""
        token = folder / "token"
        token.mkdir()
        config = json.loads((self.cluster.root / "management.kubeconfig").read_text())
        (token / "ca.crt").write_bytes(base64.b64decode(config["clusters"][0]["cluster"]["certificate-authority-data"]))
        (token / "namespace").write_text(namespace)
        (token / "token").write_text(self.cluster.kubectl(ADMIN, "create", "token", "-n", namespace, account, "--duration=24h"))
        return Mount(token, TOKEN, read_only=True)

    def _hosts(self, folder: Path) -> Mount:
        """Provide the names that DNS knows."""
        hosts = folder / "hosts"
        hosts.write_text("127.0.0.1 localhost\n" + "".join(f"{ip} {name}.{of}.svc\n" for of, name, ip in self._services()))
        return Mount(hosts, "/etc/hosts", read_only=True)

    def _services(self) -> list[tuple[str, str, str]]:
        found = self.cluster.items(ADMIN, "services", "-A")
        return [(item["metadata"]["namespace"], item["metadata"]["name"], item["spec"].get("clusterIP", "")) for item in found]

    def _selecting(self, namespace: str) -> list[Object]:
        return [item for item in self.cluster.items(ADMIN, "services", "-n", namespace) if item["spec"].get("selector")]

    def _selected(self, service: Object) -> list[Pod]:
        selector = service["spec"]["selector"].items()
        return [pod for pod in itertools.chain(*self.pods.values()) if pod.published and selector <= pod.labels.items()]

    def _publish(self, namespace: str) -> None:
        """Publish the ready pods as the endpoints controller and kube-proxy do."""
        for service in self._selecting(namespace):
            if pods := self._selected(service):
                self.cluster.kubectl(ADMIN, "apply", "-f", "-", stdin=endpoints(service, pods))
                self._forward(None, service)

    def _forward(self, network: Network | None, service: Object) -> None:
        """Forward a Service's address in a network, or in the node's, to its pods."""
        (port,) = service["spec"]["ports"]

        def targets() -> list[Address]:
            return [Address(pod.network, pod.network.address, pod.port(port["targetPort"])) for pod in self._selected(service)]

        self._proxy.forward(Address(network, service["spec"]["clusterIP"], port["port"]), targets)

    def _note(self, namespace: str, deployment: str) -> None:
        """Write to a Deployment's status that it was rolled out."""
        generation = self.cluster.get(ADMIN, "deployment", "-n", namespace, deployment)["metadata"]["generation"]
        counted = dict.fromkeys(("replicas", "updatedReplicas", "readyReplicas", "availableReplicas"), len(self.pods[deployment]))
        patch = json.dumps({"status": {"observedGeneration": generation, **counted}})
        self.cluster.kubectl(ADMIN, "patch", "deployment", deployment, "-n", namespace, "--subresource=status", "--type=merge", "-p", patch)


def _node(port: int) -> Callable[[], Sequence[Address]]:
    """Return the targets of a port that the node itself serves."""
    return lambda: (Address(None, LOOPBACK, port),)


def port_of(url: str) -> int:
    """Return the port of a URL."""
    port = urlsplit(url).port
    assert port is not None
    return port


def endpoints(service: Object, pods: Sequence[Pod]) -> Object:
    """Return the EndpointSlice of a Service with these pods."""
    metadata = service["metadata"]
    ports = [{"name": port["name"], "port": pods[0].port(port["targetPort"])} for port in service["spec"]["ports"]]
    owner = {"apiVersion": "v1", "kind": "Service", "name": metadata["name"], "uid": metadata["uid"]}
    return {
        "apiVersion": "discovery.k8s.io/v1",
        "kind": "EndpointSlice",
        "metadata": {
            "name": f"{metadata['name']}-0",
            "namespace": metadata["namespace"],
            "labels": {"kubernetes.io/service-name": metadata["name"]},
            "ownerReferences": [owner],
        },
        "addressType": "IPv4",
        "endpoints": [{"addresses": [pod.network.address], "conditions": {"ready": True}} for pod in pods],
        "ports": ports,
    }


def job_status(outcome: str) -> Object:
    """Return the status of a Job whose only pod has ended."""
    now = datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
    complete = outcome == "Complete"
    conditions = [
        {"type": kind, "status": "True", "lastProbeTime": now, "lastTransitionTime": now}
        for kind in ("SuccessCriteriaMet" if complete else "FailureTarget", outcome)
    ]
    ended = {"succeeded": 1, "completionTime": now} if complete else {"failed": 1}
    return {"startTime": now, "conditions": conditions, **ended}


def own(volume: Path, group: int) -> None:
    """Apply fsGroup: the group owns a volume's files, and may write them."""
    for path in (volume, *volume.rglob("*")):
        os.chown(path, -1, group)
        path.chmod(path.stat().st_mode | (0o2070 if path.is_dir() else 0o060))


def runc(folder: Path) -> Sequence[str]:
    """Return the runtime's command, with its state in the pod's folder."""
    return "runc", "--root", str(folder / "runc")

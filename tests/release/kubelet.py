"""Run the pods of Deployments and Jobs from an image, as a node with kubelet, containerd, kube-proxy and
CoreDNS does.

The cluster's object determines arguments, user, volumes, root and probes. This module provides
what a node decides: tokens, addresses, owners of volumes. It does not implement seccomp, resource
limits and restarts.
"""

from __future__ import annotations

import base64
import json
import os
import shutil
import ssl
import subprocess
import sys
import urllib.error
import urllib.request
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, TypeAlias
from urllib.parse import urlsplit

from tests.integration.running import ADMIN, ROOT, eventually
from tests.release.network import NODE
from tests.release.oci import Mount, configuration, process

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from tests.integration.running import Running
    from tests.release.oci import Image

__all__ = ["Kubelet", "Pod"]

Object: TypeAlias = "dict[str, Any]"
TOKEN = "/var/run/secrets/kubernetes.io/serviceaccount"
STOP_SECONDS = 60
READY_SECONDS = 90
JOB_SECONDS = 120


@dataclass
class Pod:
    """A running container, and what it was created from."""

    name: str
    spec: Object
    folder: Path
    image: Image
    child: subprocess.Popen[bytes]
    variables: dict[str, str]

    @property
    def container(self) -> Object:
        """The only container of the pod."""
        (container,) = self.spec["containers"]
        found: Object = container
        return found

    @property
    def log(self) -> str:
        """The output of the container."""
        return (self.folder / "log").read_text(errors="replace")

    def port(self, name: str | int) -> int:
        """Return the number of a port, by its name."""
        if isinstance(name, int):
            return name
        (found,) = (port["containerPort"] for port in self.container["ports"] if port["name"] == name)
        return int(found)

    def execute(self, *command: str) -> subprocess.CompletedProcess[str]:
        """Run a command in the container, as `kubectl exec` and exec probes do."""
        file = self.folder / "process.json"
        file.write_text(json.dumps(process(self.spec, self.container, self.image, self.variables, command)))
        argv = [*runc(self.folder), "exec", "--process", str(file), self.name]
        return subprocess.run(argv, capture_output=True, text=True, timeout=60, check=False)

    def probe(self, kind: str) -> bool:
        """Return whether this probe of the manifest succeeds. A missing probe succeeds."""
        asked = self.container.get(kind, {})
        if "exec" in asked:
            return self.execute(*asked["exec"]["command"]).returncode == 0
        return "httpGet" not in asked or self._get(asked["httpGet"])

    def _get(self, asked: Object) -> bool:
        scheme = asked.get("scheme", "HTTP").lower()
        url = f"{scheme}://{asked.get('host', NODE)}:{self.port(asked['port'])}{asked.get('path', '/')}"
        # Like kubelet, this does not verify certificates.
        context = ssl._create_unverified_context() if scheme == "https" else None
        try:
            with urllib.request.urlopen(url, context=context, timeout=5) as answer:
                return 200 <= int(answer.status) < 400
        except OSError:
            return False

    def ready(self) -> bool:
        """Return whether a rollout would continue: started, alive and ready.

        Raises AssertionError if the container has ended."""
        assert self.child.poll() is None, f"{self.name} ended with {self.child.returncode}: {self.log[-3000:]}"
        return all(self.probe(kind) for kind in ("startupProbe", "readinessProbe", "livenessProbe"))

    def stop(self) -> None:
        """End it as kubelet does: TERM, and KILL after the grace period, which fails the test."""
        if self.child.poll() is None:
            subprocess.run([*runc(self.folder), "kill", self.name, "TERM"], check=True, capture_output=True)
            try:
                self.child.wait(self.spec["terminationGracePeriodSeconds"])
            except subprocess.TimeoutExpired:
                self.kill()
                raise AssertionError(f"{self.name} did not end in its grace period: {self.log[-2000:]}") from None

    def kill(self) -> None:
        """End it at once."""
        subprocess.run([*runc(self.folder), "kill", self.name, "KILL"], check=False, capture_output=True)
        self.child.wait(STOP_SECONDS)


@dataclass
class Kubelet:
    """One node of a cluster that hack/cluster has started in this network."""

    cluster: Running
    image: Image
    pods: dict[str, Pod] = field(default_factory=dict)
    forwarders: dict[str, subprocess.Popen[bytes]] = field(default_factory=dict)

    @property
    def folder(self) -> Path:
        """The folder in which the node keeps pods and volumes."""
        return self.cluster.root / "node"

    def run(self, namespace: str, deployment: str, image: Image | None = None) -> Pod:
        """Start a pod of a Deployment. Return when it is ready and, if a Service selects it,
        reachable through that."""
        template = self.cluster.get(ADMIN, "deployment", "-n", namespace, deployment)["spec"]["template"]
        pod = self._start(namespace, deployment, template["spec"], image or self.image)
        self.pods[deployment] = pod
        eventually(pod.ready, seconds=READY_SECONDS)
        self._publish(namespace, template["metadata"]["labels"], pod)
        return pod

    def stop(self, deployment: str) -> None:
        """End a Deployment's pod. Its folder is removed, and its claims' volumes stay."""
        pod = self.pods.pop(deployment)
        pod.stop()
        shutil.rmtree(pod.folder)

    def complete(self, namespace: str, job: str) -> str:
        """Run the pod of a Job to its end, note that in the Job's status, and return the log.

        Raises AssertionError with the log if the pod fails."""
        spec = self.cluster.get(ADMIN, "job", "-n", namespace, job)["spec"]["template"]["spec"]
        self._find_neighbours(namespace, spec)
        pod = self._start(namespace, job, spec, self.image)
        try:
            code = pod.child.wait(JOB_SECONDS)
        finally:
            pod.kill()
        log = pod.log
        shutil.rmtree(pod.folder)
        patch = json.dumps({"status": job_status("Complete" if code == 0 else "Failed")})
        self.cluster.kubectl(ADMIN, "patch", "job", job, "-n", namespace, "--subresource=status", "--type=merge", "-p", patch)
        assert code == 0, f"{job} ended with {code}: {log[-3000:]}"
        return log

    def _find_neighbours(self, namespace: str, spec: Object) -> None:
        """Check that this node has the pods that a pod must run beside."""
        terms = spec.get("affinity", {}).get("podAffinity", {}).get("requiredDuringSchedulingIgnoredDuringExecution", ())
        deployments = self.cluster.items(ADMIN, "deployments", "-n", namespace)
        for term in terms:
            wanted = term["labelSelector"]["matchLabels"].items()
            fitting = {item["metadata"]["name"] for item in deployments if wanted <= item["spec"]["template"]["metadata"]["labels"].items()}
            assert fitting & self.pods.keys(), f"no pod runs that {term} selects"

    def close(self) -> None:
        """Kill everything."""
        for pod in self.pods.values():
            pod.kill()
        for forwarder in self.forwarders.values():
            forwarder.kill()
            forwarder.wait(STOP_SECONDS)

    def _start(self, namespace: str, name: str, spec: Object, image: Image) -> Pod:
        folder = self.folder / "pods" / name
        folder.mkdir(parents=True)
        server = urlsplit(self.cluster.description[ADMIN]["server"])
        variables = {"KUBERNETES_SERVICE_HOST": str(server.hostname), "KUBERNETES_SERVICE_PORT": str(server.port)}
        maps = {item["metadata"]["name"]: item.get("data", {}) for item in self.cluster.items(ADMIN, "configmaps", "-n", namespace)}
        spec = {**spec, "hostname": name, "namespace": namespace, "address": NODE, "configMaps": maps}
        (container,) = spec["containers"]
        mounts = [*self._volumes(namespace, spec, container, folder), self._hosts(folder)]
        if spec.get("automountServiceAccountToken", True):
            mounts.append(self._identity(namespace, spec["serviceAccountName"], folder))
        (folder / "config.json").write_text(json.dumps(configuration(spec, container, image, mounts, variables)))
        with (folder / "log").open("wb") as log:
            argv = [*runc(folder), "run", "--bundle", str(folder), name]
            child = subprocess.Popen(argv, stdin=subprocess.DEVNULL, stdout=log, stderr=log)
        return Pod(name, spec, folder, image, child, variables)

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
        return [name for name, pod in self.pods.items() if claim in json.dumps(pod.spec["volumes"])]

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

    def _publish(self, namespace: str, labels: dict[str, str], pod: Pod) -> None:
        """Publish a ready pod as the endpoints controller and kube-proxy do."""
        for service in self.cluster.items(ADMIN, "services", "-n", namespace):
            selector = service["spec"].get("selector")
            if selector and selector.items() <= labels.items():
                self.cluster.kubectl(ADMIN, "apply", "-f", "-", stdin=endpoints(service, pod))
                self._forward(service, pod)

    def _forward(self, service: Object, pod: Pod) -> None:
        name, address = service["metadata"]["name"], service["spec"]["clusterIP"]
        if name not in self.forwarders:
            (port,) = service["spec"]["ports"]
            argv = [sys.executable, "-m", "tests.release.forward", address, str(port["port"]), NODE, str(pod.port(port["targetPort"]))]
            self.forwarders[name] = subprocess.Popen(argv, cwd=ROOT)


def endpoints(service: Object, pod: Pod) -> Object:
    """Return the EndpointSlice of a Service with one pod."""
    metadata = service["metadata"]
    ports = [{"name": port["name"], "port": pod.port(port["targetPort"])} for port in service["spec"]["ports"]]
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
        "endpoints": [{"addresses": [NODE], "conditions": {"ready": True}}],
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

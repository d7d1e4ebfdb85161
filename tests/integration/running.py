"""Use a running cluster in tests: kubectl and requests as any user, and waits for conditions."""

from __future__ import annotations

import base64
import json
import ssl
import subprocess
import sys
import time
import urllib.error
import urllib.request
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

ROOT = Path(__file__).resolve().parents[2]
OWNER = "hardware"
ADMIN = "management"
TARGET = "target"
UP_SECONDS = 300
KUBECTL_SECONDS = 120


class KubectlError(AssertionError):
    """kubectl failed. The text contains its error output."""


@dataclass(frozen=True)
class Answer:
    """An HTTP answer: status code, headers and body."""

    code: int
    headers: Mapping[str, str]
    body: bytes

    def json(self) -> Any:
        """Return the decoded body."""
        return json.loads(self.body)


@dataclass(frozen=True)
class Running:
    """A cluster that `hack/cluster up` created.

    `who` is OWNER, ADMIN, TARGET (the target's administrator) or a tenant's name."""

    root: Path
    tools: Path
    description: dict[str, Any] = field(repr=False)

    def through_gateway(self) -> Running:
        """Return the cluster as its tenants see it through the gateway, with tokens."""
        return replace(self, description={**self.description, "tenants": self.description["gateway"]})

    def kubeconfig(self, who: str) -> str:
        """Return the path of a user's kubeconfig."""
        if who in (OWNER, ADMIN, TARGET):
            return str(self.description[who]["kubeconfig"])
        return str(self.description["tenants"][who])

    def try_kubectl(self, who: str, *arguments: str, stdin: Any = None) -> subprocess.CompletedProcess[str]:
        """Run kubectl as a user. `stdin` is an object, or a list of objects, for `-f -`."""
        text = (
            None
            if stdin is None
            else json.dumps({"apiVersion": "v1", "kind": "List", "items": stdin} if isinstance(stdin, list) else stdin)
        )
        argv = [str(self.tools / "kubectl"), "--kubeconfig", self.kubeconfig(who), *arguments]
        cache = {"KUBECACHEDIR": str(self.root / "kubectl-cache"), "HOME": str(self.root)}
        return subprocess.run(argv, input=text, capture_output=True, text=True, check=False, timeout=KUBECTL_SECONDS, env=cache)

    def kubectl(self, who: str, *arguments: str, stdin: Any = None) -> str:
        """Run kubectl as a user, and return its output. Raises KubectlError if it fails."""
        done = self.try_kubectl(who, *arguments, stdin=stdin)
        if done.returncode != 0:
            raise KubectlError(f"kubectl {' '.join(arguments)} as {who}: {done.stderr.strip() or done.stdout.strip()}")
        return done.stdout

    def get(self, who: str, *arguments: str) -> dict[str, Any]:
        """Return the decoded output of `kubectl get ... -o json`."""
        decoded: dict[str, Any] = json.loads(self.kubectl(who, "get", *arguments, "-o", "json"))
        return decoded

    def items(self, who: str, *arguments: str) -> list[dict[str, Any]]:
        """Return the items of a list."""
        items: list[dict[str, Any]] = self.get(who, *arguments)["items"]
        return items

    def direct(
        self,
        path: str,
        *,
        identity: tuple[str, str] | None = None,
        headers: Mapping[str, str] | None = None,
        through: str | None = None,
        at: str = "",
        method: str = "GET",
        body: Any = None,
    ) -> Answer:
        """Send a request to the API server itself, or `through` the kube-apiserver at that URL, or
        to the URL `at` with the server's certificate.

        `identity` is a client certificate (certificate, key) or None. Never raises for a status;
        raises urllib.error.URLError if there is no answer.
        """
        if through is None:
            context = ssl.create_default_context(cafile=self.description["apiserver"]["ca"])
        else:
            context = ssl.create_default_context(cadata=self._cluster_ca())
        if identity is not None:
            context.load_cert_chain(*identity)
        data = None if body is None else json.dumps(body).encode()
        url = (through or at or self.description["apiserver"]["url"]) + path
        request = urllib.request.Request(url, data, {"Content-Type": "application/json", **(headers or {})}, method=method)
        try:
            with urllib.request.urlopen(request, context=context, timeout=30) as response:
                return Answer(response.status, dict(response.headers), response.read())
        except urllib.error.HTTPError as error:
            with error:
                return Answer(error.code, dict(error.headers), error.read())

    def tenant_identity(self, tenant: str) -> tuple[str, str]:
        """Return the certificate and key of a tenant, as files."""
        return str(self.root / "pki" / f"tenant-{tenant}.crt"), str(self.root / "pki" / f"tenant-{tenant}.key")

    def admin_identity(self) -> tuple[str, str]:
        """Return the certificate and key of the management cluster's administrator, as files."""
        return self.description["apiserver"]["clientCert"], self.description["apiserver"]["clientKey"]

    def _cluster_ca(self) -> str:
        config = json.loads(Path(self.kubeconfig(ADMIN)).read_text())
        return base64.b64decode(config["clusters"][0]["cluster"]["certificate-authority-data"]).decode("ascii")


def eventually(check: Callable[[], Any], seconds: float = 60, poll: float = 0.2) -> Any:
    """Call `check` until it returns a true value, and return that.

    When the time is over, the error contains the last AssertionError or value."""
    deadline = time.monotonic() + seconds
    while True:
        last: object
        try:
            if result := check():
                return result
            last = result
        except AssertionError as error:
            last = error
        if time.monotonic() > deadline:
            raise AssertionError(f"not within {seconds:g} s: {last}")
        time.sleep(poll)


def start(folder: Path, *options: str) -> Running:
    """Bring a cluster up in `folder`. Raises AssertionError with its output if that fails."""
    tools = subprocess.run([ROOT / "hack/tools/build"], stdout=subprocess.PIPE, text=True, check=True).stdout.strip()
    command = [sys.executable, str(ROOT / "hack/cluster"), "up", str(folder), *options]
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=UP_SECONDS)
    assert done.returncode == 0, done.stderr + tails(folder)
    return Running(folder, Path(tools), json.loads((folder / "cluster.json").read_text()))


def tails(folder: Path) -> str:
    """Return the ends of the logs of the project's own processes.

    The folder is already deleted when a failure is read."""
    logs = [folder / "logs" / f"{name}.log" for name in ("apiserver", "controllers", "simulated-bmo")]
    return "".join(f"--- {log.name}\n" + "\n".join(log.read_text().splitlines()[-40:]) + "\n" for log in logs if log.exists())


def restart(cluster: Running, name: str, *options: str) -> None:
    """End a process of the cluster and start it again. Its readiness is not awaited."""
    command = [sys.executable, str(ROOT / "hack/cluster"), "restart", str(cluster.root), name, *options]
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=UP_SECONDS)
    assert done.returncode == 0, done.stderr


def stop(folder: Path) -> None:
    """End a cluster."""
    command = [sys.executable, str(ROOT / "hack/cluster"), "down", str(folder)]
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=UP_SECONDS)
    assert (done.returncode, done.stderr) == (0, ""), done.stderr

"""Run the real kubectl, as a user does."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
from dataclasses import dataclass
from pathlib import Path
from typing import Any

SECONDS = 60


class Refused(Exception):
    """kubectl ended with an error. The message is its error output."""


def find_kubectl() -> Path | None:
    """Return KUBEBUILDER_ASSETS' kubectl, else the newest that hack/tools/build has built, else the
    one on PATH."""
    assets = os.environ.get("KUBEBUILDER_ASSETS")
    if assets and (Path(assets) / "kubectl").exists():
        return Path(assets) / "kubectl"
    tools = Path(os.environ.get("METAL3_TOOLS") or Path.home() / ".cache/metal3-workloads/tools")
    built = sorted(tools.glob("*/kubectl"), key=lambda path: path.stat().st_mtime)
    if built:
        return built[-1]
    found = shutil.which("kubectl")
    return Path(found) if found else None


@dataclass(frozen=True)
class Kubectl:
    """kubectl as one user. `cache`: a folder for its discovery cache, separate from the
    developer's."""

    binary: Path
    kubeconfig: Path
    cache: Path
    context: str = "management"

    def __call__(self, *arguments: str, stdin: str | None = None) -> str:
        """Return the output of kubectl. Raises Refused."""
        done = subprocess.run(
            self.command(*arguments), input=stdin, capture_output=True, text=True, timeout=SECONDS, check=False, env=self.environment
        )
        if done.returncode:
            raise Refused(done.stderr.strip() or f"kubectl {arguments[0]} ended with {done.returncode}")
        return done.stdout

    def json(self, *arguments: str) -> dict[str, Any]:
        """Return the output of kubectl, decoded from JSON."""
        found: dict[str, Any] = json.loads(self(*arguments, "-o", "json"))
        return found

    def items(self, *arguments: str) -> list[dict[str, Any]]:
        """Return the items of a list."""
        found: list[dict[str, Any]] = self.json("get", *arguments)["items"]
        return found

    def apply(self, *objects: dict[str, Any]) -> str:
        """Run kubectl apply."""
        return self("apply", "-f", "-", stdin="\n---\n".join(json.dumps(obj) for obj in objects))

    def wait(self, what: str, for_: str, *, seconds: int = 30) -> str:
        """Run kubectl wait. `for_`: for example jsonpath={.status.phase}=Running, or delete."""
        return self("wait", what, f"--for={for_}", f"--timeout={seconds}s")

    def on(self, context: str) -> Kubectl:
        """Return the same user at another endpoint."""
        return Kubectl(self.binary, self.kubeconfig, self.cache, context)

    def watch(self, *arguments: str) -> subprocess.Popen[str]:
        """Start a `kubectl get -w`, which the caller has to kill."""
        return subprocess.Popen(
            self.command("get", "-w", *arguments), stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True, env=self.environment
        )

    def command(self, *arguments: str) -> list[str]:
        """Return the whole command line."""
        common = ["--kubeconfig", str(self.kubeconfig), "--context", self.context, "--cache-dir", str(self.cache)]
        return [str(self.binary), *common, *arguments]

    @property
    def environment(self) -> dict[str, str]:
        """Return the environment, without the developer's own configuration."""
        return {"PATH": os.environ["PATH"], "HOME": str(self.cache)}

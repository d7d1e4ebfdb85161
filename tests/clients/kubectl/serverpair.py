"""Run kubectl on a kind of ours and on its twin: a CustomResourceDefinition with the same schema.

The kube-apiserver itself serves the twin. kubectl must print the same for both, after the group's
name and the differences between any two objects (uids, times) are blanked. The twin's group is as
long as ours, so that tables keep their columns.
"""

from __future__ import annotations

import json
import re
import subprocess
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from apiserver.registry.generic.schema import structural_schema
from apiserver.registry.workload import WORKLOADS
from tests.integration.running import ADMIN, KUBECTL_SECONDS, eventually

if TYPE_CHECKING:
    from collections.abc import Mapping

    from tests.integration.running import Running

GROUP, TWIN_GROUP = WORKLOADS.group, "workload.etalon.io"
KIND = f"{WORKLOADS.plural}.{GROUP}"
assert len(GROUP) == len(TWIN_GROUP)
NAMESPACES = ("ours", "twin")

# Values that differ between any two objects, and names that kubectl generates itself.
BLANKS = (
    (r"[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}", "UID"),
    (r"\d{4}-\d\d-\d\d[T ]\d\d:\d\d:\d\d(\.\d+)?( \+0000|Z)?", "TIME"),
    (r"(resourceVersion\\?\"?: *\\?\"?)\d+", r"\1RV"),
    (r"(Resource Version: +)\d+", r"\1RV"),
    # The padding is included: between two commands, an age may become a character longer, and its
    # column as well.
    (r"(?<=\s)(?:AGE|\d+(?:s|m\d*s?))(?: +|(?=\s))", "AGE "),
    (r"/tmp/(LIVE|MERGED)-\d+", r"\1"),
    (r"kubectl-edit-\d+", "kubectl-edit"),
)


@dataclass(frozen=True)
class Outcome:
    """The output and the exit code of a command."""

    code: int
    out: str
    err: str


@dataclass(frozen=True)
class ServerPair:
    """Runs commands on both kinds, in a namespace for each.

    In arguments and bodies, GROUP and `ours` stand for either's."""

    cluster: Running

    def install(self) -> None:
        """Create the twin and the namespaces."""
        self.cluster.kubectl(ADMIN, "apply", "--server-side", "-f", "-", stdin=definition())
        self.cluster.kubectl(ADMIN, "wait", f"crd/{WORKLOADS.plural}.{TWIN_GROUP}", "--for=condition=Established", "--timeout=30s")
        for namespace in NAMESPACES:
            self.cluster.kubectl(ADMIN, "create", "namespace", namespace)
        eventually(lambda: f"{WORKLOADS.plural}" in self.raw("twin", "api-resources", f"--api-group={TWIN_GROUP}").out, seconds=90)
        # The OpenAPI of a new kind is published a moment after the kind itself. apply and explain
        # need it.
        eventually(lambda: self.raw("twin", "explain", "workloads", f"--api-version={TWIN_GROUP}/v1alpha1").code == 0, seconds=90)

    def same(self, *arguments: str, stdin: Any = None, code: int = 0, env: Mapping[str, str] | None = None) -> str:
        """Run a command on both. Return our output, blanked.

        Asserts that both end with `code` and the same output."""
        text = stdin if stdin is None or isinstance(stdin, str) else json.dumps(stdin)
        ours, twin = (self.run(which, *arguments, stdin=text, env=env) for which in NAMESPACES)
        command = " ".join(arguments)
        assert (ours.code, ours.err) == (twin.code, twin.err), f"kubectl {command}: (ours, the twin's)"
        assert ours.out == twin.out, f"kubectl {command}"
        assert ours.code == code, f"kubectl {command} ended with {ours.code}: {ours.err}"
        return ours.out + ours.err

    def run(self, which: str, *arguments: str, stdin: str | None = None, env: Mapping[str, str] | None = None) -> Outcome:
        """Run a command on one of them. The outcome is blanked."""
        done = self.raw(which, *(for_twin(a, which) for a in arguments), stdin=for_twin(stdin, which) if stdin else None, env=env)
        return Outcome(done.code, blank(done.out), blank(done.err))

    def raw(self, which: str, *arguments: str, stdin: str | None = None, env: Mapping[str, str] | None = None) -> Outcome:
        """Run a command unchanged, in the namespace of one of them."""
        done = subprocess.run(
            self.command(which, *arguments), input=stdin, capture_output=True, text=True, check=False, timeout=KUBECTL_SECONDS,
            env={**self.environment(), **(env or {})},
        )  # fmt: skip
        return Outcome(done.returncode, done.stdout, done.stderr)

    def command(self, which: str, *arguments: str) -> list[str]:
        """Return the command line."""
        return [str(self.cluster.tools / "kubectl"), f"--kubeconfig={self.cluster.kubeconfig(ADMIN)}", f"--namespace={which}", *arguments]

    def environment(self) -> dict[str, str]:
        """Return an environment without the developer's settings. It finds diff and sed in the
        system's folders."""
        cache = str(self.cluster.root / "kubectl-cache")
        return {"HOME": str(self.cluster.root), "KUBECACHEDIR": cache, "PATH": "/usr/bin:/bin", "TZ": "UTC"}

    def make(self, name: str, *, labels: dict[str, str] | None = None, **spec: Any) -> None:
        """Create an object in both. The twin gets the status that ours has right after its
        creation."""
        for which in NAMESPACES:
            made = self.raw(which, "create", "-f", "-", stdin=for_twin(json.dumps(workload(name, labels=labels, **spec)), which))
            assert made.code == 0, made.err
        self.status(name, {"phase": "Pending", "observedGeneration": 0}, only="twin")

    def status(self, name: str, status: dict[str, Any], *, only: str = "") -> None:
        """Write a status, as controllers do."""
        for which in [only] if only else NAMESPACES:
            kind = for_twin(f"{WORKLOADS.plural}.{GROUP}", which)
            done = self.raw(which, "patch", kind, name, "--subresource=status", "--type=merge", "-p", json.dumps({"status": status}))
            assert done.code == 0, done.err


def for_twin(text: str, which: str) -> str:
    """Return `text`, which is for ours, converted for `which`."""
    if which == "ours":
        return text
    return text.replace(GROUP, TWIN_GROUP).replace('"ours"', '"twin"').replace("/namespaces/ours", "/namespaces/twin")


def blank(text: str) -> str:
    """Return `text` converted for ours, without the differences between any two objects."""
    text = text.replace(TWIN_GROUP, GROUP)
    text = re.sub(r"\btwin\b", "ours", text)
    for pattern, replacement in BLANKS:
        text = re.sub(pattern, replacement, text)
    return text


def workload(name: str, *, labels: dict[str, str] | None = None, **spec: Any) -> dict[str, Any]:
    """Return a Workload with every field that the server would otherwise default."""
    metadata: dict[str, Any] = {"name": name} | ({"labels": labels} if labels else {})
    image = {"url": "https://images.example.com/os.qcow2", "checksum": "0" * 64, "checksumType": "sha256"}
    return {
        "apiVersion": WORKLOADS.api_version,
        "kind": WORKLOADS.kind,
        "metadata": metadata,
        "spec": {"className": "metal", "image": image, "online": True, **spec},
    }


def definition() -> dict[str, Any]:
    """Return the twin's CustomResourceDefinition."""
    version = {
        "name": WORKLOADS.version,
        "served": True,
        "storage": True,
        "subresources": {"status": {}},
        "additionalPrinterColumns": [_column(column) for column in WORKLOADS.columns],
        "selectableFields": [{"jsonPath": f".{path}"} for path in (WORKLOADS.fields or {}).values()],
        "schema": {"openAPIV3Schema": structural_schema(WORKLOADS)},
    }
    names = {
        "kind": WORKLOADS.kind,
        "listKind": f"{WORKLOADS.kind}List",
        "plural": WORKLOADS.plural,
        "singular": WORKLOADS.singular,
        "shortNames": list(WORKLOADS.short_names),
        "categories": list(WORKLOADS.categories),
    }
    spec = {"group": TWIN_GROUP, "names": names, "scope": "Namespaced", "versions": [version]}
    metadata = {"name": f"{WORKLOADS.plural}.{TWIN_GROUP}"}
    return {"apiVersion": "apiextensions.k8s.io/v1", "kind": "CustomResourceDefinition", "metadata": metadata, "spec": spec}


def _column(column: Any) -> dict[str, Any]:
    path = re.sub(r"\.\((\w+)\)", r'[?(@.type=="\1")]', column.path)
    shown = {"name": column.name, "type": column.type, "jsonPath": f".{path}", "priority": column.priority}
    return shown | ({"description": column.description} if column.description else {})

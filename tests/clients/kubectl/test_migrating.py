"""Migrate a Workload whose class the server chose from client-side to server-side apply and back,
as kubectl, Helm and Argo CD do.

Helm 4 and Argo CD send as a JSON patch what csaupgrade of client-go makes of managedFields. The
test sends the same patch.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest

from tests.clients.kubectl.serverpair import KIND, ServerPair, for_twin, workload

if TYPE_CHECKING:
    from collections.abc import Iterator

BOTH = ("ours", "twin")


@pytest.fixture(autouse=True)
def tidied(pair: ServerPair) -> Iterator[None]:
    """Delete all objects afterwards, because other tests compare lists."""
    yield
    for which in BOTH:
        run(pair, which, "delete", KIND, "--all", "--timeout=60s")


def manifest(name: str, **spec: Any) -> dict[str, Any]:
    """Return a Workload as people write it, without the fields that have defaults."""
    found = workload(name, **spec)
    for field in ("className", "online"):
        if field not in spec:
            del found["spec"][field]
    return found


def run(pair: ServerPair, which: str, *arguments: str, stdin: Any = None) -> str:
    """Run a command that has to succeed."""
    text = for_twin(json.dumps(stdin), which) if stdin is not None else None
    done = pair.raw(which, *(for_twin(argument, which) for argument in arguments), stdin=text)
    assert done.code == 0, f"{which}: kubectl {' '.join(arguments)}: {done.err}"
    return done.out + done.err


def found(pair: ServerPair, which: str, name: str) -> dict[str, Any]:
    got: dict[str, Any] = json.loads(run(pair, which, "get", KIND, name, "-o", "json", "--show-managed-fields"))
    return got


def migrate(pair: ServerPair, which: str, name: str, old: str, new: str) -> None:
    """Rewrite managedFields as csaupgrade does: what `old` owns by Update, `new` then owns by
    Apply."""
    metadata = found(pair, which, name)["metadata"]
    fields = [
        {**entry, "manager": new, "operation": "Apply"} if (entry["manager"], entry["operation"]) == (old, "Update") else entry
        for entry in metadata["managedFields"]
    ]
    patch = [
        {"op": "replace", "path": "/metadata/managedFields", "value": fields},
        {"op": "replace", "path": "/metadata/resourceVersion", "value": metadata["resourceVersion"]},
    ]
    run(pair, which, "patch", KIND, name, "--type=json", f"--field-manager={new}", "-p", json.dumps(patch))


def owned(pair: ServerPair, which: str, name: str) -> dict[str, set[str]]:
    """Return the fields of spec by manager."""
    entries = found(pair, which, name)["metadata"]["managedFields"]
    return {entry["manager"]: set(entry["fieldsV1"].get("f:spec", {})) - {"."} for entry in entries if "f:spec" in entry["fieldsV1"]}


@pytest.mark.parametrize("which", BOTH)
def test_apply_then_server_side_apply(pair: ServerPair, which: str) -> None:
    name = f"applied-{which}"
    run(pair, which, "apply", "-f", "-", stdin=manifest(name))
    for _ in range(3):
        reported = run(pair, which, "apply", "--server-side", "-f", "-", stdin=manifest(name))
        assert "failed to re-apply" not in reported
    run(pair, which, "apply", "--server-side", "-f", "-", stdin=manifest(name, online=False))
    run(pair, which, "apply", "-f", "-", stdin=manifest(name, failureDomain="a"))
    assert "f:className" not in {field for fields in owned(pair, which, name).values() for field in fields}
    assert found(pair, which, name)["spec"].get("className") == ("metal" if which == "ours" else None)


@pytest.mark.parametrize("which", BOTH)
def test_replace(pair: ServerPair, which: str) -> None:
    name = f"replaced-{which}"
    run(pair, which, "create", "-f", "-", stdin=manifest(name))
    for online in (False, True):
        run(pair, which, "replace", "-f", "-", stdin=manifest(name, online=online))
    assert found(pair, which, name)["spec"]["online"] is True


@pytest.mark.parametrize("which", BOTH)
@pytest.mark.parametrize(
    ("old", "new", "options"),
    [
        pytest.param("helm", "helm", ("--force-conflicts",), id="helm-3-to-4"),
        pytest.param("helm", "helm", (), id="helm-3-to-4-without-force"),
        pytest.param("kubectl-client-side-apply", "argocd-controller", ("--force-conflicts",), id="argo-cd"),
        pytest.param("kubectl-client-side-apply", "kustomize-controller", ("--force-conflicts",), id="flux"),
    ],
)
def test_taking_over(pair: ServerPair, which: str, old: str, new: str, options: tuple[str, ...]) -> None:
    name = f"{new}-{len(options)}-{which}"
    run(pair, which, "create", f"--field-manager={old}", "-f", "-", stdin=manifest(name, online=True))
    migrate(pair, which, name, old, new)
    for online in (True, True, False):
        run(
            pair, which, "apply", "--server-side", f"--field-manager={new}", *options, "-f", "-", stdin=manifest(name, online=online)
        )  # fmt: skip
    assert owned(pair, which, name)[new] >= {"f:image", "f:online"}

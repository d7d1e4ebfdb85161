"""Check that kubectl create, apply, diff, edit, patch, label, annotate, replace and wait work as
for a kind of kube-apiserver itself."""

from __future__ import annotations

import json
from typing import Any

import pytest

from tests.clients.kubectl.serverpair import KIND, NAMESPACES, ServerPair, workload


@pytest.fixture
def one(pair: ServerPair, request: pytest.FixtureRequest) -> str:
    """Return the name of an object in both that the test may change."""
    name = request.node.name.replace("_", "-").partition("[")[0]
    pair.make(name, labels={"app": name})
    return str(name)


def test_apply(pair: ServerPair) -> None:
    obj = workload("applied", labels={"a": "1"})
    assert "applied created" in pair.same("apply", "-f", "-", stdin=obj)
    pair.status("applied", {"phase": "Pending", "observedGeneration": 0}, only="twin")
    assert "applied unchanged" in pair.same("apply", "-f", "-", stdin=obj)
    obj["spec"]["online"] = False
    obj["metadata"]["labels"] = {"b": "2"}
    assert "configured (server dry run)" in pair.same("apply", "-f", "-", "--dry-run=server", stdin=obj)
    assert "configured (dry run)" in pair.same("apply", "-f", "-", "--dry-run=client", stdin=obj)
    changes = pair.same("diff", "-f", "-", stdin=obj, code=1)
    assert "-  online: true\n+  online: false\n" in changes
    assert "    b: " in pair.same("apply", "-f", "-", "-o", "yaml", stdin=obj)
    assert pair.same("diff", "-f", "-", stdin=obj) == ""
    assert "online: false" in pair.same("apply", "view-last-applied", KIND, "applied")
    del obj["spec"]["image"]
    pair.same("apply", "-f", "-", stdin=obj)
    assert "image" not in pair.same("get", KIND, "applied", "-o", "jsonpath={.spec}")


def test_server_side_apply(pair: ServerPair) -> None:
    obj = workload("managed")
    assert "managed serverside-applied" in pair.same("apply", "--server-side", "-f", "-", stdin=obj)
    pair.status("managed", {"phase": "Pending", "observedGeneration": 0}, only="twin")
    pair.same("apply", "--server-side", "-f", "-", stdin=obj)
    obj["spec"]["online"] = False
    other = ["apply", "--server-side", "--field-manager=other", "-f", "-"]
    conflict = pair.same(*other, stdin=obj, code=1)
    assert 'conflict with "kubectl": .spec.online' in conflict
    pair.same(*other, "--force-conflicts", "--dry-run=server", stdin=obj)
    assert "+  online: false" in pair.same(
        "diff", "--server-side", "--field-manager=other", "--force-conflicts", "-f", "-", stdin=obj, code=1
    )
    pair.same(*other, "--force-conflicts", stdin=obj)
    assert '"manager": "other"' in _managers(pair)
    # A field that its only manager leaves out is removed.
    del obj["spec"]["className"], obj["spec"]["online"], obj["spec"]["image"]
    pair.same("apply", "--server-side", "-f", "-", stdin=obj)
    assert "https://images.example.com/os.qcow2" in pair.same("get", KIND, "managed", "-o", "jsonpath={.spec}")


def _managers(pair: ServerPair) -> str:
    """Return the managers and their fields, except of the status, which only the twin got by a
    patch."""
    found = []
    for which in NAMESPACES:
        answer = json.loads(pair.run(which, "get", KIND, "managed", "-o", "json", "--show-managed-fields").out)
        found.append([entry for entry in answer["metadata"]["managedFields"] if "subresource" not in entry])
    assert found[0] == found[1]
    return json.dumps(found[0])


PATCHES = {
    "merge": ("merge", '{"spec": {"online": false}}'),
    "merge-object": ("merge", '{"spec": {"image": null, "hostSelector": {"matchLabels": {"a": "b"}}}}'),
    "merge-label": ("merge", '{"metadata": {"labels": {"app": null}}}'),
    "json": (
        "json",
        '[{"op": "test", "path": "/spec/className", "value": "metal"}, {"op": "replace", "path": "/spec/online", "value": false}]',
    ),
    "json-object": (
        "json",
        '[{"op": "add", "path": "/metadata/annotations", "value": {"a": "b"}}, {"op": "remove", "path": "/spec/image"}]',
    ),
}


@pytest.mark.parametrize("which", PATCHES)
def test_patch(pair: ServerPair, which: str) -> None:
    name, (kind, patch) = f"patched-{which}", PATCHES[which]
    pair.make(name, labels={"app": name})
    before = pair.same("get", KIND, name, "-o", "yaml")
    pair.same("patch", KIND, name, f"--type={kind}", "-p", patch, "--dry-run=server")
    assert pair.same("get", KIND, name, "-o", "yaml") == before
    assert "patched" in pair.same("patch", KIND, name, f"--type={kind}", "-p", patch)
    assert "(no change)" in pair.same("patch", KIND, name, "--type=merge", "-p", "{}")
    assert pair.same("get", KIND, name, "-o", "yaml") != before


@pytest.mark.parametrize(
    ("kind", "patch", "says"),
    [
        ("strategic", '{"spec": {"online": false}}', "strategic-merge-patch"),
        ("merge", '{"spec": {"online": "maybe"}}', "spec.online"),
        ("merge", '{"spec": {"image": {"url": "u", "format": "odd"}}}', 'supported values: "raw"'),
        ("merge", '{"spec": {"nothing": 1}}', "spec.nothing"),
    ],
)
def test_patches_that_are_refused(pair: ServerPair, kind: str, patch: str, says: str) -> None:
    if pair.raw("ours", "get", KIND, "refusing").code:
        pair.make("refusing")
    ours, twin = (pair.run(which, "patch", KIND, "refusing", f"--type={kind}", "-p", patch) for which in NAMESPACES)
    assert ours == twin
    assert says in ours.err + ours.out


@pytest.mark.parametrize("operation", ['{"op": "test", "path": "/spec/className", "value": "x"}', '{"op": "remove", "path": "/spec/nope"}'])
def test_json_patches_that_do_not_fit(pair: ServerPair, operation: str) -> None:
    """Check JSON patches that do not fit. Our server says in addition what did not fit."""
    if pair.raw("ours", "get", KIND, "unfit").code:
        pair.make("unfit")
    ours, twin = (pair.run(which, "patch", KIND, "unfit", "--type=json", "-p", f"[{operation}]") for which in NAMESPACES)
    assert ours.code == twin.code == 1
    assert ours.err.startswith(f"{twin.err.rstrip()}: ")


def test_label(pair: ServerPair, one: str) -> None:
    pair.same("label", KIND, one, "x=y")
    assert "--overwrite is false" in pair.same("label", KIND, one, "x=z", code=1)
    pair.same("label", KIND, one, "x=z", "--overwrite")
    ours, twin = (sorted(pair.run(which, "label", KIND, one, "--list").out.splitlines()) for which in NAMESPACES)
    assert ours == twin  # kubectl lists them in no particular order
    assert "x=z" in ours
    assert "unlabeled" in pair.same("label", KIND, one, "x-")
    assert "not found" in pair.same("label", KIND, one, "x-")
    pair.same("label", KIND, one, "x=not valid", code=1)
    pair.same("label", KIND, "-l", f"app={one}", "many=yes")
    pair.same("get", KIND, one, "--show-labels")


def test_annotate(pair: ServerPair, one: str) -> None:
    pair.same("annotate", KIND, one, "x=y z")
    pair.same("annotate", KIND, one, "x=1", code=1)
    pair.same("annotate", KIND, one, "x=1", "--overwrite")
    pair.same("annotate", KIND, one, "x-")
    pair.same("annotate", KIND, "-l", f"app={one}", "many=yes")
    assert "many" in pair.same("get", KIND, one, "-o", "jsonpath={.metadata.annotations}")


def test_replace(pair: ServerPair, one: str) -> None:
    obj: dict[str, Any] = workload(one, labels={"app": one})
    obj["spec"]["online"] = False
    pair.same("replace", "-f", "-", stdin=obj)
    stale = {**obj, "metadata": {**obj["metadata"], "resourceVersion": "1"}}
    assert "the object has been modified" in pair.same("replace", "-f", "-", stdin=stale, code=1)
    pair.same("replace", "--force", "-f", "-", stdin=obj)
    pair.same("replace", "-f", "-", stdin=workload("nowhere"), code=1)


def test_create(pair: ServerPair) -> None:
    obj = workload("made")
    for how in ("server", "client"):
        assert "dry run" in pair.same("create", "-f", "-", f"--dry-run={how}", stdin=obj)
        pair.same("get", KIND, "made", code=1)
    pair.same("create", "-f", "-", stdin=obj)
    assert "already exists" in pair.same("create", "-f", "-", stdin=obj, code=1)
    unknown = workload("unknown", nothing=1)
    assert 'unknown field "spec.nothing"' in pair.same("create", "-f", "-", stdin=unknown, code=1)
    assert 'Warning: unknown field "spec.nothing"' in pair.same("create", "--validate=warn", "-f", "-", stdin=unknown)
    pair.same("create", "--validate=ignore", "-f", "-", stdin=workload("ignored", nothing=1))
    assert "spec.online" in pair.same("create", "--validate=false", "-f", "-", stdin=workload("wrong", online="maybe"), code=1)
    assert "Bad_Name" in pair.same("create", "-f", "-", stdin=workload("Bad_Name"), code=1)


def test_edit(pair: ServerPair, one: str) -> None:
    pair.same("edit", KIND, one, env={"KUBE_EDITOR": "sed -i s/true/false/"})
    assert pair.same("get", KIND, one, "-o", "jsonpath={.spec.online}") == "false"
    assert "no changes made" in pair.same("edit", KIND, one, env={"KUBE_EDITOR": "true"})


def test_wait(pair: ServerPair, one: str) -> None:
    ready: dict[str, Any] = {"type": "Ready", "status": "True", "reason": "Provisioned", "message": "", "observedGeneration": 1}
    ready["lastTransitionTime"] = "2026-01-02T03:04:05Z"
    pair.status(one, {"phase": "Running", "conditions": [ready]})
    assert "condition met" in pair.same("wait", f"{KIND}/{one}", "--for=condition=Ready", "--timeout=10s")
    pair.same("wait", f"{KIND}/{one}", "--for=jsonpath={.status.phase}=Running", "--timeout=10s")
    assert "timed out" in pair.same("wait", f"{KIND}/{one}", "--for=condition=Odd", "--timeout=1s", code=1)
    assert "timed out" in pair.same("wait", f"{KIND}/{one}", "--for=delete", "--timeout=1s", code=1)
    pair.same("wait", f"{KIND}/none", "--for=delete", "--timeout=10s")

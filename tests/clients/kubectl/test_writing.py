"""Check that kubectl create, apply, diff, edit, patch, label, annotate, replace and wait work as
for a kind of kube-apiserver itself."""

from __future__ import annotations

import json
from typing import Any

import pytest

from tests.clients.kubectl.twins import KIND, NAMESPACES, Twins, workload


@pytest.fixture
def one(twins: Twins, request: pytest.FixtureRequest) -> str:
    """Return the name of an object in both that the test may change."""
    name = request.node.name.replace("_", "-").partition("[")[0]
    twins.make(name, labels={"app": name})
    return str(name)


def test_apply(twins: Twins) -> None:
    obj = workload("applied", labels={"a": "1"})
    assert "applied created" in twins.same("apply", "-f", "-", stdin=obj)
    twins.status("applied", {"phase": "Pending"}, only="twin")
    assert "applied unchanged" in twins.same("apply", "-f", "-", stdin=obj)
    obj["spec"]["online"] = False
    obj["metadata"]["labels"] = {"b": "2"}
    assert "configured (server dry run)" in twins.same("apply", "-f", "-", "--dry-run=server", stdin=obj)
    assert "configured (dry run)" in twins.same("apply", "-f", "-", "--dry-run=client", stdin=obj)
    changes = twins.same("diff", "-f", "-", stdin=obj, code=1)
    assert "-  online: true\n+  online: false\n" in changes
    assert "    b: " in twins.same("apply", "-f", "-", "-o", "yaml", stdin=obj)
    assert twins.same("diff", "-f", "-", stdin=obj) == ""
    assert "online: false" in twins.same("apply", "view-last-applied", KIND, "applied")
    del obj["spec"]["image"]
    twins.same("apply", "-f", "-", stdin=obj)
    assert "image" not in twins.same("get", KIND, "applied", "-o", "jsonpath={.spec}")


def test_server_side_apply(twins: Twins) -> None:
    obj = workload("managed")
    assert "managed serverside-applied" in twins.same("apply", "--server-side", "-f", "-", stdin=obj)
    twins.status("managed", {"phase": "Pending"}, only="twin")
    twins.same("apply", "--server-side", "-f", "-", stdin=obj)
    obj["spec"]["online"] = False
    other = ["apply", "--server-side", "--field-manager=other", "-f", "-"]
    conflict = twins.same(*other, stdin=obj, code=1)
    assert 'conflict with "kubectl": .spec.online' in conflict
    twins.same(*other, "--force-conflicts", "--dry-run=server", stdin=obj)
    assert "+  online: false" in twins.same(
        "diff", "--server-side", "--field-manager=other", "--force-conflicts", "-f", "-", stdin=obj, code=1
    )
    twins.same(*other, "--force-conflicts", stdin=obj)
    assert '"manager": "other"' in _managers(twins)
    # A field that its only manager leaves out is removed.
    del obj["spec"]["className"], obj["spec"]["online"], obj["spec"]["image"]
    twins.same("apply", "--server-side", "-f", "-", stdin=obj)
    assert "https://images.example.com/os.qcow2" in twins.same("get", KIND, "managed", "-o", "jsonpath={.spec}")


def _managers(twins: Twins) -> str:
    """Return the managers and their fields, except of the status, which only the twin got by a
    patch."""
    found = []
    for which in NAMESPACES:
        answer = json.loads(twins.run(which, "get", KIND, "managed", "-o", "json", "--show-managed-fields").out)
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
def test_patch(twins: Twins, which: str) -> None:
    name, (kind, patch) = f"patched-{which}", PATCHES[which]
    twins.make(name, labels={"app": name})
    before = twins.same("get", KIND, name, "-o", "yaml")
    twins.same("patch", KIND, name, f"--type={kind}", "-p", patch, "--dry-run=server")
    assert twins.same("get", KIND, name, "-o", "yaml") == before
    assert "patched" in twins.same("patch", KIND, name, f"--type={kind}", "-p", patch)
    assert "(no change)" in twins.same("patch", KIND, name, "--type=merge", "-p", "{}")
    assert twins.same("get", KIND, name, "-o", "yaml") != before


@pytest.mark.parametrize(
    ("kind", "patch", "says"),
    [
        ("strategic", '{"spec": {"online": false}}', "strategic-merge-patch"),
        ("merge", '{"spec": {"online": "maybe"}}', "spec.online"),
        ("merge", '{"spec": {"image": {"url": "u", "format": "odd"}}}', 'supported values: "raw"'),
        ("merge", '{"spec": {"nothing": 1}}', "spec.nothing"),
    ],
)
def test_patches_that_are_refused(twins: Twins, kind: str, patch: str, says: str) -> None:
    if twins.raw("ours", "get", KIND, "refusing").code:
        twins.make("refusing")
    ours, twin = (twins.run(which, "patch", KIND, "refusing", f"--type={kind}", "-p", patch) for which in NAMESPACES)
    assert ours == twin
    assert says in ours.err + ours.out


@pytest.mark.parametrize("operation", ['{"op": "test", "path": "/spec/className", "value": "x"}', '{"op": "remove", "path": "/spec/nope"}'])
def test_json_patches_that_do_not_fit(twins: Twins, operation: str) -> None:
    """Check JSON patches that do not fit. Our server says in addition what did not fit."""
    if twins.raw("ours", "get", KIND, "unfit").code:
        twins.make("unfit")
    ours, twin = (twins.run(which, "patch", KIND, "unfit", "--type=json", "-p", f"[{operation}]") for which in NAMESPACES)
    assert ours.code == twin.code == 1
    assert ours.err.startswith(f"{twin.err.rstrip()}: ")


def test_label(twins: Twins, one: str) -> None:
    twins.same("label", KIND, one, "x=y")
    assert "--overwrite is false" in twins.same("label", KIND, one, "x=z", code=1)
    twins.same("label", KIND, one, "x=z", "--overwrite")
    ours, twin = (sorted(twins.run(which, "label", KIND, one, "--list").out.splitlines()) for which in NAMESPACES)
    assert ours == twin  # kubectl lists them in no particular order
    assert "x=z" in ours
    assert "unlabeled" in twins.same("label", KIND, one, "x-")
    assert "not found" in twins.same("label", KIND, one, "x-")
    twins.same("label", KIND, one, "x=not valid", code=1)
    twins.same("label", KIND, "-l", f"app={one}", "many=yes")
    twins.same("get", KIND, one, "--show-labels")


def test_annotate(twins: Twins, one: str) -> None:
    twins.same("annotate", KIND, one, "x=y z")
    twins.same("annotate", KIND, one, "x=1", code=1)
    twins.same("annotate", KIND, one, "x=1", "--overwrite")
    twins.same("annotate", KIND, one, "x-")
    twins.same("annotate", KIND, "-l", f"app={one}", "many=yes")
    assert "many" in twins.same("get", KIND, one, "-o", "jsonpath={.metadata.annotations}")


def test_replace(twins: Twins, one: str) -> None:
    obj: dict[str, Any] = workload(one, labels={"app": one})
    obj["spec"]["online"] = False
    twins.same("replace", "-f", "-", stdin=obj)
    stale = {**obj, "metadata": {**obj["metadata"], "resourceVersion": "1"}}
    assert "the object has been modified" in twins.same("replace", "-f", "-", stdin=stale, code=1)
    twins.same("replace", "--force", "-f", "-", stdin=obj)
    twins.same("replace", "-f", "-", stdin=workload("nowhere"), code=1)


def test_create(twins: Twins) -> None:
    obj = workload("made")
    for how in ("server", "client"):
        assert "dry run" in twins.same("create", "-f", "-", f"--dry-run={how}", stdin=obj)
        twins.same("get", KIND, "made", code=1)
    twins.same("create", "-f", "-", stdin=obj)
    assert "already exists" in twins.same("create", "-f", "-", stdin=obj, code=1)
    unknown = workload("unknown", nothing=1)
    assert 'unknown field "spec.nothing"' in twins.same("create", "-f", "-", stdin=unknown, code=1)
    assert 'Warning: unknown field "spec.nothing"' in twins.same("create", "--validate=warn", "-f", "-", stdin=unknown)
    twins.same("create", "--validate=ignore", "-f", "-", stdin=workload("ignored", nothing=1))
    assert "spec.online" in twins.same("create", "--validate=false", "-f", "-", stdin=workload("wrong", online="maybe"), code=1)
    assert "Bad_Name" in twins.same("create", "-f", "-", stdin=workload("Bad_Name"), code=1)


def test_edit(twins: Twins, one: str) -> None:
    twins.same("edit", KIND, one, env={"KUBE_EDITOR": "sed -i s/true/false/"})
    assert twins.same("get", KIND, one, "-o", "jsonpath={.spec.online}") == "false"
    assert "no changes made" in twins.same("edit", KIND, one, env={"KUBE_EDITOR": "true"})


def test_wait(twins: Twins, one: str) -> None:
    ready = {"type": "Ready", "status": "True", "reason": "Provisioned", "message": "", "lastTransitionTime": "2026-01-02T03:04:05Z"}
    twins.status(one, {"phase": "Running", "conditions": [ready]})
    assert "condition met" in twins.same("wait", f"{KIND}/{one}", "--for=condition=Ready", "--timeout=10s")
    twins.same("wait", f"{KIND}/{one}", "--for=jsonpath={.status.phase}=Running", "--timeout=10s")
    assert "timed out" in twins.same("wait", f"{KIND}/{one}", "--for=condition=Odd", "--timeout=1s", code=1)
    assert "timed out" in twins.same("wait", f"{KIND}/{one}", "--for=delete", "--timeout=1s", code=1)
    twins.same("wait", f"{KIND}/none", "--for=delete", "--timeout=10s")

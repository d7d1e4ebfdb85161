"""Check that kubectl delete, in its variants, works as for a kind of kube-apiserver itself."""

from __future__ import annotations

import pytest

from tests.clients.kubectl.serverpair import KIND, ServerPair, workload


@pytest.mark.parametrize(
    "options",
    [
        "",
        "--cascade=foreground",
        "--cascade=background",
        "--cascade=orphan",
        "--now",
        "--grace-period=0 --force",
        "--wait=false",
        "-o name",
    ],
)
def test_delete(pair: ServerPair, options: str) -> None:
    name = "gone" + options.replace("-", "").replace("=", "").replace(" ", "")
    pair.make(name)
    assert name in pair.same("delete", KIND, name, *options.split())
    # The garbage collector removes the finalizers of foreground and orphan.
    pair.same("wait", f"{KIND}/{name}", "--for=delete", "--timeout=60s")
    pair.same("get", KIND, name, code=1)


@pytest.mark.parametrize("how", ["server", "client"])
def test_dry_run(pair: ServerPair, how: str) -> None:
    pair.make(f"kept-{how}")
    assert "dry run" in pair.same("delete", KIND, f"kept-{how}", f"--dry-run={how}")
    pair.same("get", KIND, f"kept-{how}")


def test_missing_objects(pair: ServerPair) -> None:
    pair.same("delete", KIND, "none", code=1)
    pair.same("delete", KIND, "none", "--ignore-not-found")
    pair.same("delete", "-f", "-", stdin=workload("none"), code=1)


def test_many(pair: ServerPair) -> None:
    for name in ("many-1", "many-2", "many-3"):
        pair.make(name, labels={"many": name})
    pair.same("delete", KIND, "-l", "many in (many-1)")
    assert len(pair.same("get", KIND, "-l", "many", "-o", "name").split()) == 2
    assert "many-2" in pair.same("delete", KIND, "--all")
    assert "No resources found" in pair.same("get", KIND)

"""Check that kubectl delete, in its variants, works as for a kind of kube-apiserver itself."""

from __future__ import annotations

import pytest

from tests.clients.kubectl.twins import KIND, Twins, workload


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
def test_delete(twins: Twins, options: str) -> None:
    name = "gone" + options.replace("-", "").replace("=", "").replace(" ", "")
    twins.make(name)
    assert name in twins.same("delete", KIND, name, *options.split())
    # The garbage collector removes the finalizers of foreground and orphan.
    twins.same("wait", f"{KIND}/{name}", "--for=delete", "--timeout=60s")
    twins.same("get", KIND, name, code=1)


@pytest.mark.parametrize("how", ["server", "client"])
def test_dry_run(twins: Twins, how: str) -> None:
    twins.make(f"kept-{how}")
    assert "dry run" in twins.same("delete", KIND, f"kept-{how}", f"--dry-run={how}")
    twins.same("get", KIND, f"kept-{how}")


def test_what_is_not_there(twins: Twins) -> None:
    twins.same("delete", KIND, "none", code=1)
    twins.same("delete", KIND, "none", "--ignore-not-found")
    twins.same("delete", "-f", "-", stdin=workload("none"), code=1)


def test_many(twins: Twins) -> None:
    for name in ("many-1", "many-2", "many-3"):
        twins.make(name, labels={"many": name})
    twins.same("delete", KIND, "-l", "many in (many-1)")
    assert len(twins.same("get", KIND, "-l", "many", "-o", "name").split()) == 2
    assert "many-2" in twins.same("delete", KIND, "--all")
    assert "No resources found" in twins.same("get", KIND)

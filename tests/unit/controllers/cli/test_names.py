"""Check that a shell gets the names of a cluster's objects, and nothing where there are none."""

from __future__ import annotations

import asyncio
import json
from argparse import Namespace
from typing import TYPE_CHECKING, Any

from controllers import kinds
from controllers.cli import names
from controllers.cli.names import classes, hosts, namespaces, workloads, workloads_or_sets
from tests.unit.controllers.managementclusters import NAMESPACE, SYSTEM, ManagementCluster, eventually, management_clusters

if TYPE_CHECKING:
    from pathlib import Path

    import pytest


async def offered(complete: Any, folder: Path, cluster: ManagementCluster, prefix: str = "", **given: Any) -> list[str]:
    config = folder / "kubeconfig"
    config.write_text(json.dumps(cluster.config("admin", "system:masters")))
    arguments = Namespace(kubeconfig=str(config), context=None, **given)
    found: list[str] = await asyncio.to_thread(complete, prefix=prefix, parsed_args=arguments, seconds=30.0)
    return found


async def test_names_are_those_of_the_cluster(tmp_path: Path) -> None:
    async with management_clusters(tmp_path) as maker:
        cluster = await maker.cluster("source", below=await maker.hardware("h1", "h2"))
        await eventually(lambda: _count(cluster, 2))
        await cluster.create("w")
        await cluster.create("other", className="none")
        assert await offered(hosts, tmp_path, cluster) == ["h1", "h2"]
        assert await offered(hosts, tmp_path, cluster, hosts=["h1"]) == ["h2"], "given ones are left out"
        assert await offered(workloads, tmp_path, cluster, namespace=NAMESPACE) == ["other", "w"]
        assert await offered(workloads, tmp_path, cluster, namespace=SYSTEM) == []
        await cluster.empty_set("db")
        assert await offered(workloads_or_sets, tmp_path, cluster, namespace=NAMESPACE) == ["other", "w"]
        assert await offered(workloads_or_sets, tmp_path, cluster, "workloadset/d", namespace=NAMESPACE) == ["workloadset/db"]
        assert await offered(classes, tmp_path, cluster) == ["metal"]
        assert {NAMESPACE, SYSTEM} <= {*await offered(namespaces, tmp_path, cluster)}


async def _count(cluster: ManagementCluster, count: int) -> bool:
    return len((await cluster.admin.list_all(kinds.HOSTS))[0]) == count


def test_without_a_cluster_nothing_is_offered(tmp_path: Path) -> None:
    assert hosts(prefix="", parsed_args=Namespace(kubeconfig=str(tmp_path / "none"), context=None)) == []
    config = {
        "clusters": [{"name": "c", "cluster": {"server": "https://127.0.0.1:1"}}],
        "contexts": [{"name": "c", "context": {"cluster": "c"}}],
    }
    (tmp_path / "config").write_text(json.dumps({**config, "current-context": "c"}))
    assert hosts(prefix="", parsed_args=Namespace(kubeconfig=str(tmp_path / "config"), context=None)) == []


def test_a_name_that_a_shell_would_not_take_as_one_word_is_left_out(monkeypatch: pytest.MonkeyPatch) -> None:
    class Cluster:
        async def __aenter__(self) -> Cluster:
            return self

        async def __aexit__(self, *_: object) -> None:
            pass

        async def list_all(self, *_: object) -> tuple[list[Any], str]:
            sources = ("h1", "$(reboot)", "a b", "x;y", "\x1b[2J", "--output=json", "a\nb", "=ls", "{a,b}", "", "x" * 300)
            return [{"metadata": {"name": "u"}, "spec": {"source": {"name": name}}} for name in sources], ""

    monkeypatch.setattr(names, "client_of", lambda *_: Cluster())
    assert hosts(prefix="", parsed_args=Namespace()) == ["h1"]

"""Which secrets are passed on to machines."""

from __future__ import annotations

import pytest

from controllers.workload.request import is_clusters_own
from tests.unit.controllers.clusters import secret

CLUSTER_API = "cluster.x-k8s.io/secret"


@pytest.mark.parametrize(
    ("name", "type_", "labels", "refused"),
    [
        ("web-kubeconfig", CLUSTER_API, {}, True),
        ("web-kubeconfig", "Opaque", {}, True),
        ("web-ca", CLUSTER_API, {}, True),
        ("web-sa", "Opaque", {"cluster.x-k8s.io/cluster-name": "web"}, True),
        ("web-etcd", CLUSTER_API, {}, True),
        ("web-md-0-x7k2p", CLUSTER_API, {"cluster.x-k8s.io/cluster-name": "web"}, False),
        ("my-ca", "Opaque", {}, False),
        ("boot", "Opaque", {}, False),
    ],
)
def test_a_clusters_own_secrets_are_told_by_name_and_type(name: str, type_: str, labels: dict[str, str], refused: bool) -> None:
    made = secret(name, "team-a") | {"type": type_}
    made["metadata"]["labels"] = labels
    assert is_clusters_own(made) is refused

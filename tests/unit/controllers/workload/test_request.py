"""Check which secrets are passed on to machines."""

from __future__ import annotations

from typing import Any

import pytest

from controllers.workload.request import class_refuses
from tests.unit.controllers.clusters import secret, workload_class

CLUSTER_API = "cluster.x-k8s.io/secret"


LABEL, TYPES = {"requiredLabel": "first-boot=yes"}, {"allowedTypes": [CLUSTER_API, "infrastructure.cluster.x-k8s.io/secret"]}


@pytest.mark.parametrize(
    ("rules", "type_", "labels", "refused"),
    [
        (None, "Opaque", {}, False),
        ({}, "Opaque", {}, False),
        (LABEL, "Opaque", {}, True),
        (LABEL, "Opaque", {"first-boot": "no"}, True),
        (LABEL, "Opaque", {"first-boot": "yes"}, False),
        (LABEL, CLUSTER_API, {}, True),
        ({"requiredLabel": "first-boot"}, "Opaque", {"first-boot": "whatever"}, False),
        ({"requiredLabel": "first-boot="}, "Opaque", {"first-boot": "whatever"}, True),
        (TYPES, "Opaque", {"first-boot": "yes"}, True),
        (TYPES, CLUSTER_API, {}, False),
        (TYPES, "infrastructure.cluster.x-k8s.io/secret", {}, False),
        (LABEL | TYPES, CLUSTER_API, {}, False),
        (LABEL | TYPES, "Opaque", {"first-boot": "yes"}, False),
        (LABEL | TYPES, "kubernetes.io/tls", {}, True),
        ({"allowedTypes": []}, "Opaque", {}, True),
        ({"requiredLabel": "cluster.x-k8s.io/cluster-name"}, CLUSTER_API, {"cluster.x-k8s.io/cluster-name": "web"}, False),
    ],
)
def test_a_class_lets_pass_what_has_its_label_or_one_of_its_types(
    rules: dict[str, Any] | None, type_: str, labels: dict[str, str], refused: bool
) -> None:
    made = secret("boot", "team-a") | {"type": type_}
    made["metadata"]["labels"] = labels
    problem = class_refuses(made, workload_class(**({} if rules is None else {"secrets": rules})))
    assert (problem is not None) is refused
    if problem is not None:
        assert '"metal"' in problem
        assert all(value in problem for value in [(rules or {}).get("requiredLabel", ""), *(rules or {}).get("allowedTypes", [])])


def test_without_its_class_no_secret_is_sent() -> None:
    problem = class_refuses({"kind": "Secret", "metadata": {"name": "boot", "namespace": "team-a"}}, None)
    assert problem is not None
    assert "create it again" in problem

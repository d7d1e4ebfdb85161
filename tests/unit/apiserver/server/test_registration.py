"""Check whether kube-apiserver passes this server's groups on to it, and what an operator reads
where it does not."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from apiserver.client.client import Client
from apiserver.client.errors import ApiException
from apiserver.server.registration import Registrations, problem
from tests.unit.apiserver.server.test_app import app_of, client

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

OURS, BMO = "v1alpha1.workload.metal3.io", "v1alpha1.metal3.io"
SERVICE = {"spec": {"service": {"name": "metal3-workloads-apiserver"}}}
LOCAL = {"metadata": {"labels": {"kube-aggregator.kubernetes.io/automanaged": "true"}}, "spec": {"group": "metal3.io"}}


class Cluster(Client):
    """Answer as a cluster with these APIServices; an int is the status of a failure."""

    def __init__(self, found: Mapping[str, dict[str, Any] | int]) -> None:
        super().__init__(None)
        self.found = dict(found)

    async def request(self, method: str, path: str, **_: Any) -> dict[str, Any]:
        assert method == "GET"
        answer = self.found.get(path.rpartition("/")[2], 404)
        if isinstance(answer, int):
            raise ApiException(answer, "", "canary")
        return answer


@pytest.mark.parametrize("local", [LOCAL, {"spec": {}}, {"spec": {"service": None}}, {}])
def test_a_group_that_has_a_definition_of_its_own_is_recognised(local: dict[str, Any]) -> None:
    said = problem(BMO, local)
    assert "CustomResourceDefinition" in said
    assert "overlays/beside-bmo" in said
    assert "--host-view-group=workload.metal3.io" in said
    assert "overlays/beside-bmo" not in problem(OURS, local)
    assert problem(OURS, local)


async def test_what_is_wrong_is_logged_once_and_forgotten_when_it_is_right(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level("INFO")
    cluster = Cluster({OURS: SERVICE, BMO: LOCAL})
    registrations = Registrations(cluster, [BMO, OURS])
    for _ in range(3):
        await registrations.look()
    assert list(registrations.problems) == [BMO]
    assert caplog.text.count("overlays/beside-bmo") == 1
    assert {labels["apiservice"]: value for labels, value in registrations.values()} == {BMO: 0.0, OURS: 1.0}
    cluster.found[BMO] = SERVICE
    await registrations.look()
    assert (registrations.problems, registrations.report()) == ({}, "")
    assert "passes its group on to this server now" in caplog.text


@pytest.mark.parametrize(("status", "said"), [(404, "apply the APIService manifests"), (403, "RBAC"), (500, "HTTP status 500"), (0, "now")])
async def test_what_cannot_be_told(status: int, said: str) -> None:
    registrations = Registrations(Cluster({OURS: status}), [OURS])
    await registrations.look()
    assert said in registrations.report()
    assert "canary" not in registrations.report()


async def test_it_is_told_in_readyz_and_in_a_metric_and_leaves_the_server_ready(tmp_path: Path) -> None:
    registrations = Registrations(Cluster({OURS: SERVICE, BMO: LOCAL}), [BMO, OURS])
    async with app_of(tmp_path, registrations=registrations) as app, client(app, None) as anybody:
        await registrations.look()
        async with anybody.get("/readyz") as response:
            assert (response.status, await response.text()) == (200, "ok")
        async with anybody.get("/readyz?verbose") as response:
            assert response.status == 200
            (line,) = [line for line in (await response.text()).splitlines() if line.startswith("[!]registrations: ")]
            assert "overlays/beside-bmo" in line
        async with anybody.get("/readyz/registrations") as response:
            assert response.status == 500
        async with anybody.get("/readyz?verbose&exclude=registrations") as response:
            assert "beside-bmo" not in await response.text()
        async with anybody.get("/livez?verbose") as response:
            assert "registrations" not in await response.text()
        assert app.metrics.registry.get_sample_value("metal3_workloads_apiservice_registered", {"apiservice": BMO}) == 0
        assert app.metrics.registry.get_sample_value("metal3_workloads_apiservice_registered", {"apiservice": OURS}) == 1

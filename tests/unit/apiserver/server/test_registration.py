"""Check whether kube-apiserver passes this server's groups on to it, and what an operator reads
where it does not."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from apiserver.client.client import Client
from apiserver.client.errors import ApiException
from apiserver.server.registration import GRACE, Registrations, problem
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
        await registrations.check()
    assert list(registrations.problems) == [BMO]
    assert caplog.text.count("overlays/beside-bmo") == 1
    assert {labels["apiservice"]: value for labels, value in registrations.values()} == {BMO: 0.0, OURS: 1.0}
    cluster.found[BMO] = SERVICE
    await registrations.check()
    assert (registrations.problems, registrations.report()) == ({}, "")
    assert "passes its group on to this server now" in caplog.text


def unavailable(reason: str, message: str = "") -> dict[str, Any]:
    """Return an APIService with this condition, as kube-aggregator writes it."""
    return {**SERVICE, "status": {"conditions": [{"type": "Available", "status": "False", "reason": reason, "message": message}]}}


@pytest.mark.parametrize(
    ("reason", "message", "said"),
    [
        ("FailedDiscoveryCheck", "failing or missing response from https://10.9.8.7:6443: i/o timeout", "port 6443"),
        (
            "FailedDiscoveryCheck",
            "Get https://10.9.8.7:6443: tls: failed to verify certificate: x509: signed by unknown authority",
            "caBundle",
        ),
        ("MissingEndpoints", "endpoints for service/x in 10.9.8.7 have no addresses", "no ready pod"),
        ("EndpointsNotFound", "", "no ready pod"),
        ("ServiceNotFound", "", "apply the manifests"),
        ("ServicePortError", "", "apply the manifests"),
        ("Unheard", "10.9.8.7", "kubectl describe apiservice"),
        ("", "", "kubectl describe apiservice"),
    ],
)
async def test_what_kube_apiserver_cannot_reach_is_reported_with_the_reason(reason: str, message: str, said: str) -> None:
    now = 1000.0
    registrations = Registrations(Cluster({OURS: unavailable(reason, message)}), [OURS], lambda: now)
    await registrations.check()
    assert registrations.report() == "", "kube-apiserver may not have noticed yet that the server has started"
    now += GRACE
    assert not await registrations.check()
    assert said in registrations.report()
    assert reason in registrations.report()
    assert "no namespace can be deleted" in registrations.report()
    assert "10.9.8.7" not in registrations.report(), "everyone may read /readyz"


async def test_the_time_without_a_connection_starts_again() -> None:
    now, down = 1000.0, unavailable("FailedDiscoveryCheck")
    cluster = Cluster({OURS: down})
    registrations = Registrations(cluster, [OURS], lambda: now)
    for answer, seconds, wrong in (
        (down, 0, False),
        (down, GRACE / 2, False),
        (SERVICE, 1, False),
        (down, GRACE, False),
        (down, GRACE, True),
    ):
        now += seconds
        cluster.found[OURS] = answer
        assert await registrations.check() != wrong
    cluster.found[OURS] = {**SERVICE, "status": {"conditions": [{"type": "Available", "status": "True", "reason": "Passed"}]}}
    assert await registrations.check()


@pytest.mark.parametrize("status", [None, {}, {"conditions": None}, {"conditions": [{"type": "Available", "status": "Unknown"}]}])
async def test_what_is_not_known_to_be_unavailable_is_right(status: Any) -> None:
    assert await Registrations(Cluster({OURS: {**SERVICE, "status": status}}), [OURS]).check()


@pytest.mark.parametrize(("status", "said"), [(404, "apply the APIService manifests"), (403, "RBAC"), (500, "HTTP status 500"), (0, "now")])
async def test_an_apiservice_that_cannot_be_read_is_reported(status: int, said: str) -> None:
    registrations = Registrations(Cluster({OURS: status}), [OURS])
    await registrations.check()
    assert said in registrations.report()
    assert "canary" not in registrations.report()


async def test_a_wrong_registration_is_reported_in_readyz_and_a_metric_and_the_server_stays_ready(tmp_path: Path) -> None:
    registrations = Registrations(Cluster({OURS: SERVICE, BMO: LOCAL}), [BMO, OURS])
    async with app_of(tmp_path, registrations=registrations) as app, client(app, None) as anybody:
        await registrations.check()
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

"""Cover the management cluster's quotas: a copy, this server's own writes over it, and what is read
again."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from apiserver.admission.resourcequota import QuotaConflict, QuotaUnavailable
from apiserver.client.client import Client
from apiserver.client.errors import ApiException
from apiserver.server.delegation.quotas import ManagementQuotas

if TYPE_CHECKING:
    from collections.abc import Mapping


def quota(version: int, uid: str = "u") -> dict[str, Any]:
    return {"metadata": {"name": "q", "namespace": "n", "uid": uid, "resourceVersion": str(version)}}


class Cluster(Client):
    """Answer every request with the same answer, and keep the requests."""

    def __init__(self, answer: dict[str, Any] | ApiException) -> None:
        super().__init__(None)
        self.answer, self.asked = answer, list[tuple[str, str]]()

    async def request(
        self,
        method: str,
        path: str,
        *,
        query: Mapping[str, str] | None = None,
        body: Any = None,
        content_type: str = "application/json",
        timeout: float | None = None,
    ) -> dict[str, Any]:
        self.asked.append((method, path))
        if isinstance(self.answer, ApiException):
            raise self.answer
        return self.answer


async def test_the_copy_is_believed_until_this_server_knows_better() -> None:
    copies = [quota(1)]
    cluster = Cluster(quota(5))
    quotas = ManagementQuotas(cluster, lambda namespace: copies)
    assert await quotas.get("n") == [quota(1)]
    await quotas.put_status(quota(1))
    assert cluster.asked == [("PUT", "/api/v1/namespaces/n/resourcequotas/q/status")]
    assert await quotas.get("n") == [quota(5)]
    copies[:] = [quota(4)]
    assert await quotas.get("n") == [quota(5)]
    copies[:] = [quota(6)]
    assert await quotas.get("n") == [quota(6)]
    await quotas.put_status(quota(6))
    copies[:] = [quota(2, uid="another of that name")]
    assert await quotas.get("n") == [quota(2, uid="another of that name")]
    copies.clear()
    assert await quotas.get("n") == []


async def test_quotas_are_read_live_on_demand_and_without_a_copy() -> None:
    cluster = Cluster({"items": [quota(7)]})
    quotas = ManagementQuotas(cluster, lambda namespace: [quota(1)])
    assert await quotas.get("n", live=True) == [quota(7)]
    assert await quotas.get("n") == [quota(7)], "what was read is remembered"
    assert await ManagementQuotas(cluster, lambda namespace: None).get("n") == [quota(7)]
    assert cluster.asked == [("GET", "/api/v1/namespaces/n/resourcequotas")] * 2


@pytest.mark.parametrize(("status", "raised"), [(409, QuotaConflict), (404, QuotaConflict), (403, QuotaUnavailable), (0, QuotaUnavailable)])
async def test_failures(status: int, raised: type[Exception]) -> None:
    quotas = ManagementQuotas(Cluster(ApiException(status, "", "no")), lambda namespace: None)
    with pytest.raises(raised):
        await quotas.put_status(quota(1))
    with pytest.raises(QuotaUnavailable):
        await quotas.get("n")

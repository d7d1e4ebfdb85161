"""Cover the features of EC2 alone: its error codes, its idempotency tokens, its clock."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from controllers.providers.base import BadClass
from controllers.providers.testing import claim, eventually, running
from tests.unit.controllers.providers.machines.cloud.ec2cloud import refused
from tests.unit.controllers.providers.machines.cloud.test_trouble import host, once, only

if TYPE_CHECKING:
    from tests.unit.controllers.providers.machines.cloud.ec2cloud import EC2Cloud


@pytest.mark.parametrize(
    ("code", "status", "reason", "way_out"),
    [
        ("InvalidClientTokenId", 403, "Unauthorized", "put valid ones"),
        ("ExpiredToken", 400, "Unauthorized", "put valid ones"),
        ("RequestExpired", 400, "ClockSkew", "set this machine's clock"),
        ("Throttling", 400, "Throttled", "raise pollSeconds"),
    ],
)
async def test_codes(amazon: EC2Cloud, code: str, status: int, reason: str, way_out: str) -> None:
    async with running(amazon) as (provider, _):
        amazon.proxy.answer = lambda action: refused(code, status)
        await eventually(lambda: (found := provider.problem()) is not None and found.reason == reason)
        problem = provider.problem()
        assert problem is not None
        assert way_out in problem.message
        amazon.come_back()
        await eventually(lambda: provider.problem() is None)


@pytest.mark.parametrize(("code", "reason"), [("VcpuLimitExceeded", "QuotaExceeded"), ("InsufficientInstanceCapacity", "NoCapacity")])
async def test_refusals(amazon: EC2Cloud, code: str, reason: str) -> None:
    async with running(amazon) as (provider, _):
        amazon.proxy.answer = once(refused(code), "create")
        assert (await provider.apply(claim("w", only(provider)))).synchronized.reason == reason
        assert code in host(provider).message


async def test_a_region_that_is_none(amazon: EC2Cloud) -> None:
    amazon.set(region="nowhere-1")
    with pytest.raises(BadClass, match="region"):
        async with running(amazon):
            pass

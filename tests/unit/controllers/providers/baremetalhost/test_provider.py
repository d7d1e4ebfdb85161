"""Run the tests of all providers on the provider for real hosts, and cover its own features."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import orjson
import pytest

from apiserver.apis.workloadclass import WorkloadClassSpec
from apiserver.client.errors import ApiException, Unreachable
from controllers.providers.baremetalhost import BareMetalHostProvider
from controllers.providers.baremetalhost.provider import Parameters
from controllers.providers.baremetalhost.sourceerrors import explain
from controllers.providers.base import BadClass, ProviderContext, find_provider, provisioners
from controllers.providers.testing import ProviderTests, SourceHarness, claim, released, running
from tests.unit.controllers.clusters import BMH, SECRETS, HastyBMO, bmh, secret
from tests.unit.controllers.fakeapi import Failure, FakeApi, eventually

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

DATA = "apis/metal3.io/v1alpha1/hardwaredata"


class HardwareCluster(SourceHarness):
    """Run a hardware cluster in memory."""

    provider = BareMetalHostProvider
    spec = {  # noqa: RUF012 - read only, as in every harness
        "provisioner": "metal3.io/baremetalhost",
        "parameters": {"namespace": "metal3"},
        "metadata": {"labelsMatch": ".*", "annotationsMatch": ".*"},
    }

    def __init__(self, api: FakeApi) -> None:
        self.api = api
        self.credentials = {"kubeconfig": orjson.dumps(api.kubeconfig)}
        self.add_host("h1")

    def add_host(self, name: str) -> None:
        self.api.put(BMH, bmh(name))

    def remove_host(self, name: str) -> None:
        self.api.remove(BMH, name, "metal3")

    def take_host(self, name: str) -> None:
        self.api.edit(BMH, name, {"spec": {"consumerRef": {"kind": "Metal3Machine", "name": "stranger", "namespace": "x"}}}, "metal3")

    def runs(self, name: str) -> str | None:
        image = self.api.get(BMH, name, "metal3")["status"]["provisioning"].get("image")
        return str(image["url"]) if image else None

    def leftovers(self) -> list[str]:
        return [item["metadata"]["name"] for item in self.api.all(SECRETS)]

    def go_away(self) -> None:
        self.api.fail = lambda verb, path: Failure(503, "ServiceUnavailable", "away")
        self.api.cut_watches()

    def come_back(self) -> None:
        self.api.fail = lambda verb, path: None


@pytest.fixture
async def source(api: FakeApi) -> AsyncIterator[HardwareCluster]:
    bmo = asyncio.ensure_future(HastyBMO(api).run())
    yield HardwareCluster(api)
    bmo.cancel()
    await asyncio.gather(bmo, return_exceptions=True)


class TestBareMetalHostProvider(ProviderTests):
    """Run the tests of all providers against a hardware cluster in memory."""


async def test_the_provider_is_found_by_its_name() -> None:
    assert find_provider("metal3.io/baremetalhost") is BareMetalHostProvider
    assert "metal3.io/baremetalhost" in provisioners()
    with pytest.raises(BadClass, match=r"metal3\.io/baremetalhost"):
        find_provider("nobody/knows")


def context(credentials: dict[str, bytes], **parameters: Any) -> ProviderContext:
    spec = WorkloadClassSpec(provisioner="x")
    return ProviderContext("c", spec, Parameters(**parameters), credentials, on_change=lambda uid: None, on_health=lambda: None)


async def test_credentials_that_cannot_work() -> None:
    with pytest.raises(BadClass, match="key kubeconfig"):
        await BareMetalHostProvider.create(context({}))
    with pytest.raises(BadClass, match="cannot be used"):
        await BareMetalHostProvider.create(context({"kubeconfig": b"nonsense"}))


async def test_only_the_classs_hosts_but_claimed_ones_stay(source: HardwareCluster, api: FakeApi) -> None:
    source.spec = {**source.spec, "hostSelector": {"matchLabels": {"rack": "a"}}}
    api.put(BMH, bmh("in-rack", labels={"rack": "a"}))
    async with running(source) as (provider, _):
        assert [host.source.name for host in provider.hosts()] == ["in-rack"]
        [host] = list(provider.hosts())
        await provider.apply(claim("w", host.source))
        api.edit(BMH, "in-rack", {"metadata": {"labels": {"rack": "b"}}}, "metal3")
        await eventually(lambda: api.get(BMH, "in-rack", "metal3")["spec"].get("image"))
        assert [host.source.name for host in provider.hosts()] == ["in-rack"]
        await released(provider, claim("w", host.source))
        await eventually(lambda: list(provider.hosts()) == [])


async def test_another_machine_under_the_same_name_is_another_machine(source: HardwareCluster, api: FakeApi) -> None:
    async with running(source) as (provider, _):
        [host] = list(provider.hosts())
        source.remove_host("h1")
        source.add_host("h1")
        assert (await provider.apply(claim("w", host.source))).bound.reason == "HostGone"
        assert "consumerRef" not in api.get(BMH, "h1", "metal3")["spec"]


async def test_a_missing_kind_is_trouble_not_absence(source: HardwareCluster, api: FakeApi) -> None:
    async with running(source) as (provider, _):
        [host] = list(provider.hosts())
        await provider.apply(claim("w", host.source))
        api.fail = lambda verb, path: Failure(404, "NotFound", "the server could not find the requested resource")
        with pytest.raises(ApiException):
            await provider.apply(claim("w", host.source))
        with pytest.raises(ApiException):
            await provider.release(claim("w", host.source))


async def test_a_strangers_secret_of_the_same_name_is_not_removed(source: HardwareCluster, api: FakeApi) -> None:
    api.put(SECRETS, secret("bmc-secret", "metal3", password="x"))
    async with running(source) as (provider, _):
        [host] = list(provider.hosts())
        await provider.apply(claim("w", host.source))
        await released(provider, claim("w", host.source))
    assert source.leftovers() == ["bmc-secret"]


async def test_without_a_checksum_it_is_held_and_said(source: HardwareCluster, api: FakeApi) -> None:
    async with running(source) as (provider, _):
        [host] = list(provider.hosts())
        request = claim("w", host.source)
        del request.workload["spec"]["image"]["checksum"]
        applied = await provider.apply(request)
        assert applied.bound.status is True
        assert applied.synchronized.reason == "ChecksumMissing"
        assert "image" not in api.get(BMH, "h1", "metal3")["spec"]


async def test_a_write_that_admission_refuses_is_reported_and_nothing_changes(source: HardwareCluster, api: FakeApi) -> None:
    denied = Failure(403, "Forbidden", 'admission webhook "baremetalhost.metal3.io" denied the request: canary')
    async with running(source) as (provider, _):
        [host] = list(provider.hosts())
        await provider.apply(claim("w", host.source))
        before = api.get(BMH, "h1", "metal3")["spec"]
        request = claim("w", host.source)
        request.workload["spec"]["image"]["url"] = "http://%zz"
        api.fail = lambda verb, path: denied if verb == "PATCH" and path.endswith("/baremetalhosts/h1") else None
        applied = await provider.apply(request)
        assert (applied.bound.status, applied.synchronized.reason) == (True, "Refused")
        assert "spec.image" in applied.synchronized.message
        assert "canary" not in applied.synchronized.message
        assert api.get(BMH, "h1", "metal3")["spec"] == before
        api.fail = lambda verb, path: None
        assert (await provider.apply(request)).synchronized.status is True


async def test_a_mark_that_is_refused_does_not_keep_the_host_from_being_emptied(source: HardwareCluster, api: FakeApi) -> None:
    full = Failure(422, "Invalid", "metadata.annotations: Too long")
    async with running(source) as (provider, _):
        [host] = list(provider.hosts())
        request = replace(claim("w", host.source), annotations={"capm3.metal3.io/unhealthy": "x"})
        await provider.apply(replace(request, annotations={}))
        refusals = iter([full])
        api.fail = lambda verb, path: next(refusals, None) if verb == "PATCH" and path.endswith("/baremetalhosts/h1") else None
        await provider.release(request)
        spec = api.get(BMH, "h1", "metal3")["spec"]
        assert next(refusals, None) is None, "the mark was not tried"
        assert not spec.get("image")


async def test_a_long_mark_is_passed_on_cut(source: HardwareCluster, api: FakeApi) -> None:
    async with running(source) as (provider, _):
        [host] = list(provider.hosts())
        request = replace(claim("w", host.source), annotations={"capm3.metal3.io/unhealthy": "x" * 200_000})
        await provider.apply(request)
        assert len(api.get(BMH, "h1", "metal3")["metadata"]["annotations"]["capm3.metal3.io/unhealthy"]) == 256


@pytest.mark.parametrize(
    ("error", "reason", "word"),
    [
        (Unreachable("refused"), "Unreachable", "network"),
        (ApiException(401, "Unauthorized", "x"), "Unauthorized", "kubeconfig"),
        (ApiException(403, "Forbidden", "x"), "Forbidden", "allow"),
        (ApiException(404, "NotFound", "x"), "NoBareMetalHosts", "CRDs"),
        (ApiException(429, "TooManyRequests", "x"), "TooManyRequests", "asks to wait"),
        (ApiException(500, "InternalError", "x"), "Failing", "tried again"),
        (ValueError("x"), "BadKubeconfig", "kubeconfig"),
    ],
)
def test_problems_tell_the_owner_what_to_do(error: Exception, reason: str, word: str) -> None:
    problem = explain(error, "metal3")
    assert problem.reason == reason
    assert word in problem.message


def hardware_data(name: str, uid: str = "", **hardware: Any) -> dict[str, Any]:
    """Return the HardwareData of a host as the Baremetal Operator writes it."""
    owners = {"ownerReferences": [{"kind": "BareMetalHost", "name": name, "uid": uid}]} if uid else {}
    return {"metadata": {"name": name, "namespace": "metal3", **owners}, "spec": {"hardware": hardware}}


def reported(provider: Any) -> dict[str, Any]:
    """Return what the report of the only host says of its hardware."""
    [host] = list(provider.hosts())
    found: dict[str, Any] = host.report["status"].get("hardware") or {}
    return found


async def test_hardware_comes_from_the_operators_objects(source: HardwareCluster, api: FakeApi) -> None:
    uid = api.get(BMH, "h1", "metal3")["metadata"]["uid"]
    nic = {"name": "eth0", "mac": "00:11:22:33:44:66", "lldp": {"switchSystemName": "canary-switch"}}
    async with running(source) as (provider, changed):
        assert reported(provider)["ramMebibytes"] == 64 * 1024
        changed.clear()
        api.put(DATA, hardware_data("h1", uid, ramMebibytes=7, nics=[nic], canary="secret"))
        await eventually(lambda: reported(provider)["ramMebibytes"] == 7)
        assert changed == [uid]
        assert reported(provider) == {"ramMebibytes": 7, "nics": [{"name": "eth0", "mac": "00:11:22:33:44:66"}]}
        # Later versions of BMO will not write status.hardware.
        api.edit(BMH, "h1", {"status": {"hardware": None}}, "metal3")
        assert reported(provider)["ramMebibytes"] == 7
        [host] = list(provider.hosts())
        applied = await provider.apply(claim("w", host.source))
        assert (applied.observed or {})["hardware"]["ramMebibytes"] == 7
        # Another host that gets the name does not have that hardware.
        api.put(DATA, hardware_data("h1", "earlier", ramMebibytes=8))
        await eventually(lambda: reported(provider) == {})
        api.put(DATA, hardware_data("h1", ramMebibytes=9))
        await eventually(lambda: reported(provider)["ramMebibytes"] == 9)
        api.remove(DATA, "h1", "metal3")
        await eventually(lambda: reported(provider) == {})


@pytest.mark.parametrize("code", [403, 404])
async def test_without_hardware_data_there_is_status_hardware(source: HardwareCluster, api: FakeApi, code: int) -> None:
    api.put(DATA, hardware_data("h1", ramMebibytes=7))
    api.fail = lambda verb, path: Failure(code, "Refused", "no") if "hardwaredata" in path else None
    async with running(source) as (provider, _):
        assert provider.problem() is None
        assert reported(provider)["ramMebibytes"] == 64 * 1024
        api.fail = lambda verb, path: None
        await eventually(lambda: reported(provider)["ramMebibytes"] == 7)
        # A HardwareData that is not followed any more may be older than the status.
        api.fail = lambda verb, path: Failure(code, "Refused", "no") if "hardwaredata" in path else None
        api.cut_watches()
        await eventually(lambda: reported(provider)["ramMebibytes"] == 64 * 1024)


async def test_no_host_loses_its_hardware_while_the_objects_are_read(source: HardwareCluster, api: FakeApi) -> None:
    api.put(DATA, hardware_data("h1", ramMebibytes=7))
    api.edit(BMH, "h1", {"status": {"hardware": None}}, "metal3")
    api.fail = lambda verb, path: Failure(503, "ServiceUnavailable", "away") if "hardwaredata" in path else None
    provider = await BareMetalHostProvider.create(context(dict(source.credentials), namespace="metal3"))
    task = asyncio.ensure_future(provider.run())
    try:
        await eventually(lambda: provider._informer.synced.is_set() and provider._hardware._informer.last_error)
        assert not provider.synced
        api.fail = lambda verb, path: None
        await eventually(lambda: provider.synced)
        assert reported(provider)["ramMebibytes"] == 7
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
        await provider.close()

"""Check that each problem has a condition that tells the people concerned what to do, and ends when
its cause does."""

from __future__ import annotations

import asyncio
import base64
from typing import TYPE_CHECKING, Any

import orjson
import pytest

from apiserver.apis.workloadclass import WorkloadClassSpec
from apiserver.client.errors import ApiException, Unreachable
from controllers.providers.base import BadClass, ProviderContext
from controllers.providers.machines.kubevirt import KubeVirtProvider
from controllers.providers.machines.kubevirt.parameters import Parameters
from controllers.providers.machines.kubevirt.sourceerrors import explain
from controllers.providers.testing import applied, claim, released, running
from tests.unit.controllers.fakeapi import Failure, FakeApi, eventually
from tests.unit.controllers.providers.machines.kubevirt.simulation import DV, NAMESPACE, VM, KubeVirt, flavor
from tests.unit.controllers.providers.machines.kubevirt.test_machines import IMAGE, booted, host, request

if TYPE_CHECKING:
    from collections.abc import Callable

QUOTA = 'virtualmachines.kubevirt.io "small-0" is forbidden: exceeded quota: canary, requested: 1, used: 9, limited: 9'


def refuse(verb: str, plural: str, failure: Failure) -> Callable[[str, str], Failure | None]:
    """Return a rule by which the cluster fails one verb on one kind."""
    return lambda asked, path: failure if asked == verb and path.split("/")[-1] == plural else None


def failing(verb: str, failure: Failure) -> Callable[[str, str], Failure | None]:
    """Return a rule by which the cluster fails one verb."""
    return lambda asked, path: failure if asked == verb else None


def context(credentials: dict[str, bytes], **parameters: Any) -> ProviderContext:
    given = Parameters.decode({"namespace": NAMESPACE, "flavors": [flavor()], **parameters})
    return ProviderContext("c", WorkloadClassSpec(provisioner="x"), given, credentials, on_change=lambda uid: None, on_health=lambda: None)


@pytest.mark.parametrize(("kubeconfig", "word"), [(None, "key kubeconfig"), (b"nonsense", "cannot be used"), (b"{}", "cannot be used")])
async def test_credentials_that_cannot_work(kubeconfig: bytes | None, word: str) -> None:
    with pytest.raises(BadClass, match=word):
        await KubeVirtProvider.create(context({} if kubeconfig is None else {"kubeconfig": kubeconfig}))


@pytest.mark.parametrize(
    "parameters",
    [
        {"flavors": []},
        {"flavors": [flavor(), flavor()]},
        {"flavors": [flavor(nics=[{"name": "a"}, {"name": "b"}])]},
        {"flavors": [flavor(nics=[{"name": "a"}, {"name": "a", "network": "x"}])]},
        {"flavors": [flavor(nics=[{"name": "a", "network": "x/y/z"}])]},
        {"flavors": [flavor(architecture="ppc64le")]},
        {"namespace": ""},
        {"nodes": {}},
    ],
)
def test_parameters_that_cannot_work(parameters: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match="validation error"):
        Parameters.decode({"namespace": NAMESPACE, "flavors": [flavor()], **parameters})


async def test_expired_credentials_and_new_ones(source: KubeVirt, api: FakeApi) -> None:
    async with booted(source) as (provider, wanted):
        api.tokens = {"another"}
        api.cut_watches()
        problem = await eventually(provider.problem)
        assert (problem.reason, "put a valid kubeconfig into the secret" in problem.message) == ("Unauthorized", True)
        with pytest.raises(ApiException):
            await provider.apply(wanted)
        assert host(provider).report["status"]["provisioning"]["state"] == "provisioned"
        source.credentials = {"kubeconfig": source.credentials["kubeconfig"].replace(b"token-canary", b"another")}
        async with running(source) as (renewed, _):
            assert renewed.problem() is None
            assert (await renewed.apply(wanted)).bound.status is True


async def test_no_room_in_the_quota_and_room_again(source: KubeVirt, api: FakeApi) -> None:
    async with running(source) as (provider, changes):
        api.fail = refuse("POST", "virtualmachines", Failure(403, "Forbidden", QUOTA))
        reported = await provider.apply(request(provider))
        assert (reported.bound.status, reported.bound.reason) == (False, "QuotaExceeded")
        assert "canary" not in reported.bound.message
        assert host(provider).source.uid in changes
        assert (host(provider).available, host(provider).reason) == (False, "QuotaExceeded")
        assert "raise the ResourceQuota" in host(provider).message
        api.fail = lambda verb, path: None
        await applied(provider, request(provider), lambda: source.runs("small-0") == IMAGE)
        assert host(provider).reason == "Claimed"


async def test_a_released_claim_leaves_no_trouble_behind(source: KubeVirt, api: FakeApi) -> None:
    async with running(source) as (provider, _):
        api.fail = refuse("POST", "virtualmachines", Failure(403, "Forbidden", QUOTA))
        await provider.apply(request(provider))
        await released(provider, request(provider))
        assert host(provider).available


@pytest.mark.parametrize(
    "failure",
    [
        Failure(422, "Invalid", "spec.template.spec.domain.cpu: canary"),
        Failure(403, "Forbidden", 'admission webhook "virtualmachine-validator.kubevirt.io" denied the request: canary'),
    ],
)
async def test_a_machine_that_is_refused(source: KubeVirt, api: FakeApi, failure: Failure) -> None:
    async with running(source) as (provider, _):
        api.fail = refuse("POST", "virtualmachines", failure)
        reported = await provider.apply(request(provider))
        assert reported.bound.reason == "MachineRefused"
        assert "canary" not in reported.bound.message
        assert "canary" in host(provider).message
        assert "correct the flavor" in host(provider).message


@pytest.mark.parametrize("failure", [Failure(429, "TooManyRequests", "slow", retryAfterSeconds=7), Failure(503, "ServiceUnavailable", "x")])
async def test_a_busy_cluster_is_tried_again(source: KubeVirt, api: FakeApi, failure: Failure) -> None:
    async with running(source) as (provider, _):
        wanted = request(provider)
        for verb in ("GET", "POST", "PATCH"):
            api.fail = failing(verb, failure)
            with pytest.raises(ApiException) as caught:
                await provider.apply(wanted)
            assert caught.value.transient
            if failure.status["code"] == 429:
                assert caught.value.retry_after == 7
        api.fail = lambda verb, path: None
        await applied(provider, wanted, lambda: source.runs("small-0") == IMAGE)
        assert len(api.all(VM)) == len(api.all(DV)) == 1


async def test_a_cluster_that_hangs_keeps_no_cancelled_caller_waiting(source: KubeVirt, api: FakeApi) -> None:
    async with running(source) as (provider, _):
        hanging = asyncio.Event()

        async def hang(*_: Any) -> None:
            await hanging.wait()

        for call in ("POST virtualmachines", "POST secrets", "POST datavolumes", "PATCH virtualmachines"):
            api.hooks[call] = hang
            with pytest.raises(TimeoutError):
                async with asyncio.timeout(0.1):
                    await provider.apply(request(provider))
            del api.hooks[call]
        hanging.set()
        await applied(provider, request(provider), lambda: source.runs("small-0") == IMAGE)
        assert len(api.all(VM)) == len(api.all(DV)) == 1
        await released(provider, request(provider))
        assert source.leftovers() == []


async def test_another_process_continues_where_one_was_killed(source: KubeVirt, api: FakeApi) -> None:
    """Let each provider do one write; the next one continues from what is there."""
    for killed in range(20):
        async with running(source) as (provider, _):
            written = 0

            def stop(verb: str, path: str) -> Failure | None:
                nonlocal written
                written += verb in {"POST", "PATCH", "DELETE"}
                return Failure(503, "ServiceUnavailable", "killed") if written > 1 else None

            source.simulation.hold, api.fail = True, stop
            await asyncio.gather(provider.apply(request(provider)), return_exceptions=True)
            source.simulation.hold, api.fail = False, lambda verb, path: None
            source.simulation.wake()
        if written <= 1 and killed > 3:
            break
    async with running(source) as (provider, _):
        await applied(provider, request(provider), lambda: source.runs("small-0") == IMAGE)
        assert (len(api.all(VM)), len(api.all(DV))) == (1, 1)


@pytest.mark.parametrize("when", ["1970-01-01T00:00:00Z", "2999-01-01T00:00:00Z"])
async def test_clocks_do_not_matter(source: KubeVirt, when: str) -> None:
    async with booted(source) as (provider, wanted):
        source.edit(
            {
                "metadata": {"creationTimestamp": when},
                "status": {"conditions": [{"type": "Ready", "status": "True", "lastTransitionTime": when}]},
            }
        )
        assert (await provider.apply(wanted)).bound.status is True
        assert host(provider).report["status"]["provisioning"]["state"] == "provisioned"
        await released(provider, wanted)


@pytest.mark.parametrize(
    ("image", "reason", "word"),
    [
        ("http://images.example/no-such", "DataVolumeError", "cannot be imported"),
        ("containerdisk://registry/no-such", "ImagePullBackOff", "cannot be pulled"),
    ],
)
async def test_an_image_that_cannot_be_had(source: KubeVirt, image: str, reason: str, word: str) -> None:
    async with running(source) as (provider, _):
        wanted = request(provider, image=image)
        await applied(provider, wanted, lambda: host(provider).reason == reason)
        status = host(provider).report["status"]
        assert word in status["errorMessage"]
        assert status["provisioning"]["state"] == "provisioning"
        assert "kubectl describe" in host(provider).message
        await applied(provider, request(provider), lambda: source.runs("small-0") == IMAGE)
        assert host(provider).report["status"]["errorMessage"] == ""


async def test_no_room_to_run(source: KubeVirt) -> None:
    source.set(nodeSelector={"room": "none"})
    async with running(source) as (provider, _):
        await applied(provider, request(provider), lambda: host(provider).reason == "ErrorUnschedulable")
        assert "no capacity" in host(provider).report["status"]["errorMessage"]


async def test_what_kubevirt_says_is_for_the_owner_only(source: KubeVirt) -> None:
    source.set(flavors=[flavor(memory="2Ti")])
    async with running(source) as (provider, _):
        await applied(provider, request(provider), lambda: host(provider).reason == "QuotaExceeded")
        assert "virt-launcher" in host(provider).message
        assert "virt-launcher" not in orjson.dumps(host(provider).report).decode()


async def test_checksums_are_verified_or_nothing_is_installed(source: KubeVirt, api: FakeApi) -> None:
    """Use an importer whose API knows no checksums, and therefore drops them."""

    async def prune(api: FakeApi, _request: Any, _address: Any, body: dict[str, Any]) -> dict[str, Any]:
        body["spec"]["source"]["http"].pop("checksum", None)
        return api.put(DV, body)

    source.set(verifyChecksums=True)
    async with running(source) as (provider, _):
        wanted = request(provider)
        assert (await provider.apply(wanted)).synchronized.reason == "ChecksumMissing"
        wanted.workload["spec"]["image"] = {"url": IMAGE, "checksum": "0" * 64, "checksumType": "sha256"}
        api.hooks["POST datavolumes"] = prune
        reported = await provider.apply(wanted)
        assert (reported.bound.status, reported.synchronized.reason) == (True, "ChecksumUnsupported")
        assert api.all(DV) == []
        del api.hooks["POST datavolumes"]
        await applied(provider, wanted, lambda: source.runs("small-0") == IMAGE)
        assert api.all(DV)[0]["spec"]["source"]["http"]["checksum"] == f"sha256:{'0' * 64}"


async def test_a_cluster_without_an_importer_runs_container_disks(source: KubeVirt, api: FakeApi) -> None:
    missing = Failure(404, "NotFound", "the server could not find the requested resource")
    async with running(source) as (provider, _):
        api.fail = lambda verb, path: missing if verb != "WATCH" and "/datavolumes" in path else None
        wanted = request(provider, image="containerdisk://registry/os")
        await applied(provider, wanted, lambda: source.runs("small-0") == "containerdisk://registry/os")
        await released(provider, wanted)
        assert source.leftovers() == []


async def test_a_missing_kind_is_trouble_not_absence(source: KubeVirt, api: FakeApi) -> None:
    async with booted(source) as (provider, wanted):
        api.fail = lambda verb, path: Failure(404, "NotFound", "the server could not find the requested resource")
        for call in (provider.apply, provider.release):
            with pytest.raises(ApiException):
                await call(wanted)


async def test_a_strangers_machine_of_the_same_name(source: KubeVirt, api: FakeApi) -> None:
    async with running(source) as (provider, _):
        uid = host(provider).source.uid
        stranger = {"metadata": {"name": f"small-0-{uid[:8]}", "namespace": NAMESPACE}, "spec": {"template": {"spec": {"domain": {}}}}}
        api.put(VM, stranger)
        assert (await provider.apply(claim("w", host(provider).source))).bound.reason == "HostTaken"
        await eventually(lambda: host(provider).reason == "InUse")
        assert (await provider.release(claim("w", host(provider).source))).done
        assert api.find(VM, f"small-0-{uid[:8]}", NAMESPACE) is not None


@pytest.mark.parametrize(
    ("error", "reason", "word"),
    [
        (Unreachable("refused"), "Unreachable", "network"),
        (ApiException(401, "Unauthorized", "x"), "Unauthorized", "kubeconfig"),
        (ApiException(403, "Forbidden", "x"), "Forbidden", "namespace vms"),
        (ApiException(404, "NotFound", "x"), "NoKubeVirt", "install KubeVirt"),
        (ApiException(429, "TooManyRequests", "x"), "TooManyRequests", "more slowly"),
        (ApiException(500, "InternalError", "x"), "Failing", "tried again"),
        (ValueError("x"), "BadKubeconfig", "kubeconfig"),
    ],
)
def test_problems_tell_the_owner_what_to_do(error: Exception, reason: str, word: str) -> None:
    problem = explain(error, "vms")
    assert problem.reason == reason
    assert word in problem.message


async def test_first_boot_data_is_in_the_secret_and_nowhere_else(source: KubeVirt, api: FakeApi) -> None:
    async with booted(source, secrets={"userData": {"userData": b"password: canary"}}) as (provider, _):
        assert any(b"canary" in base64.b64decode(value) for value in api.all("api/v1/secrets")[0]["data"].values())
        rest = [api.all(VM), api.all(DV), [found.report for found in provider.hosts()]]
        assert b"canary" not in orjson.dumps(rest)

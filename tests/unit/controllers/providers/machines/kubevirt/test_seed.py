"""Check what a virtual machine reads at its first boot."""

from __future__ import annotations

import orjson
import pytest

from controllers.providers.base import ProviderError, Source
from controllers.providers.machines.kubevirt.seed import Seed, seed
from controllers.providers.testing import claim

SOURCE = Source("vms", "small-0", "uid-0")


def made(**secrets: dict[str, bytes]) -> Seed:
    return seed(claim("w", SOURCE, secrets=secrets))


def test_cloud_init_gets_everything_on_a_nocloud_disk() -> None:
    found = made(userData={"value": b"#cloud-config\n"}, metaData={"metaData": b"zone: z1\n"}, networkData={"networkData": b"version: 2\n"})
    assert found.volume == {"name": "firstboot", "secret": {"secretName": "workload-uid-w-boot", "volumeLabel": "cidata"}}
    assert found.data["user-data"] == b"#cloud-config\n"
    assert orjson.loads(found.data["network-config"]) == {"version": 2}
    metadata = orjson.loads(found.data["meta-data"])
    assert metadata["zone"] == "z1"
    assert metadata["instance-id"] == metadata["uuid"] == "view-uid-0"
    assert metadata["local-hostname"] == "small-0"


def test_without_secrets_there_is_metadata_still() -> None:
    found = made()
    assert set(found.data) == {"user-data", "meta-data"}
    assert found.data["user-data"] == b""


def test_ignition_gets_a_config_drive() -> None:
    ignition = b'{"ignition": {"version": "3.4.0"}}'
    found = made(userData={"userData": ignition})
    assert found.data == {"userdata": ignition}
    assert found.volume == {"name": "firstboot", "cloudInitConfigDrive": {"secretRef": {"name": "workload-uid-w-boot"}}}
    both = made(userData={"userData": ignition}, networkData={"networkData": b"{}"})
    assert both.volume["cloudInitConfigDrive"]["networkDataSecretRef"] == {"name": "workload-uid-w-boot"}


@pytest.mark.parametrize(
    ("secrets", "word"),
    [
        ({"userData": {"wrong": b"x"}}, "has no key"),
        ({"metaData": {"metaData": b"- a list"}}, "YAML or JSON object"),
        ({"networkData": {"networkData": b"nonsense: true"}}, r"w-networkdata.*links"),
    ],
)
def test_secrets_that_cannot_be_used_are_named(secrets: dict[str, dict[str, bytes]], word: str) -> None:
    with pytest.raises(ProviderError, match=word) as caught:
        made(**secrets)
    assert caught.value.reason == "InvalidSecret"


def test_user_data_of_too_many_values_is_not_read() -> None:
    wide = b'{"ignition": {}, "a": [' + b"[]," * 60_000 + b"[]]}"
    assert made(userData={"userData": wide}).data["user-data"] == wide

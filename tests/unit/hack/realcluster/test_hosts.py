"""Check that the owner's hosts are many, different, realistic, and marked."""

from __future__ import annotations

import json

from hypothesis import given
from hypothesis import strategies as st

from apiserver.apis.metal3 import BareMetalHost
from hack.realcluster import hosts


@given(st.integers(0, 5000))
def test_a_host_and_its_status_are_of_the_kind(index: int) -> None:
    written = hosts.host(index) | {"status": hosts.inspected_status(index)}
    read = BareMetalHost.decode(written).encode()
    for section in ("spec", "status"):
        assert {key: read[section].get(key) for key in written[section]} == written[section]


def test_no_two_hosts_share_a_name_or_an_address() -> None:
    pairs = list(hosts.hosts(2000))
    macs = [nic["mac"] for index in range(2000) for nic in hosts.hardware(index)["nics"]]
    assert len({host["metadata"]["name"] for _, host in pairs}) == 2000
    assert len({host["spec"]["bmc"]["address"] for _, host in pairs}) == 2000
    assert len(set(macs)) == 4000


@given(st.integers(0, 5000))
def test_each_secret_of_the_owner_is_marked(index: int) -> None:
    host, secret = hosts.host(index), hosts.bmc_secret(index)
    assert host["spec"]["bmc"]["credentialsName"] == secret["metadata"]["name"]
    for part in (*secret["stringData"].values(), *host["spec"]["bmc"].values(), host["metadata"]["annotations"]):
        assert hosts.CANARY in json.dumps(part)

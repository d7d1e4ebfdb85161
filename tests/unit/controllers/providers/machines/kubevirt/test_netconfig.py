"""Convert network data as Metal3 renders it into the form that cloud-init's NoCloud reads."""

from __future__ import annotations

from contextlib import suppress

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from controllers.providers.machines.kubevirt.netconfig import network_config

METAL3 = """
links:
- {id: eth0, type: phy, ethernet_mac_address: "02:00:00:00:00:0A", mtu: 1500}
- {id: eth1, type: phy, ethernet_mac_address: "02:00:00:00:00:0b"}
- {id: bond0, type: bond, bond_mode: 802.3ad, bond_links: [eth0, eth1]}
- {id: vlan7, type: vlan, vlan_id: 7, vlan_link: bond0}
networks:
- {id: n0, type: ipv4, link: bond0, ip_address: 10.0.0.5, netmask: 255.255.255.0,
   routes: [{network: 0.0.0.0, netmask: 0.0.0.0, gateway: 10.0.0.1}]}
- {id: n1, type: ipv6, link: vlan7, ip_address: "fd00::5", netmask: 64}
- {id: n2, type: ipv4_dhcp, link: vlan7}
services:
- {type: dns, address: 10.0.0.2}
- {type: dns, address: 10.0.0.2}
"""


def test_metal3s_form() -> None:
    assert network_config(METAL3.encode()) == {
        "version": 1,
        "config": [
            {"name": "eth0", "type": "physical", "mac_address": "02:00:00:00:00:0a", "mtu": 1500},
            {"name": "eth1", "type": "physical", "mac_address": "02:00:00:00:00:0b"},
            {
                "name": "bond0",
                "type": "bond",
                "bond_interfaces": ["eth0", "eth1"],
                "params": {"bond-mode": "802.3ad"},
                "subnets": [
                    {
                        "type": "static",
                        "address": "10.0.0.5",
                        "netmask": "255.255.255.0",
                        "routes": [{"network": "0.0.0.0", "netmask": "0.0.0.0", "gateway": "10.0.0.1"}],
                    }
                ],
            },
            {
                "name": "vlan7",
                "type": "vlan",
                "vlan_link": "bond0",
                "vlan_id": 7,
                "subnets": [{"type": "static6", "address": "fd00::5", "netmask": 64}, {"type": "dhcp4"}],
            },
            {"type": "nameserver", "address": ["10.0.0.2"]},
        ],
    }


def test_cloud_inits_own_form_passes_as_it_is() -> None:
    own = {"version": 2, "ethernets": {"eth0": {"dhcp4": True}}}
    assert network_config(yaml.safe_dump(own).encode()) == own


@pytest.mark.parametrize(
    "text", ["", "- a", "{", "a: 1", "links: 1", "links: [{type: phy}]", "networks: [{type: ipv4, link: x}]", "links: [1]"]
)
def test_what_is_neither_is_refused_in_words(text: str) -> None:
    with pytest.raises(ValueError, match=r"it |links"):
        network_config(text.encode())


json = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=5) | st.sampled_from(["phy", "bond", "vlan", "ipv4", "dns"]),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            st.sampled_from(["id", "type", "link", "bond_links", "vlan_id", "vlan_link", "address", "routes"]), inner, max_size=4
        )
    ),
    max_leaves=8,
)


@given(st.dictionaries(st.sampled_from(["links", "networks", "services", "version"]), json, max_size=3))
def test_nothing_a_tenant_writes_breaks_it(data: dict[str, object]) -> None:
    with suppress(ValueError):
        assert isinstance(network_config(yaml.safe_dump(data).encode()), dict)


@pytest.mark.parametrize(
    "text",
    [
        "links: [{id: a, mtu: hunter2}]",
        "links: [{id: a, mtu: .inf}]",
        "links: [{id: a, type: vlan, vlan_link: b, vlan_id: .nan}]",
        "links: [hunter2]",
        "networks: [{link: [hunter2], type: ipv4_dhcp}]",
    ],
)
def test_what_is_misshapen_is_refused_without_a_quotation(text: str) -> None:
    with pytest.raises(ValueError, match="not as in OpenStack") as caught:
        network_config(text.encode())
    assert "hunter2" not in str(caught.value)

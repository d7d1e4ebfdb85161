"""Convert network data of Metal3 into network config version 1, which cloud-init's NoCloud reads.

Metal3 writes the format of OpenStack's network_data.json. A text that NoCloud can already read is
passed unchanged. Link types other than Ethernet, bonds and VLANs are not supported.
"""

from __future__ import annotations

from typing import Any

from apiserver.client.objects import Object
from controllers.runtime.boundedyaml import load

OPENSTACK = {"links", "networks", "services"}
BOND_PARAMETERS = {"bond_mode": "bond-mode", "bond_xmit_hash_policy": "xmit_hash_policy", "bond_miimon": "bond-miimon"}
DYNAMIC = {"ipv4_dhcp": "dhcp4", "ipv6_dhcp": "dhcp6", "ipv6_slaac": "ipv6_slaac", "ipv6_dhcpv6-stateful": "ipv6_dhcpv6-stateful"}


def network_config(text: bytes) -> Object:
    """Return the network config.

    Raises ValueError, with a message for the tenant, if the text has neither of the two forms."""
    data = load(text)
    if not isinstance(data, dict):
        raise ValueError("it has to be a YAML or JSON object")
    if OPENSTACK.isdisjoint(data):
        if not {"version", "network"} & data.keys():
            raise ValueError("it needs links, networks and services (as Metal3 writes them), or version (of cloud-init's network config)")
        return data
    try:
        return {"version": 1, "config": [*_links(data), *_nameservers(data)]}
    except KeyError as error:
        raise ValueError(f"{_MISSHAPEN}: {error} is missing") from None
    except (TypeError, AttributeError, ValueError, OverflowError):
        # The message must not contain the text of the error, which quotes the secret.
        raise ValueError(_MISSHAPEN) from None


_MISSHAPEN = "links, networks and services are not as in OpenStack's network_data.json"


def _links(data: Object) -> list[Object]:
    subnets: dict[str, list[Object]] = {}
    for network in data.get("networks") or ():
        subnets.setdefault(network["link"], []).append(_subnet(network))
    return [_link(link) | ({"subnets": subnets[link["id"]]} if link["id"] in subnets else {}) for link in data.get("links") or ()]


def _link(link: Object) -> Object:
    result: Object = {"name": link.get("name") or link["id"]}
    match link.get("type"):
        case "bond":
            parameters = {ours: link[theirs] for theirs, ours in BOND_PARAMETERS.items() if link.get(theirs) is not None}
            result |= {"type": "bond", "bond_interfaces": list(link["bond_links"]), "params": parameters}
        case "vlan":
            result |= {"type": "vlan", "vlan_link": link["vlan_link"], "vlan_id": int(link["vlan_id"])}
        case _:
            result |= {"type": "physical"}
    mac = link.get("vlan_mac_address") or link.get("ethernet_mac_address")
    if mac:
        result["mac_address"] = str(mac).lower()
    if link.get("mtu"):
        result["mtu"] = int(link["mtu"])
    return result


def _subnet(network: Object) -> Object:
    kind = network["type"]
    if kind in DYNAMIC:
        return {"type": DYNAMIC[kind]}
    subnet: Object = {"type": "static6" if kind == "ipv6" else "static", "address": network["ip_address"]}
    for key in ("netmask", "gateway"):
        if network.get(key):
            subnet[key] = network[key]
    if routes := [_route(route) for route in network.get("routes") or ()]:
        subnet["routes"] = routes
    return subnet


def _route(route: Object) -> Object:
    return {key: route[key] for key in ("network", "netmask", "gateway") if route.get(key) is not None}


def _nameservers(data: Object) -> list[Object]:
    services = [*(data.get("services") or ()), *(s for network in data.get("networks") or () for s in network.get("services") or ())]
    addresses: list[Any] = list(dict.fromkeys(service["address"] for service in services if service.get("type") == "dns"))
    return [{"type": "nameserver", "address": addresses}] if addresses else []

"""Provide IP addresses and networks."""

from __future__ import annotations

import ipaddress
import re
from typing import Any

from apiserver.cel.meter import traversal
from apiserver.cel.registry import function, member, reads
from apiserver.cel.values import CelError, Opaque

LONGEST = 64
"""The largest number of characters of an address, or of a network with its prefix."""


class IP(Opaque):
    """An IP address."""

    __slots__ = ("address",)
    TYPE = "net.IP"

    def __init__(self, address: ipaddress.IPv4Address | ipaddress.IPv6Address) -> None:
        self.address = address

    def __eq__(self, other: object) -> bool:
        return isinstance(other, IP) and self.address == other.address

    def __hash__(self) -> int:
        return hash(self.address)


class CIDR(Opaque):
    """An address and the prefix of its network."""

    __slots__ = ("interface",)
    TYPE = "net.CIDR"

    def __init__(self, interface: ipaddress.IPv4Interface | ipaddress.IPv6Interface) -> None:
        self.interface = interface

    def __eq__(self, other: object) -> bool:
        return isinstance(other, CIDR) and str(self.interface) == str(other.interface)

    def __hash__(self) -> int:
        return hash(str(self.interface))


def address_of(text: str) -> IP:
    """Return the address. Raises CelError."""
    if "%" in text:
        raise CelError(f'IP address "{text[:LONGEST]}" with zone value is not allowed')
    try:
        if len(text) > LONGEST:
            raise ValueError
        found = ipaddress.ip_address(text)
    except ValueError:
        said = f'IP Address "{text[:LONGEST]}" parse error during conversion from string: ParseAddr("{text[:LONGEST]}"): unable to parse IP'
        raise CelError(said) from None
    if isinstance(found, ipaddress.IPv6Address) and found.ipv4_mapped is not None:
        raise CelError(f'IPv4-mapped IPv6 address "{text}" is not allowed')
    return IP(found)


def network_of(text: str) -> CIDR:
    """Return the network. Raises CelError."""
    said = "network address parse error during conversion from string: "
    try:
        address, slash, prefix = text.partition("/")
        if len(text) > LONGEST or not slash or not re.fullmatch("0|[1-9][0-9]{0,2}", prefix, re.ASCII) or "%" in address:
            raise ValueError
        found = ipaddress.ip_interface(text)
    except ValueError:
        why = "no '/'" if "/" not in text else "invalid prefix"
        raise CelError(f'{said}{said}netip.ParsePrefix("{text[:LONGEST]}"): {why}') from None
    if isinstance(found, ipaddress.IPv6Interface) and found.ip.ipv4_mapped is not None:
        raise CelError(f'{said}IPv4-mapped IPv6 address "{text}" is not allowed')
    return CIDR(found)


def _possible(parse: Any, text: str) -> bool:
    try:
        return bool(parse(text))
    except CelError:
        return False


function("ip", "string", cost=reads())(lambda meter, text: address_of(text))
function("isIP", "string", cost=reads())(lambda meter, text: _possible(address_of, text))
function("ip.isCanonical", "string", cost=reads(0.2))(lambda meter, text: str(address_of(text).address) == text)
function("string", IP.TYPE)(lambda meter, value: str(value.address))
member("family", IP.TYPE)(lambda meter, value: value.address.version)
member("isUnspecified", IP.TYPE)(lambda meter, value: value.address.is_unspecified)
member("isLoopback", IP.TYPE)(lambda meter, value: value.address.is_loopback)
member("isLinkLocalUnicast", IP.TYPE)(lambda meter, value: value.address.is_link_local)
member("isLinkLocalMulticast", IP.TYPE)(lambda meter, value: _local_multicast(value.address))
member("isGlobalUnicast", IP.TYPE)(lambda meter, value: _global_unicast(value.address))


def _local_multicast(address: Any) -> bool:
    return address in (ipaddress.ip_network("224.0.0.0/24") if address.version == 4 else ipaddress.ip_network("ff02::/16"))


def _global_unicast(address: Any) -> bool:
    broadcast = address == ipaddress.ip_address("255.255.255.255")
    return not (broadcast or address.is_unspecified or address.is_loopback or address.is_multicast or address.is_link_local)


def _inside(network: CIDR, other: CIDR | IP) -> bool:
    inner: Any = other.interface.network if isinstance(other, CIDR) else ipaddress.ip_network(other.address)
    return bool(inner.version == network.interface.version and inner.subnet_of(network.interface.network))


def _both(network: CIDR, other: Any) -> int:
    return 2 + traversal(len(other) if isinstance(other, str) else 16)


function("cidr", "string", cost=reads())(lambda meter, text: network_of(text))
function("isCIDR", "string", cost=reads())(lambda meter, text: _possible(network_of, text))
function("string", CIDR.TYPE)(lambda meter, value: str(value.interface))
member("ip", CIDR.TYPE)(lambda meter, value: IP(value.interface.ip))
member("masked", CIDR.TYPE)(lambda meter, value: network_of(str(value.interface.network)))
member("prefixLength", CIDR.TYPE)(lambda meter, value: value.interface.network.prefixlen)
member("containsIP", CIDR.TYPE, IP.TYPE, cost=_both)(lambda meter, network, other: _inside(network, other))
member("containsIP", CIDR.TYPE, "string", cost=_both)(lambda meter, network, text: _inside(network, address_of(text)))
member("containsCIDR", CIDR.TYPE, CIDR.TYPE, cost=_both)(lambda meter, network, other: _inside(network, other))
member("containsCIDR", CIDR.TYPE, "string", cost=_both)(lambda meter, network, text: _inside(network, network_of(text)))

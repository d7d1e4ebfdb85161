"""Identify the machine of a request whose user is not known."""

from __future__ import annotations

import ipaddress

from aiohttp import web


def client_of(address: str) -> str:
    """Return the address by which a client is counted.

    For IPv6 it is the /64, because one machine has all of its addresses."""
    try:
        parsed = ipaddress.ip_address(address.partition("%")[0])
    except ValueError:
        return address
    if isinstance(parsed, ipaddress.IPv4Address):
        return str(parsed)
    return str(parsed.ipv4_mapped or ipaddress.ip_network((parsed, 64), strict=False))


def remote(http: web.BaseRequest) -> str:
    """Return the address that sent the request, "" if it is no longer known."""
    transport = http.transport
    peer = transport.get_extra_info("peername") if transport is not None else None
    return str(peer[0]) if peer else ""

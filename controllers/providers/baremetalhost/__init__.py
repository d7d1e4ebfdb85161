"""Provide real hosts of a hardware cluster: Metal3 BareMetalHosts that the Baremetal Operator
controls."""

from controllers.providers.baremetalhost.provider import BareMetalHostProvider

__all__ = ["BareMetalHostProvider"]

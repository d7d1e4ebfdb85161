"""Provide hosts of another metal3-workloads: those that one of its namespaces has, or is
offered."""

from controllers.providers.relay.provider import RelayProvider

__all__ = ["RelayProvider"]

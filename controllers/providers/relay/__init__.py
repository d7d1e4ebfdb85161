"""Hosts of another metal3-workloads: what one of its namespaces is offered and has, passed on."""

from controllers.providers.relay.provider import RelayProvider

__all__ = ["RelayProvider"]

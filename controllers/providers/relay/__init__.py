"""Provide hosts of another metal3-workloads: those that one of its namespaces is offered or has."""

from controllers.providers.relay.provider import RelayProvider

__all__ = ["RelayProvider"]

"""Instances of a public cloud, offered by flavor and made when they are claimed."""

from controllers.providers.cloud.provider import CloudProvider

__all__ = ["CloudProvider"]

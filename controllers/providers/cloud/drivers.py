"""The kinds of clouds there are, by the name that a class's parameters have for them."""

from __future__ import annotations

from typing import TYPE_CHECKING

from controllers.providers.cloud.ec2 import EC2
from controllers.providers.cloud.openstack import OpenStack

if TYPE_CHECKING:
    from collections.abc import Mapping

    from controllers.providers.cloud.driver import Driver
    from controllers.providers.cloud.parameters import Parameters

__all__ = ["connect"]


def connect(parameters: Parameters, credentials: Mapping[str, bytes]) -> Driver:
    """The class's cloud, without asking it anything. Raises BadClass when the credentials cannot be such a cloud's."""
    return OpenStack(parameters, credentials) if parameters.driver == "openstack" else EC2(parameters, credentials)

"""Virtual machines of a KubeVirt cluster, offered by flavor and made when they are claimed."""

from controllers.providers.kubevirt.provider import KubeVirtProvider

__all__ = ["KubeVirtProvider"]

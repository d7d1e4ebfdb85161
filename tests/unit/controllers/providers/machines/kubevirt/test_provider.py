"""The provider of virtual machines passes the tests of all providers."""

from __future__ import annotations

from controllers.providers.testing import ProviderTests


class TestKubeVirtProvider(ProviderTests):
    """Against a KubeVirt cluster in memory."""

"""Run the tests of all providers on the provider of virtual machines."""

from __future__ import annotations

from controllers.providers.testing import ProviderTests


class TestKubeVirtProvider(ProviderTests):
    """Run the tests of all providers against a KubeVirt cluster in memory."""

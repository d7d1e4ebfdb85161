"""Run the tests of all providers on the provider of a cloud's machines."""

from __future__ import annotations

from controllers.providers.testing import ProviderTests


class TestCloudProvider(ProviderTests):
    """Run the tests of all providers against a simulated EC2."""

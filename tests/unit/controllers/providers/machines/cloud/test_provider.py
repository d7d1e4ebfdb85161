"""The provider of a cloud's machines passes the tests of all providers."""

from __future__ import annotations

from controllers.providers.testing import ProviderTests


class TestCloudProvider(ProviderTests):
    """Against a simulated EC2."""

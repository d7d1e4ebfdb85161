"""The fake API server that the controllers' tests have."""

from tests.unit.controllers.conftest import api, client

__all__ = ["api", "client"]

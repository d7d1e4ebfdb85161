"""Import the fake API server of the controllers' tests."""

from tests.unit.controllers.conftest import api, client

__all__ = ["api", "client"]

"""Provide one server for all cases: what one case leaves behind must not disturb the next."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING

import pytest

from tests.hostile.server import Served

if TYPE_CHECKING:
    from collections.abc import Iterator


@pytest.fixture(scope="session")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    """Yield a server that writes its audit events at once, so that their cost belongs to the right
    request."""
    logging.disable(logging.ERROR)
    with Served.running(tmp_path_factory.mktemp("hostile")) as served:
        yield served
    logging.disable(logging.NOTSET)

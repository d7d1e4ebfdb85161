"""Suppress the long log messages of killed controllers, and of servers that lose their clients."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from collections.abc import Iterator


@pytest.fixture(autouse=True)
def quiet() -> Iterator[None]:
    """Disable logging up to ERROR during each test."""
    logging.disable(logging.ERROR)
    yield
    logging.disable(logging.NOTSET)

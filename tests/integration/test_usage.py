"""Meter machines on the real pair while programs are killed, as `make demo-usage` shows it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from hack.demos import usage

if TYPE_CHECKING:
    import pytest

    from tests.integration.running import Running


def test_the_story_is_true(tenants: Running, capsys: pytest.CaptureFixture[str]) -> None:
    usage.tell(tenants)
    assert "All checks passed." in capsys.readouterr().out

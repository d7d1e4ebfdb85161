"""Check that a source of machines adds no special case: only its entry point names the provider."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[3]
PROVIDERS = ROOT / "controllers" / "providers"
SHARED = {"baremetalhost"}


@pytest.mark.parametrize("provider", sorted(path.name for path in PROVIDERS.iterdir() if (path / "__init__.py").exists()))
def test_no_module_imports_a_provider(provider: str) -> None:
    importing = re.compile(rf"^\s*(from|import) controllers\.providers\.{provider}\b", re.MULTILINE)
    inside = PROVIDERS if provider in SHARED else PROVIDERS / provider
    files = [path for package in ("apiserver", "storage", "controllers") for path in (ROOT / package).rglob("*.py")]
    assert len(files) > 100
    assert [str(path) for path in files if inside not in path.parents and importing.search(path.read_text())] == []

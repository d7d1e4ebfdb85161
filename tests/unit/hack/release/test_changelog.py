"""Check that a release has a changelog of its version."""

from __future__ import annotations

import re
import tomllib
from pathlib import Path

import pytest

from hack.release.changelog import UPGRADING, MissingSection, released

ROOT = Path(__file__).resolve().parents[4]
CHANGES = f"{UPGRADING}\n\nNothing.\n\n### Added\n\n- This.\n\n"
OLDER = f"## [0.1.0] - 2026-11-28\n\n{CHANGES}"


def test_the_unreleased_changes_become_those_of_the_version() -> None:
    assert released(f"# Changelog\n\n## [Unreleased]\n\n{CHANGES}{OLDER}", "0.2.0") == f"# Changelog\n\n## [0.2.0]\n\n{CHANGES}{OLDER}"


def test_a_section_of_the_version_stays_as_it_is() -> None:
    text = f"# Changelog\n\n## [Unreleased]\n\n{OLDER}"
    assert released(text, "0.1.0") == text


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (OLDER, "names no changes of 0.2.0"),
        (f"## [Unreleased]\n\n{OLDER}", "names no changes of 0.2.0"),
        (f"## [0.2.0] - 2026-12-01\n\n### Added\n\n- This.\n\n{OLDER}", "does not say first what operators do"),
        (f"## [Unreleased]\n\n### Added\n\n- This.\n\n{CHANGES}", "does not say first what operators do"),
    ],
)
def test_a_version_without_changes_or_without_advice_is_refused(text: str, message: str) -> None:
    with pytest.raises(MissingSection, match=message):
        released(text, "0.2.0")


def test_the_present_version_can_be_released() -> None:
    version = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["version"]
    made = released((ROOT / "CHANGELOG.md").read_text(), version)
    assert re.search(rf"^## \[{re.escape(version)}\]", made, re.MULTILINE)


def test_sections_of_the_changelog_are_those_of_keep_a_changelog() -> None:
    """Each kind of change appears once in a version, so that readers find all of them in one
    place."""
    text = (ROOT / "CHANGELOG.md").read_text()
    kinds = [UPGRADING, *(f"### {kind}" for kind in ("Added", "Changed", "Deprecated", "Removed", "Fixed", "Security"))]
    for section in text.split("\n## ")[1:]:
        found = re.findall(r"^### .*$", section, re.MULTILINE)
        assert set(found) <= set(kinds)
        assert len(set(found)) == len(found)

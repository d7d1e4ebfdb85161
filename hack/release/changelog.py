"""Give the changelog of a release the heading of its version, and refuse a release without one.

Until then, its changes are under the heading `[Unreleased]`."""

from __future__ import annotations

import re

UNRELEASED = "## [Unreleased]"
UPGRADING = "### Before you upgrade"
SECTION = re.compile(r"^## \[(?P<version>[^\]]+)\][^\n]*\n(?P<text>.*?)(?=^## \[|\Z)", re.DOTALL | re.MULTILINE)


class MissingSection(Exception):
    """Reports that the changelog does not describe the version. The message says what to add."""


def released(changelog: str, version: str) -> str:
    """Return the changelog with a section for the version. Raises MissingSection."""
    sections = {found["version"]: found["text"] for found in SECTION.finditer(changelog)}
    name = version if version in sections else "Unreleased"
    text = sections.get(name, "")
    if "\n- " not in text:
        raise MissingSection(f"CHANGELOG.md names no changes of {version}: add them under ## [{version}] or {UNRELEASED}")
    if not text.lstrip().startswith(UPGRADING):
        raise MissingSection(f"CHANGELOG.md does not say first what operators do: begin ## [{name}] with {UPGRADING!r}, even for nothing")
    return changelog.replace(UNRELEASED, f"## [{version}]", 1) if name == "Unreleased" else changelog

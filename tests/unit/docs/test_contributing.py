"""Check the answers that CONTRIBUTING.md gives to a newcomer's questions."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[3]
PAGE = (ROOT / "CONTRIBUTING.md").read_text()
PACKAGES = ("apiserver", "storage", "controllers", "manifests", "tests", "hack", "docs")
QUESTIONS = {
    "Where do I add a field?": "apiserver/apis/workload.py",
    "Where is a verb handled?": "apiserver/handlers/update.py",
    "How is a host chosen?": "controllers/scheduler/fit.py",
    "How are offers planned?": "controllers/offer/plan.py",
    "Where is a machine's error explained?": "controllers/providers/baremetalhost/machineerrors.py",
}


def paths(text: str) -> list[str]:
    return [path for path in re.findall(r"`([a-z0-9_/]+/[a-z0-9_/]*(?:\.py)?)`", text) if path.partition("/")[0] in PACKAGES]


@pytest.mark.parametrize("question", QUESTIONS)
def test_each_question_is_answered_by_paths_that_exist(question: str) -> None:
    [answer] = re.findall(rf"^\| {re.escape(question)} \| (.*) \|$", PAGE, re.MULTILINE)
    found = paths(answer)
    assert QUESTIONS[question] in found
    assert [path for path in found if not (ROOT / path).exists()] == []


def test_every_path_of_the_page_exists() -> None:
    found = paths(PAGE)
    assert len(found) > 12
    assert [path for path in found if not (ROOT / path).exists()] == []

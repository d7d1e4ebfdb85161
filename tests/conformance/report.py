"""Render the report: a line for each case, the allowed differences with their reasons, and a table
by area."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence

    from tests.conformance.compare import Verdict


def render(verdicts: Sequence[Verdict]) -> str:
    """Return the whole text."""
    lines = ["Conformance: the same requests to kube-apiserver serving a CustomResourceDefinition and to metal3-workloads", ""]
    for verdict in sorted(verdicts, key=lambda v: v.case):
        lines.append(f"{_word(verdict):9} {verdict.case}")
        lines += [f"            allowed: {difference}\n                     because {why}" for difference, why in verdict.allowed]
        lines += [f"            WRONG: {difference}" for difference in verdict.wrong]
        lines += [f"            STALE: no difference at {pattern} any more" for pattern in verdict.stale]
    return "\n".join([*lines, "", *_table(verdicts)]) + "\n"


def _word(verdict: Verdict) -> str:
    if not verdict.passed:
        return "DIFFERENT"
    return "allowed" if verdict.allowed else "same"


def _table(verdicts: Sequence[Verdict]) -> list[str]:
    counts: dict[str, Counter[str]] = {}
    for verdict in verdicts:
        area = verdict.case.partition("/")[0]
        for name in (area, "all"):
            counts.setdefault(name, Counter())[_word(verdict)] += 1
    rows = [f"{'area':16}{'cases':>8}{'same':>8}{'allowed':>9}{'different':>11}"]
    for name in [*sorted(set(counts) - {"all"}), *(["all"] if "all" in counts else [])]:
        found = counts[name]
        rows.append(f"{name:16}{found.total():>8}{found['same']:>8}{found['allowed']:>9}{found['DIFFERENT']:>11}")
    differ, total = (sum(verdict.messages[index] for verdict in verdicts) for index in (0, 1))
    return [
        *rows,
        "",
        f"Messages of errors are compared where a case says so; of all {total}, {total - differ} are the same to the letter.",
    ]

"""Run every case of tests.conformance.cases: the same requests to kube-apiserver serving our
schemas and to our server.

See tests.conformance.case for what a case is, and .cache/conformance/report.txt for the outcome of
all.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.conformance.cases import all_cases

if TYPE_CHECKING:
    from collections.abc import Mapping

    from tests.conformance.compare import Verdict


@pytest.mark.parametrize("name", all_cases())
def test_ours_answers_as_kube_apiserver(name: str, verdicts: Mapping[str, Verdict]) -> None:
    verdict = verdicts[name]
    problems = [*map(str, verdict.wrong), *(f"allowed, but not different any more: {pattern}" for pattern in verdict.stale)]
    assert verdict.passed, "\n".join([name, *problems])

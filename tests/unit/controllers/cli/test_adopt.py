"""Check what `metal3-workloads adopt` says at its end, and what it needs."""

from __future__ import annotations

import pytest

from apiserver.cli.main import main
from controllers.adoptionoptions import Options, Summary
from controllers.cli.adopt import _result


def test_the_namespace_is_needed(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        main(["adopt", "host-0"])
    assert "--namespace" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("undo", "dry_run", "text"),
    [
        (False, False, "1 adopted, 2 waiting for their consumers, 1 failed"),
        (True, False, "1 given back, 2 waiting for their consumers, 1 failed"),
        (True, True, "1 given back, 2 would be given back, 1 failed"),
    ],
)
def test_the_last_line_counts(*, undo: bool, dry_run: bool, text: str) -> None:
    assert _result(Summary(["a"], ["b", "c"], ["d"]), Options(namespace="a", undo=undo, dry_run=dry_run)) == text

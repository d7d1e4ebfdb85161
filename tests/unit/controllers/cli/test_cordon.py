"""Check that both commands write the right mark."""

from __future__ import annotations

import pytest

from apiserver.cli.main import parser


@pytest.mark.parametrize(("command", "unschedulable"), [("cordon", True), ("uncordon", False)])
def test_the_command_decides_the_mark(command: str, *, unschedulable: bool) -> None:
    arguments = parser(command).parse_args([command, "node-0", "node-1"])
    assert (arguments.hosts, arguments.unschedulable) == (["node-0", "node-1"], unschedulable)

"""Check that messages that advise a deletion say what is lost or how it is kept, and that all are
in plain words."""

from __future__ import annotations

import ast
import re
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from collections.abc import Iterator

ROOT = Path(__file__).parents[2]
DELETION = re.compile(r"\b(delet|terminat)(e|ing)\b[^.:;]*\b(Workload|BareMetalHost|machine|instance|VirtualMachine)s?\b")
SAYS_WHAT_IS_LOST = re.compile(
    r"\bkeep|\bwipes|\bgives the host up|\bcreate it again|\b(create|make) a new one|\bsave what you need|\bstay as they are"
    r"|\bif the machine"
)
"""The phrases that a message has besides the advice: how the machine is kept, what is lost, or that
nothing is left to lose."""
FREES = ("terminate instance X", "delete the VirtualMachine X")
"""The end of a Host's message whose beginning says that no Workload uses the machine."""
PLAIN = re.compile(r"\b(anew|whoever|is told|are told)\b")


def texts(path: Path) -> Iterator[tuple[int, str]]:
    """Yield the string literals of a module, except docstrings, with their lines."""
    tree = ast.parse(path.read_text())
    parts = {id(part) for node in ast.walk(tree) if isinstance(node, ast.JoinedStr) for part in ast.walk(node) if part is not node}
    notes = {id(node.value) for node in ast.walk(tree) if isinstance(node, ast.Expr)}
    for node in ast.walk(tree):
        if id(node) in parts or id(node) in notes:
            continue
        if isinstance(node, ast.JoinedStr):
            yield node.lineno, "".join(part.value if isinstance(part, ast.Constant) else "X" for part in node.values)  # type: ignore[misc] # the constants of a formatted string are text
        elif isinstance(node, ast.Constant) and isinstance(node.value, str):
            yield node.lineno, node.value


@cache
def messages() -> list[tuple[str, str]]:
    paths = [path for folder in ("apiserver", "controllers", "storage") for path in sorted((ROOT / folder).rglob("*.py"))]
    shown = [path for path in paths if "testing" not in path.stem and "simulator" not in path.parts]
    return [(f"{path.relative_to(ROOT)}:{line}", text) for path in shown for line, text in texts(path) if " " in text]


def test_advice_to_delete_says_what_is_lost_or_how_it_is_kept() -> None:
    found = [where for where, text in messages() if text not in FREES and DELETION.search(text) and not SAYS_WHAT_IS_LOST.search(text)]
    assert found == []


@pytest.mark.parametrize("folder", ["apiserver", "controllers"])
def test_messages_are_plain(folder: str) -> None:
    assert [where for where, text in messages() if where.startswith(folder) and PLAIN.search(text)] == []

"""Check that text of others cannot forge lines or control a terminal."""

from __future__ import annotations

import pytest

from apiserver.client.text import printable


@pytest.mark.parametrize(
    ("text", "clean"),
    [
        ("plain, with ümlauts and 漢字", "plain, with ümlauts and 漢字"),
        ("a\nb\r\nc\td", "a b  c d"),
        ("\x1b[2J\x9b\x00\u2028\u202e", " [2J    "),
        ("", ""),
    ],
)
def test_text_stays_on_its_line(text: str, clean: str) -> None:
    assert printable(text) == clean


@pytest.mark.parametrize(("text", "clean"), [("x" * 10, "x" * 10), ("x" * 11, "x" * 10 + "…"), ("\n" * 11, " " * 10 + "…")])
def test_text_is_cut(text: str, clean: str) -> None:
    assert printable(text, most=10) == clean

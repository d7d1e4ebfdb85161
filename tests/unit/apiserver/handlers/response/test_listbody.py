"""Assemble lists from parts: whichever way they are put together, the bytes are the same."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from apiserver.handlers.response.listbody import ListBody


@given(st.binary(max_size=3), st.lists(st.binary(max_size=4), max_size=40), st.binary(max_size=3), st.integers(0, 50))
def test_pieces_are_the_whole(head: bytes, items: list[bytes], tail: bytes, count: int) -> None:
    parts = ListBody(head, items, tail)
    whole = head + b",".join(items) + tail
    pieces = list(parts.pieces(count))
    assert b"".join(pieces) == parts.join() == whole
    assert parts.size == len(whole)
    assert parts.exceeds(count) == (len(whole) > count)
    assert not parts.exceeds(len(whole))
    assert len(pieces) <= max(count, 1) + 2

from __future__ import annotations

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from storage.base import Check, Delete, Put
from storage.keys import MAX_OPERATIONS, check_operations, prefix_end, successor

TEXT = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"), max_size=6)


@given(TEXT, TEXT)
def test_text_compares_as_its_bytes(a: str, b: str) -> None:
    assert (a < b) == (a.encode() < b.encode())


@given(TEXT, TEXT)
@example("\ud7ff", "\ue000")
@example("a\U0010ffff", "b")
@example("\U0010ffff", "\U0010ffffx")
def test_the_end_of_a_prefix_divides(prefix: str, key: str) -> None:
    end = prefix_end(prefix)
    inside = key >= prefix and (end is None or key < end)
    assert inside == key.startswith(prefix)


@given(TEXT)
def test_the_end_of_a_prefix_can_be_encoded(prefix: str) -> None:
    assert (prefix_end(prefix) or "").encode() is not None


@given(TEXT, TEXT)
def test_nothing_is_between_a_key_and_its_successor(key: str, other: str) -> None:
    assert key < successor(key)
    assert not key < other < successor(key)


@pytest.mark.parametrize("key", ["", "\0", "a\0", "\udfff"])
def test_bad_keys(key: str) -> None:
    for operation in (Put(key, b""), Delete(key), Check(key, 0)):
        with pytest.raises(ValueError):  # noqa: PT011 - one kind of refusal is in the codec
            check_operations([operation])


def test_a_key_may_come_once_only() -> None:
    with pytest.raises(ValueError, match="'a'"):
        check_operations([Put("a", b""), Put("b", b""), Check("a", 0)])


def test_there_is_a_limit() -> None:
    check_operations([Delete(str(n)) for n in range(MAX_OPERATIONS)])
    with pytest.raises(ValueError, match="several commits"):
        check_operations([Delete(str(n)) for n in range(MAX_OPERATIONS + 1)])

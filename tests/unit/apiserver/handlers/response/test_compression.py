"""Cover gzip in segments: any reader gets the same bytes back, and unchanged segments are not
compressed again."""

from __future__ import annotations

import gzip

import pytest
from aiohttp.test_utils import make_mocked_request
from hypothesis import given
from hypothesis import strategies as st

from apiserver.handlers.response import compression
from apiserver.handlers.response.compression import Segments, wants_gzip


def joined(head: bytes, items: list[bytes], tail: bytes) -> bytes:
    return head + b",".join(items) + tail


async def gzipped(segments: Segments, items: list[bytes], *, keep: bool = True) -> bytes:
    return gzip.decompress(b"".join(await segments.gzip(b"[", items, b"]", keep=keep)))


@given(st.binary(), st.lists(st.binary(), max_size=300), st.binary(), st.booleans())
async def test_comes_back_whole(head: bytes, items: list[bytes], tail: bytes, keep: bool) -> None:
    segments = Segments()
    for _ in range(2):
        assert gzip.decompress(b"".join(await segments.gzip(head, items, tail, keep=keep))) == joined(head, items, tail)


def objects(count: int, marked: int = -1) -> list[bytes]:
    return [b'{"name":"%d","changed":%d}' % (number, number == marked) * 20 for number in range(count)]


@pytest.fixture
def compressed(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """Return a list that collects the sizes of what is compressed."""
    sizes: list[int] = []
    compress = compression._compressed

    def counting(data: bytes) -> compression._Segment:
        sizes.append(len(data))
        return compress(data)

    monkeypatch.setattr(compression, "_compressed", counting)
    return sizes


async def test_only_what_changed_is_compressed_again(compressed: list[int]) -> None:
    segments, before = Segments(), objects(3000)
    assert await gzipped(segments, before) == joined(b"[", before, b"]")
    assert len(compressed) > 20
    compressed.clear()
    assert await gzipped(segments, list(before)) == joined(b"[", before, b"]")
    assert compressed == [1, 1]  # only head and tail
    after = [b"first", *before[:1500], b"another", *before[1501:]]
    compressed.clear()
    assert await gzipped(segments, after) == joined(b"[", after, b"]")
    assert len(compressed) <= 2 + 2 + 3


async def test_what_is_not_worth_keeping_is_not_kept() -> None:
    segments = Segments()
    await gzipped(segments, objects(1000), keep=False)
    assert segments.size == 0


async def test_memory_is_bounded_and_the_oldest_goes_first(compressed: list[int]) -> None:
    whole = Segments()
    await gzipped(whole, objects(1000))
    segments = Segments(kept=whole.size)
    await gzipped(segments, objects(1000))
    assert segments.size == whole.size
    for marked in range(0, 1000, 50):
        assert await gzipped(segments, objects(1000, marked)) == joined(b"[", objects(1000, marked), b"]")
        assert 0 < segments.size <= whole.size
    compressed.clear()
    await gzipped(segments, objects(1000))
    assert len(compressed) > 2


async def test_equal_items_are_cut_too() -> None:
    items = [b"same"] * 1000
    assert await gzipped(Segments(largest=10), items) == joined(b"[", items, b"]")


@pytest.mark.parametrize(
    ("header", "expected"),
    [
        ("gzip", True),
        ("deflate, gzip", True),
        ("br,gzip ,zstd", True),
        ("", False),
        ("identity", False),
        ("gzip;q=0", False),
        ("x-gzip", False),
        ("*", False),
    ],
)
def test_accept_encoding_decides_about_gzip(header: str, expected: bool) -> None:
    assert wants_gzip(make_mocked_request("GET", "/", {"Accept-Encoding": header})) is expected


async def test_what_is_gone_is_not_kept_however_well_it_compresses() -> None:
    """Check that segments hold none of the items: a megabyte of one letter is a thousand bytes
    compressed."""
    there: set[int] = set()

    class Item(bytes):
        def __del__(self) -> None:
            there.discard(self[0])

    segments = Segments()
    items: list[bytes] = [Item(bytes([number]) + b"x" * 100_000) for number in range(200)]
    there.update(range(200))
    assert await gzipped(segments, items) == joined(b"[", items, b"]")
    assert 0 < segments.size < 500_000
    del items
    assert not there

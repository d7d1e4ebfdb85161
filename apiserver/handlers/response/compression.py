"""gzip for large answers, as kube-apiserver compresses them, out of parts that stay compressed between requests.

The items of a list are cut into segments of about 64. Each is compressed on its own, ends on a byte boundary and is kept together
with its CRC, so that a list is a matter of joining bytes, and a changed object costs its own segment (RFC 1951 3.2.4, RFC 1952).
"""

from __future__ import annotations

import struct
from itertools import pairwise
from typing import TYPE_CHECKING, NamedTuple

from isal import isal_zlib

from apiserver.apis.bounded import Bounded
from apiserver.handlers.request.timebudget import TURNS

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from aiohttp import web

__all__ = ["THRESHOLD", "Segments", "gzipped", "wants_gzip"]

THRESHOLD = 128 * 1024
"""Bytes above which an answer is compressed (APIResponseCompression of k8s.io/apiserver)."""
SEGMENT_MASK = 63
"""A segment ends before an item whose hash has none of these bits, once in 64: a new item shifts no borders but its own."""
LARGEST = 512
"""Items of a segment, at most."""
KEPT = 32 * 1024 * 1024
"""Bytes of segments that are kept."""
EACH = 40
"""Bytes of the hash by which an item is known."""
LEVEL = 1
GZIP = 16
"""What makes zlib write a gzip header and trailer."""
HEADER = b"\x1f\x8b\x08\x00\x00\x00\x00\x00\x00\xff"
END = b"\x03\x00"
"""An empty last block."""


class _Segment(NamedTuple):
    """Raw deflate of `size` bytes whose CRC-32 is `crc`."""

    data: bytes
    crc: int
    size: int


def wants_gzip(http: web.BaseRequest) -> bool:
    """Whether the client names gzip in Accept-Encoding, read as kube-apiserver reads it."""
    return any(token.strip() == "gzip" for token in http.headers.get("Accept-Encoding", "").split(","))


def gzipped(data: bytes) -> bytes:
    """One gzip member of what is sent once."""
    compressor = isal_zlib.compressobj(LEVEL, isal_zlib.DEFLATED, GZIP | isal_zlib.MAX_WBITS)
    return compressor.compress(data) + compressor.flush()


class Segments:
    """Compresses lists, and keeps the segments used last. `kept`: how many bytes at most."""

    def __init__(self, kept: int = KEPT) -> None:
        self._segments: Bounded[tuple[int, ...], _Segment] = Bounded(kept)

    @property
    def size(self) -> int:
        """Bytes that are kept now."""
        return self._segments.size

    async def gzip(self, head: bytes, items: Sequence[bytes], tail: bytes, *, keep: bool = True) -> list[bytes]:
        """One gzip member, in parts: `head`, the items with commas between them, `tail`. `keep`: whether the same items are likely to
        be asked for again. Lets others have their turn while there is much to compress."""
        parts, crc, size, turn = [HEADER], 0, 0, TURNS.begin()
        for number, cut in enumerate(_cuts(items)):
            # Known by size, and by the items' hashes: those are computed once per object, and secret (siphash with a random key). The items
            # themselves would keep the states of objects that are long gone, a thousand times as large as what they are compressed to.
            known = (sum(map(len, cut)), *map(hash, cut))
            segment = self._segments.get(known)
            if segment is None:
                segment = _compressed(b",".join(cut))
                if keep:
                    self._segments.put(known, segment, len(segment.data) + EACH * len(known))
            for one in (COMMA if number else _compressed(head), segment):
                parts.append(one.data)
                crc, size = isal_zlib.crc32_combine(crc, one.crc, one.size), size + one.size
            await turn.over()
        last = _compressed(tail if items else head + tail)
        crc, size = isal_zlib.crc32_combine(crc, last.crc, last.size), size + last.size
        return [*parts, last.data, END, struct.pack("<II", crc, size & 0xFFFFFFFF)]


def _cuts(items: Sequence[bytes]) -> Iterator[tuple[bytes, ...]]:
    """The items in segments. Where they are cut depends on nothing but the items at the border."""
    borders = [index for index, number in enumerate(map(hash, items)) if not number & SEGMENT_MASK]
    for start, end in pairwise([0, *borders, len(items)]):
        for low in range(start, end, LARGEST):
            yield tuple(items[low : min(low + LARGEST, end)])


def _compressed(data: bytes) -> _Segment:
    compressor = isal_zlib.compressobj(LEVEL, isal_zlib.DEFLATED, -isal_zlib.MAX_WBITS)
    body = compressor.compress(data) + compressor.flush(isal_zlib.Z_SYNC_FLUSH)
    return _Segment(body, isal_zlib.crc32(data), len(data))


COMMA = _compressed(b",")

"""Compress large answers with gzip, as kube-apiserver does, from segments that are cached
compressed.

The items of a list are divided into segments of about 64. Each segment is compressed on its own,
ends on a byte boundary, and is cached with its CRC. So a list is built by joining bytes, and a
changed object costs only its own segment (RFC 1951 3.2.4, RFC 1952).
"""

from __future__ import annotations

import struct
from collections.abc import Iterator, Sequence
from itertools import pairwise
from typing import NamedTuple

from aiohttp import web
from isal import isal_zlib

from apiserver.apis.bounded import Bounded
from apiserver.handlers.request.timebudget import TURNS

THRESHOLD = 128 * 1024
"""The bytes above which an answer is compressed (APIResponseCompression of k8s.io/apiserver)."""
GZIPPED = {"Content-Encoding": "gzip", "Vary": "Accept-Encoding"}
"""The headers of a compressed answer."""
SEGMENT_MASK = 63
"""A segment ends before an item whose hash has none of these bits, on average one in 64.

So a new item shifts only its own borders."""
LARGEST = 512
"""The largest number of items in a segment."""
KEPT = 32 * 1024 * 1024
"""The largest number of bytes of all cached segments together."""
EACH = 40
"""The bytes of the hash that identifies an item."""
LEVEL = 1
GZIP = 16
"""The window bits that make zlib write a gzip header and trailer."""
HEADER = b"\x1f\x8b\x08\x00\x00\x00\x00\x00\x00\xff"
END = b"\x03\x00"
"""An empty last block."""


class _Segment(NamedTuple):
    """Raw deflate of `size` bytes with the CRC-32 `crc`."""

    data: bytes
    crc: int
    size: int


def wants_gzip(http: web.BaseRequest) -> bool:
    """Return whether the client names gzip in Accept-Encoding, read as kube-apiserver reads it."""
    return any(token.strip() == "gzip" for token in http.headers.get("Accept-Encoding", "").split(","))


def gzipped(data: bytes) -> bytes:
    """Return `data` as one gzip member, without the cache."""
    compressor = isal_zlib.compressobj(LEVEL, isal_zlib.DEFLATED, GZIP | isal_zlib.MAX_WBITS)
    return compressor.compress(data) + compressor.flush()


class Segments:
    """Compresses lists, and caches the segments that were used last, up to `kept` bytes.

    A segment has up to `largest` items."""

    def __init__(self, kept: int = KEPT, largest: int = LARGEST) -> None:
        self._largest = largest
        self._segments: Bounded[tuple[int, ...], _Segment] = Bounded(kept)

    @property
    def size(self) -> int:
        """Return the number of bytes in the cache."""
        return self._segments.size

    async def gzip(self, head: bytes, items: Sequence[bytes], tail: bytes, *, keep: bool = True) -> list[bytes]:
        """Return the parts of one gzip member with `head`, the comma-separated items, and `tail`.

        `keep` is true if the same items are likely to be requested again. Other requests get their
        turn during long compressions."""
        parts, crc, size, turn = [HEADER], 0, 0, TURNS.begin()
        for number, cut in enumerate(_cuts(items, self._largest)):
            # The key of a segment is its size and the hashes of its items. Hashes are computed once
            # per object, and are secret (siphash with a random key). Items as keys would keep the
            # states of deleted objects, a thousand times as large as their compressed form.
            known = (sum(map(len, cut)), *map(hash, cut))
            segment = self._segments.get(known)
            if segment is None:
                segment = _compressed(b",".join(cut))
                if keep:
                    self._segments.put(known, segment, len(segment.data) + EACH * len(known))
            for one in (COMMA if number else _compressed(head), segment):
                parts.append(one.data)
                crc, size = isal_zlib.crc32_combine(crc, one.crc, one.size), size + one.size
            await turn.checkpoint()
        last = _compressed(tail if items else head + tail)
        crc, size = isal_zlib.crc32_combine(crc, last.crc, last.size), size + last.size
        return [*parts, last.data, END, struct.pack("<II", crc, size & 0xFFFFFFFF)]


def _cuts(items: Sequence[bytes], largest: int) -> Iterator[tuple[bytes, ...]]:
    """Yield the items in segments. Only the items at a border decide where it is."""
    borders = [index for index, number in enumerate(map(hash, items)) if not number & SEGMENT_MASK]
    for start, end in pairwise([0, *borders, len(items)]):
        for low in range(start, end, largest):
            yield tuple(items[low : min(low + largest, end)])


def _compressed(data: bytes) -> _Segment:
    compressor = isal_zlib.compressobj(LEVEL, isal_zlib.DEFLATED, -isal_zlib.MAX_WBITS)
    body = compressor.compress(data) + compressor.flush(isal_zlib.Z_SYNC_FLUSH)
    return _Segment(body, isal_zlib.crc32(data), len(data))


COMMA = _compressed(b",")

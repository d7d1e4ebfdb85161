"""Define the storage flags of `serve`: the place of objects, and their number of bytes."""

from __future__ import annotations

import argparse
import re

from apiserver.cli.storage import open_store
from storage.cache import HISTORY_BYTES, WatchCache

_UNITS = {"": 1, "Ki": 1 << 10, "Mi": 1 << 20, "Gi": 1 << 30, "Ti": 1 << 40}
_SIZE = re.compile(r"([0-9]{1,15})(|Ki|Mi|Gi|Ti)")
_LEAST = 1 << 20


def add_storage_flags(parser: argparse.ArgumentParser) -> None:
    """Add the flags. Sizes are written like Kubernetes quantities."""
    parser.add_argument(
        "--storage",
        required=True,
        metavar="URL",
        help="where objects are kept: sqlite:///PATH, or for several replicas etcd://HOST:PORT,HOST:PORT/PREFIX?ca=FILE&cert=FILE&key=FILE",
    )
    parser.add_argument(
        "--storage-max-bytes",
        type=size,
        default=0,
        metavar="SIZE",
        help="maximum size of SQLite's file in bytes, below that of its volume; when it is full, only releases and deletions are accepted "
        "(default: the disk)",
    )
    parser.add_argument(
        "--watch-history-bytes",
        type=size,
        default=HISTORY_BYTES,
        metavar="SIZE",
        help="memory for the history that serves watches, for all kinds together; a watch of older history gets 410 (default: 128Mi)",
    )


def watch_cache(arguments: argparse.Namespace) -> WatchCache:
    """Return the watch cache around the store that the flags request, not yet started.

    Raises UsageError."""
    store = open_store(arguments.storage, max_bytes=arguments.storage_max_bytes)
    return WatchCache(store, history_bytes=arguments.watch_history_bytes)


def size(text: str) -> int:
    """Return a number of bytes, such as 512Mi."""
    found = _SIZE.fullmatch(text)
    number = int(found[1]) * _UNITS[found[2]] if found else 0
    if number < _LEAST:
        raise argparse.ArgumentTypeError("a size is a number of bytes, such as 512Mi or 2Gi, and 1Mi at least")
    return number

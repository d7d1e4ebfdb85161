"""Write the log of all parts to stderr, as text or as JSON, with times in UTC.

Messages quote text of users and other servers. In both forms, nothing in them can end the line,
look like another record or control a terminal, and they are cut to MOST characters. A line of JSON
has the keys `ts`, `level`, `logger` and `msg`, and `exception` with a traceback. It is ASCII.

Requests cause warnings of the server and of its storage. So each place in their code may write
BURST warnings at once, and then one every SECONDS. That one says how many were left out."""

from __future__ import annotations

import json
import logging
import sys
from datetime import UTC, datetime
from typing import Any, TextIO

from apiserver.client.text import printable

MOST = 4096
BURST, SECONDS = 20, 5.0
LIMITED = ("apiserver.", "storage.")
"""The loggers whose warnings are limited. The messages of controllers are bounded by the number of
their writes."""
LEVELS = ("debug", "info", "warning", "error")
FORMATS = ("text", "json")


class TextFormatter(logging.Formatter):
    """Formats lines for people."""

    def __init__(self) -> None:
        super().__init__("%(asctime)s %(levelname)-7s %(name)s: %(message)s")

    def formatMessage(self, record: logging.LogRecord) -> str:
        record.message = printable(record.message, MOST)
        return super().formatMessage(record)

    def formatException(self, ei: Any) -> str:
        """Return the traceback with its lines indented, because a message may have several lines."""
        return "\n".join(f"    {printable(line, MOST)}" for line in super().formatException(ei).splitlines())

    def formatTime(self, record: logging.LogRecord, datefmt: str | None = None) -> str:
        return _time(record)


class JsonFormatter(logging.Formatter):
    """Formats each record as one line of JSON."""

    def format(self, record: logging.LogRecord) -> str:
        entry = {"ts": _time(record), "level": record.levelname.lower(), "logger": record.name, "msg": record.getMessage()[:MOST]}
        if record.exc_info:
            entry["exception"] = self.formatException(record.exc_info)
        if record.stack_info:
            entry["stack"] = self.formatStack(record.stack_info)
        return json.dumps(entry)


class RateLimit(logging.Filter):
    """Limits the warnings and errors that each place in the code writes."""

    def __init__(self) -> None:
        super().__init__()
        self._places: dict[tuple[str, int], _Place] = {}

    def filter(self, record: logging.LogRecord) -> bool:
        """Return whether to write the record. A written record says how many before it were left
        out."""
        if record.levelno < logging.WARNING or not record.name.startswith(LIMITED):
            return True
        place = self._places.setdefault((record.name, record.lineno), _Place(record.created))
        if not place.take(record.created):
            return False
        if place.left_out:
            record.msg = f"{record.msg} ({place.left_out} more like this are not shown)"
            place.left_out = 0
        return True


class _Place:
    """The lines that one place in the code may still write."""

    def __init__(self, now: float) -> None:
        self.left_out = 0
        self._lines, self._since = float(BURST), now

    def take(self, now: float) -> bool:
        self._lines = min(BURST, self._lines + max(now - self._since, 0.0) / SECONDS)
        self._since = now
        if self._lines < 1:
            self.left_out += 1
            return False
        self._lines -= 1
        return True


def log_to(level: str, form: str = "text", stream: TextIO | None = None) -> None:
    """Send the log of all parts to the stream, which is stderr by default. `form` is one of
    FORMATS."""
    handler = logging.StreamHandler(stream or sys.stderr)
    handler.setFormatter(JsonFormatter() if form == "json" else TextFormatter())
    handler.addFilter(RateLimit())
    root = logging.getLogger()
    if not root.handlers:
        root.addHandler(handler)
        root.setLevel(level.upper())
    # aiohttp's access log is off, and its messages about broken connections are useless.
    logging.getLogger("aiohttp").setLevel(logging.ERROR)
    logging.getLogger("asyncio").setLevel(logging.ERROR)


def _time(record: logging.LogRecord) -> str:
    """Return the record's time in RFC 3339, as Kubernetes' components write it."""
    return datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")

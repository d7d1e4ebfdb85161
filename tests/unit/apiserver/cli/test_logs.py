"""Check the two forms of the log: one line for each record, with the time in UTC."""

from __future__ import annotations

import contextlib
import io
import json
import logging
import subprocess
import sys
from typing import TYPE_CHECKING

import pytest

from apiserver.cli.logs import BURST, MOST, SECONDS, JsonFormatter, RateLimit, TextFormatter, log_to
from apiserver.cli.main import parser

if TYPE_CHECKING:
    from collections.abc import Iterator

# The 28th of November 2026, 21:06:57.482 UTC
CREATED = 1795900017.482
HOSTILE = 'name "a"\n2026-01-01 INFO forged: \x1b[2J \u2028 \udc80'


@contextlib.contextmanager
def without_handlers() -> Iterator[None]:
    """Take the handlers of the root logger, among them pytest's, away for the block."""
    root = logging.getLogger()
    handlers, level = root.handlers[:], root.level
    root.handlers[:] = []
    try:
        yield
    finally:
        root.handlers[:] = handlers
        root.setLevel(level)


def record(message: str, *arguments: object, level: int = logging.WARNING, failed: bool = False) -> logging.LogRecord:
    exception = None
    if failed:
        try:
            raise ValueError("of the test")
        except ValueError:
            exception = sys.exc_info()
    made = logging.LogRecord("controllers.host", level, __file__, 1, message, arguments, exception)
    made.created = CREATED
    return made


def test_text_begins_with_the_time_in_utc() -> None:
    assert TextFormatter().format(record("host %s", "h")) == "2026-11-28T21:06:57.482Z WARNING controllers.host: host h"


def test_times_do_not_depend_on_the_zone_of_the_machine() -> None:
    script = (
        "import logging\nfrom apiserver.cli.logs import MOST, JsonFormatter, TextFormatter\n"
        "made = logging.LogRecord('x', 20, '', 1, 'm', (), None)\n"
        f"made.created = {CREATED}\n"
        "print(TextFormatter().format(made), JsonFormatter().format(made))"
    )
    there = {"TZ": "Asia/Tokyo"}
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, timeout=60, check=True, env=there)
    assert done.stdout.count("2026-11-28T21:06:57.482Z") == 2


def test_json_has_the_fields_of_the_record() -> None:
    entry = json.loads(JsonFormatter().format(record("host %s of %d", "h", 2)))
    assert entry == {"ts": "2026-11-28T21:06:57.482Z", "level": "warning", "logger": "controllers.host", "msg": "host h of 2"}


def test_a_traceback_stays_in_its_line_of_json() -> None:
    line = JsonFormatter().format(record("failed", failed=True))
    assert "\n" not in line
    assert "ValueError: of the test" in json.loads(line)["exception"]


def test_no_text_ends_a_line_of_json() -> None:
    line = JsonFormatter().format(record("%s", HOSTILE))
    assert line.isascii()
    assert line.isprintable()
    assert json.loads(line)["msg"] == HOSTILE


def test_no_text_ends_a_line_of_text() -> None:
    line = TextFormatter().format(record("workload %s: not bound", HOSTILE))
    assert line.isprintable()
    assert line.startswith("2026-11-28T21:06:57.482Z WARNING controllers.host: workload name")


def test_an_exceptions_text_looks_like_no_other_record() -> None:
    made = record("failed")
    made.exc_info = (ValueError, ValueError(HOSTILE), None)
    first, *others = TextFormatter().format(made).split("\n")
    assert first.endswith("failed")
    assert all(line.startswith("    ") and line.isprintable() for line in others)
    assert any("forged" in line for line in others)


@pytest.mark.parametrize("formatter", [TextFormatter(), JsonFormatter()])
def test_a_line_is_bounded(formatter: logging.Formatter) -> None:
    assert len(formatter.format(record("%s", "x" * 10**6))) < MOST + 200


@pytest.mark.parametrize(("form", "first"), [("text", "2"), ("json", "{")])
def test_the_root_logger_writes_the_form(form: str, first: str) -> None:
    written = io.StringIO()
    with without_handlers():
        log_to("warning", form, written)
        logging.getLogger("apiserver.x").info("left out")
        logging.getLogger("apiserver.x").warning("written")
    (line,) = written.getvalue().splitlines()
    assert line.startswith(first)
    assert "written" in line


@pytest.mark.parametrize("command", ["serve", "controllers", "dev"])
def test_the_flag_is_accepted_before_and_behind_the_command(command: str) -> None:
    needed = ["--storage", "sqlite:///x"] if command == "serve" else []
    flags = ["--log-format", "json", "--log-level", "debug"]
    for given in ([*flags, command, *needed], [command, *needed, *flags]):
        arguments = parser(command).parse_args(given)
        assert (arguments.log_format, arguments.log_level) == ("json", "debug")
    arguments = parser(command).parse_args([command, *needed])
    assert (arguments.log_format, arguments.log_level) == ("text", "info")


def warning(at: float, *, name: str = "apiserver.filters.errors", line: int = 1, level: int = logging.WARNING) -> logging.LogRecord:
    made = logging.LogRecord(name, level, __file__, line, "%s failed", ("POST",), None)
    made.created = CREATED + at
    return made


def test_warnings_that_requests_cause_are_limited_and_counted() -> None:
    limit = RateLimit()
    assert [limit.filter(warning(0)) for _ in range(BURST + 100)] == [True] * BURST + [False] * 100
    later = warning(SECONDS)
    assert limit.filter(later)
    assert later.getMessage() == "POST failed (100 more like this are not shown)"
    assert not limit.filter(warning(SECONDS))
    assert limit.filter(after := warning(2 * SECONDS))
    assert after.getMessage() == "POST failed (1 more like this are not shown)"
    assert sum(limit.filter(warning(1000 * SECONDS)) for _ in range(BURST + 100)) == BURST


def test_each_place_has_a_limit_of_its_own_and_only_warnings_of_the_server_have_one() -> None:
    limit = RateLimit()
    while limit.filter(warning(0)):
        pass
    assert limit.filter(warning(0, line=2))
    assert limit.filter(warning(0, name="storage.cache"))
    assert all(limit.filter(warning(0, name="controllers.events")) for _ in range(BURST * 2))
    assert all(limit.filter(warning(0, level=logging.INFO)) for _ in range(BURST * 2))


def test_the_log_is_limited() -> None:
    stream = io.StringIO()
    with without_handlers():
        log_to("info", stream=stream)
        for _ in range(BURST * 3):
            logging.getLogger("apiserver.test").warning("refused")
    assert BURST <= stream.getvalue().count("refused") < BURST * 2

"""Evaluate expressions over the worst texts that a tenant can write: no call may do more work than
it was charged for, or hold the interpreter."""

from __future__ import annotations

import time
from contextlib import suppress

import pytest

from apiserver.cel.meter import PER_CALL, Cancelled, Meter
from apiserver.cel.program import Program
from apiserver.cel.values import CelError
from tests.hostile.measure import HELD, slowness

SIZE = 600_000
TEXTS = {
    "one letter": "a" * SIZE,
    "pairs": "ab" * (SIZE // 2),
    "not ASCII": "é" * (SIZE // 2),
    "a URL": "https://" + "a" * (SIZE - 8),
    "an escaped URL": "https://h/" + "%41" * (SIZE // 3 - 10),
    "a query": "https://h/?" + "a=b&" * (SIZE // 4 - 10),
    "a version": "1.2.3-" + "1." * (SIZE // 2 - 10) + "1",
    "quotation marks": '"\\' * (SIZE // 2),
}
ITEMS = [f"x{index}" for index in range(4000)]
PARTS = (
    *("o.t.contains(o.t)", "o.t.lowerAscii() == ''", "o.t.upperAscii() == ''", "o.t.trim() == ''", "strings.quote(o.t) == ''"),
    *("o.t.replace('a', 'bb') == ''", "o.t.replace('', 'x') == ''", "o.t.split('').size() == 1", "o.t.split('a').size() == 1"),
    *("'%s %x'.format([o.t, o.t]) == ''", "o.t.format([1]) == ''", "jsonpatch.escapeKey(o.t) == ''", "o.t.lastIndexOf('baa') == 0"),
    *("isURL(o.t)", "url(o.t).getEscapedPath() == ''", "url(o.t).getQuery().size() == 1", "format.uri().validate(o.t).hasValue()"),
    *("isSemver(o.t, true)", "isQuantity(o.t)", "isIP(o.t)", "isCIDR(o.t)", "duration(o.t) == duration('1s')", "double(o.t) == 1.0"),
    *("int(o.t) == 1", "timestamp(o.t) == timestamp(0)", "format.byte().validate(o.t).hasValue()", "o.l.all(x, isURL(o.t))"),
    *("o.l.all(x, {o.t: 1} == {o.u: 1})", "o.l.all(x, optional.of(o.t) == optional.of(o.u))", "o.l.all(x, o.t == o.u)"),
    *("o.l.map(x, o.t).join() == ''", "o.l.map(x, o.t + x).size() == 1", "o.l.sort().size() == 1", "o.l.distinct().size() == 1"),
)
PATTERNS = ("^(a+)+$", "(x+x+)+y", "a{1,900}b", "([a-z]{1,30}b){1,20}", "[ab]*a[ab]{14}c", "(?:a?){30}b", "a.*b|a")
UNIT = 8e-6
"""The CPU seconds that a unit may take on the reference machine."""


class Watched:
    """A pace that keeps the longest CPU time between two charges."""

    def __init__(self) -> None:
        self.longest, self._last = 0.0, time.thread_time()

    def __call__(self, units: int) -> None:
        """Note the time."""
        now = time.thread_time()
        self.longest, self._last = max(self.longest, now - self._last), now


def evaluated(expression: str, text: str) -> tuple[float, float, int]:
    """Return the CPU seconds of the longest call and of everything, and the cost."""
    program, pace = Program(expression, ("o",)), Watched()
    meter = Meter(pace)
    began = time.thread_time()
    with suppress(CelError, Cancelled):
        program.run({"o": {"t": text, "u": "".join(list(text)), "l": ITEMS}}, meter)
    pace(0)
    return pace.longest, time.thread_time() - began, min(meter.spent, PER_CALL)


@pytest.mark.parametrize("expression", PARTS)
def test_no_function_holds_the_interpreter(expression: str) -> None:
    for name, text in TEXTS.items():
        copying = evaluated("o.t == ''", text)[1]
        for attempt in range(3):
            longest, total, cost = evaluated(expression, text)
            slow = slowness()
            if longest <= (HELD + copying) * slow and total - copying <= (cost * UNIT + HELD) * slow:
                break
            assert attempt < 2, f"{name}: {longest * 1e3:.0f} ms of {total * 1e3:.0f} ms at once, for {cost} units"


@pytest.mark.parametrize("pattern", PATTERNS)
@pytest.mark.parametrize("function", ["o.t.matches('{}')", "o.t.find('{}') == ''", "o.t.findAll('{}').size() == 1"])
def test_no_pattern_costs_more_than_it_is_charged_for(function: str, pattern: str) -> None:
    for name in ("one letter", "pairs"):
        for attempt in range(3):
            _, total, cost = evaluated(function.format(pattern), TEXTS[name])
            if total <= (cost * UNIT + 4 * HELD) * slowness():
                break
            assert attempt < 2, f"{name}: {total * 1e3:.0f} ms for {cost} units"

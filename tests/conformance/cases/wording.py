"""Test the exact messages for refused values, for each sort of rule in a schema."""

from __future__ import annotations

from typing import Any

from tests.conformance import reasons
from tests.conformance.case import GADGETS, Case, gadget, post


def _case(name: str, **spec: Any) -> Case:
    return Case(name, (post(GADGETS, gadget(**spec)),), messages=True)


TWICE = {path: reasons.TWICE for path in ("1.body.details.causes*", "1.body.message")}


CASES = (
    _case("below the minimum", size=0),
    _case("far below the minimum", size=-(2**40)),
    _case("above the maximum", size=101),
    _case("minimum in a list", ports=[{"port": 0}]),
    _case("too short", title="a"),
    _case("empty and too short", title=""),
    _case("too long", title="abcdefghi"),
    _case("too many items", args=["a", "b", "c", "d"]),
    _case("not one of the words", mode="swift"),
    _case("pattern", code="A1"),
    _case("required", part={}),
    _case("required in a list", parts=[{"weight": 1}]),
    _case("no integer", size="1"),
    Case("half an integer", (post(GADGETS, gadget(size=1.5)),), messages=True, allowed=TWICE),
    _case("no text", title=1),
    _case("no boolean", paused="yes"),
    _case("no number", ratio="1"),
    _case("no list", args="a"),
    _case("no object", part="a"),
    _case("no text in a list", args=["a", 1]),
    _case("no text in a map", settings={"a": 1}),
)

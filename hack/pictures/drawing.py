"""Write diagrams as SVG, and find texts that overlap other parts in the widest common font.

A diagram consists of boxes, groups around them, arrows with right angles, and labels. Colours
follow the reader's light or dark mode.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from html import escape
from itertools import combinations, pairwise
from typing import Literal, NamedTuple

Color = Literal["blue", "deep", "orange", "green", "violet", "plain"]
Anchor = Literal["start", "middle", "end"]

HEAD, LINE, SMALL = 15, 14, 12
"""The sizes of titles, of a box's first line, and of all other text."""
WIDEST, BOLD = 1.2, 1.06
"""How much wider than Helvetica the widest common font is (Verdana, DejaVu Sans), and bold text."""
MARGIN, CLEARANCE = 6, 1
NARROW, MIDDLE, WIDE = "fijlrt.,:;-/()'| I", "ckrsvxyzJ…", "mwMWOGQ"

LIGHT = {
    "back": "#ffffff", "ink": "#1f2937", "soft": "#4b5563", "box": "#ffffff", "edge": "#374151", "mark": "#15803d",
    "blue": "#eff6ff", "deep": "#dbeafe", "orange": "#fff7ed", "green": "#f0fdf4", "violet": "#f5f3ff", "plain": "#f9fafb",
}  # fmt: skip
DARK = {
    "back": "#0d1117", "ink": "#e6edf3", "soft": "#b1bac4", "box": "#161b22", "edge": "#9198a1", "mark": "#4ade80",
    "blue": "#10233f", "deep": "#17335c", "orange": "#33210f", "green": "#0f2d1b", "violet": "#241c40", "plain": "#1b2028",
}  # fmt: skip
BORDERS = {"blue": "#60a5fa", "deep": "#60a5fa", "orange": "#fb923c", "green": "#4ade80", "violet": "#a78bfa", "plain": "#9ca3af"}


class Rect(NamedTuple):
    """A rectangle by its edges."""

    left: float
    top: float
    right: float
    bottom: float


@dataclass(frozen=True)
class Box:
    """A box with lines of text in its middle. The first line is larger."""

    x: int
    y: int
    w: int
    h: int
    lines: tuple[str, ...]
    color: Color | None = None
    bold: bool = False
    dashed: bool = False


@dataclass(frozen=True)
class Group:
    """An area with a title in its upper left corner."""

    x: int
    y: int
    w: int
    h: int
    title: str
    color: Color


@dataclass(frozen=True)
class Arrow:
    """A line with right angles through the points, with a head at its end."""

    points: tuple[tuple[int, int], ...]
    dashed: bool = False
    mark: bool = False
    head: bool = True


@dataclass(frozen=True)
class Label:
    """A text of its own. `y` is its baseline."""

    x: int
    y: int
    text: str
    anchor: Anchor = "middle"
    bold: bool = False


@dataclass(frozen=True)
class Picture:
    """A diagram. `title` tells what it shows to those who cannot see it."""

    name: str
    w: int
    h: int
    title: str
    parts: tuple[Box | Group | Arrow | Label, ...]


class Text(NamedTuple):
    """One line of text in its place, with the box or group that it belongs to."""

    x: float
    y: float
    size: int
    text: str
    anchor: Anchor
    bold: bool
    inside: Box | Group | None


def width(text: str, size: int, *, bold: bool) -> float:
    """Return the approximate width of the text in the widest common font."""
    units = sum(280 if one in NARROW else 500 if one in MIDDLE else 810 if one in WIDE else 680 if one.isupper() else 556 for one in text)
    return units / 1000 * size * WIDEST * (BOLD if bold else 1)


def texts(part: Box | Group | Arrow | Label) -> Iterator[Text]:
    """Yield the lines of text of a part."""
    if isinstance(part, Label):
        yield Text(part.x, part.y, HEAD if part.bold else SMALL, part.text, part.anchor, part.bold, None)
    elif isinstance(part, Group):
        yield Text(part.x + 14, part.y + 24, HEAD, part.title, "start", True, part)
    elif isinstance(part, Box):
        top = part.y + part.h / 2 - (18 * len(part.lines)) / 2 + 13
        for number, line in enumerate(part.lines):
            size = LINE if number == 0 else SMALL
            yield Text(part.x + part.w / 2, top + 18 * number, size, line, "middle", part.bold and number == 0, part)


def area(text: Text) -> Rect:
    """Return the area that a text takes in the widest font."""
    wide = width(text.text, text.size, bold=text.bold)
    left = text.x - {"start": 0.0, "middle": wide / 2, "end": wide}[text.anchor]
    return Rect(left, text.y - text.size * 0.8, left + wide, text.y + text.size * 0.25)


def problems(picture: Picture) -> list[str]:
    """Return a message for each overlap: of a text and an edge, a text and a line, two texts, or a
    line and a box."""
    lines = [(text, area(text)) for part in picture.parts for text in texts(part)]
    boxes = [part for part in picture.parts if isinstance(part, Box | Group)]
    arrows = [part for part in picture.parts if isinstance(part, Arrow)]
    found = [f"{text.text!r} is wider than what it is in" for text, room in lines if not _fits(text, room, picture)]
    found += [f"{one.text!r} covers {other.text!r}" for (one, a), (other, b) in combinations(lines, 2) if _overlap(a, b)]
    found += [f"{text.text!r} touches an edge of {part}" for text, room in lines for part in boxes if _touches_edge(room, part)]
    found += [f"a line crosses {text.text!r}" for text, room in lines for one in arrows if _crosses(one, room)]
    found += [
        f"a line runs through {part.lines[0]!r}" for part in boxes if isinstance(part, Box) for one in arrows if _crosses(one, _inner(part))
    ]
    return found


def _fits(text: Text, room: Rect, picture: Picture) -> bool:
    around = text.inside
    left, right = (around.x, around.x + around.w) if around is not None else (0, picture.w)
    return left + MARGIN <= room.left and room.right <= right - MARGIN


def _inner(part: Box | Group) -> Rect:
    return Rect(part.x + CLEARANCE, part.y + CLEARANCE, part.x + part.w - CLEARANCE, part.y + part.h - CLEARANCE)


def _overlap(one: Rect, other: Rect) -> bool:
    return one.left < other.right and other.left < one.right and one.top < other.bottom and other.top < one.bottom


def _touches_edge(room: Rect, part: Box | Group) -> bool:
    outer = Rect(part.x - CLEARANCE, part.y - CLEARANCE, part.x + part.w + CLEARANCE, part.y + part.h + CLEARANCE)
    inner = _inner(part)
    within = inner.left <= room.left and room.right <= inner.right and inner.top <= room.top and room.bottom <= inner.bottom
    return _overlap(room, outer) and not within


def _crosses(arrow: Arrow, room: Rect) -> bool:
    return any(
        _overlap(Rect(min(x, u) - CLEARANCE / 2, min(y, v) - CLEARANCE / 2, max(x, u) + CLEARANCE / 2, max(y, v) + CLEARANCE / 2), room)
        for (x, y), (u, v) in pairwise(arrow.points)
    )


def svg(picture: Picture, *, dark: bool | None = None) -> str:
    """Return the picture as SVG. `dark`: draw one mode only, for programs that know no modes."""
    style = _style(DARK if dark else LIGHT)
    if dark is None:
        style += f"@media (prefers-color-scheme: dark) {{\n{_style(DARK)}}}\n"
    parts = sorted(picture.parts, key=lambda part: (Group, Arrow, Box, Label).index(type(part)))
    drawn = "\n".join(line for part in parts for line in _drawn(part))
    title = escape(picture.title)
    return f"""<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {picture.w} {picture.h}" role="img" aria-label="{title}">
<title>{title}</title>
<style>
text {{ font-family: system-ui, -apple-system, "Segoe UI", Helvetica, Arial, sans-serif; }}
{style}</style>
<defs>
{_marker("line")}
{_marker("mark")}
</defs>
<rect class="back" width="{picture.w}" height="{picture.h}"/>
{drawn}
</svg>
"""


def _marker(kind: str) -> str:
    """Return the head of the arrows of a kind."""
    size = 'viewBox="0 0 10 10" refX="9" refY="5" markerWidth="7" markerHeight="7"'
    return f'<marker id="{kind}" {size} orient="auto-start-reverse"><path class="{kind}-head" d="M0 0L10 5L0 10z"/></marker>'


def _style(colors: dict[str, str]) -> str:
    groups = "".join(f".{name} {{ fill: {colors[name]}; stroke: {BORDERS[name]}; }}\n" for name in BORDERS)
    return (
        f".back {{ fill: {colors['back']}; }}\n"
        f".box {{ fill: {colors['box']}; stroke: {colors['edge']}; }}\n"
        f".ink {{ fill: {colors['ink']}; }}\n.soft {{ fill: {colors['soft']}; }}\n"
        f".line {{ fill: none; stroke: {colors['edge']}; stroke-width: 1.5; }}\n.line-head {{ fill: {colors['edge']}; }}\n"
        f".mark {{ fill: none; stroke: {colors['mark']}; stroke-width: 2; }}\n.mark-head {{ fill: {colors['mark']}; }}\n{groups}"
    )


def _drawn(part: Box | Group | Arrow | Label) -> Iterator[str]:
    if isinstance(part, Arrow):
        path = " ".join(f"{'L' if number else 'M'}{x} {y}" for number, (x, y) in enumerate(part.points))
        kind = "mark" if part.mark else "line"
        dash = ' stroke-dasharray="5 4"' if part.dashed else ""
        end = f' marker-end="url(#{kind})"' if part.head else ""
        yield f'<path class="{kind}" d="{path}"{dash}{end}/>'
        return
    if isinstance(part, Box | Group):
        dash = ' stroke-dasharray="5 4"' if isinstance(part, Box) and part.dashed else ""
        yield f'<rect class="{part.color or "box"}" x="{part.x}" y="{part.y}" width="{part.w}" height="{part.h}" rx="8"{dash}/>'
    for text in texts(part):
        weight = ' font-weight="600"' if text.bold else ""
        kind = "ink" if text.size > SMALL else "soft"
        anchor = "" if text.anchor == "start" else f' text-anchor="{text.anchor}"'
        yield f'<text class="{kind}" x="{text.x:g}" y="{text.y:g}" font-size="{text.size}"{anchor}{weight}>{escape(text.text)}</text>'

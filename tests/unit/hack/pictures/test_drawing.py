"""Check that nothing touches in the pictures of the documentation, and that they are of this
tree."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from xml.etree import ElementTree

import pytest

from hack.pictures.diagrams import PICTURES
from hack.pictures.drawing import Arrow, Box, Group, Label, Picture, problems, svg

IMAGES = Path(__file__).parents[4] / "docs" / "images"
SMALL = Picture("x", 400, 200, "A box", (Group(10, 10, 380, 180, "group", "blue"), Box(30, 60, 200, 60, ("short", "text"))))


@pytest.mark.parametrize("picture", PICTURES, ids=lambda picture: picture.name)
def test_nothing_touches_in_any_font(picture: Picture) -> None:
    assert problems(picture) == []


@pytest.mark.parametrize("picture", PICTURES, ids=lambda picture: picture.name)
def test_the_picture_is_of_this_tree(picture: Picture) -> None:
    drawn = svg(picture)
    assert (IMAGES / f"{picture.name}.svg").read_text() == drawn, "run `make pictures` and commit docs/images"
    ElementTree.fromstring(drawn)
    assert "prefers-color-scheme: dark" in drawn


@pytest.mark.parametrize(
    ("part", "said"),
    [
        (Box(240, 60, 60, 60, ("much too long for this",)), "wider than"),
        (Label(130, 100, "over the box"), "covers"),
        (Label(230, 80, "edge", "middle"), "touches an edge"),
        (Label(395, 150, "edge of the group", "end"), "touches an edge"),
        (Arrow(((30, 26), (300, 26))), "crosses 'group'"),
        (Arrow(((10, 90), (300, 90))), "runs through 'short'"),
        (Label(380, 150, "beyond the picture", "start"), "wider than"),
    ],
)
def test_touching_parts_are_found(part: Box | Arrow | Label, said: str) -> None:
    assert problems(SMALL) == []
    assert said in " ".join(problems(replace(SMALL, parts=(*SMALL.parts, part))))

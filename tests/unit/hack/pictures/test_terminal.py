"""Check that the pictures of terminals show what the commands print now."""

from __future__ import annotations

import pytest

from hack.pictures.terminal import IMAGES, SCREEN, pictures


@pytest.mark.parametrize(("name", "picture"), pictures().items())
def test_the_picture_is_up_to_date(name: str, picture: str) -> None:
    drawn = "".join(f"{line.rstrip()}\n" for line in picture.splitlines())
    assert (IMAGES / name).read_text() == drawn, "run `make pictures` and commit docs/images"
    assert "url(http" not in drawn, "a picture asks no other server for a font"


def test_the_pictures_are_of_a_usual_terminal() -> None:
    assert SCREEN.width == 80

"""Check the picture of the imports in CONTRIBUTING.md. It can be drawn only if there are no
circular imports."""

from __future__ import annotations

import pytest

from hack.imports import PAGE, arrows, box, essential, mermaid, replaced


def test_the_picture_is_of_this_tree() -> None:
    page = PAGE.read_text()
    assert page == replaced(page, mermaid(essential(arrows()))), "run `make imports` and commit CONTRIBUTING.md"


def test_a_circle_is_named() -> None:
    with pytest.raises(ValueError, match=r"circle: a\.x, a\.y$"):
        essential({"a.x": {"a.y"}, "a.y": {"a.x"}, "a.z": {"a.x"}})


def test_an_arrow_that_follows_from_others_is_left_out() -> None:
    assert essential({"a.x": {"a.y", "a.z"}, "a.y": {"a.z"}}) == {"a.x": {"a.y"}, "a.y": {"a.z"}}


def test_a_box_is_a_package_below_a_root() -> None:
    assert box("controllers.scheduler.fit") == "controllers.scheduler"
    assert box("controllers.run") == "controllers.run"
    assert box("storage.sqlite.store") == "storage"
    assert box("apiserver") == ""

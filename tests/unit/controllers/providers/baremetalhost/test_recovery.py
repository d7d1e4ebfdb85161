"""Check what a recovery refuses before it looks at any host."""

from __future__ import annotations

import pytest

from controllers.providers.baremetalhost.recovery import check_classes
from controllers.recovery import RecoverError


@pytest.mark.parametrize(
    ("present", "wanted", "word"),
    [(set(), set(), "create the classes"), ({"metal"}, {"metl"}, "metl: correct --class"), ({"metal"}, {"metal", "b", "a"}, "a, b")],
)
def test_a_class_that_does_not_exist_is_no_success(present: set[str], wanted: set[str], word: str) -> None:
    with pytest.raises(RecoverError, match=word):
        check_classes(present, wanted)


def test_classes_that_exist_are_recovered() -> None:
    check_classes({"metal"}, set())
    check_classes({"metal", "vms"}, {"metal"})

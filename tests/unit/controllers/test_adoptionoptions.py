"""Check which class the command `adopt` chooses."""

from __future__ import annotations

from typing import Any

import pytest

from controllers.adoptionoptions import chosen_class
from controllers.resumable import Blocked

DEFAULT = {"workloadclass.workload.metal3.io/is-default-class": "true"}


def class_(name: str, **annotations: Any) -> dict[str, Any]:
    return {"metadata": {"name": name, "annotations": annotations, "creationTimestamp": "2026-01-01T00:00:00Z"}, "spec": {}}


def test_the_named_the_only_or_the_default_class_is_meant() -> None:
    plain, default = class_("plain"), class_("default", **DEFAULT)
    assert chosen_class([plain], "") == plain
    assert chosen_class([plain, default], "") == default
    assert chosen_class([plain, default], "plain") == plain


@pytest.mark.parametrize(("present", "name", "word"), [((), "", "create one"), (("a", "b"), "", "a, b"), (("a",), "c", "--class: a")])
def test_without_a_class_there_is_nothing_to_adopt(present: tuple[str, ...], name: str, word: str) -> None:
    with pytest.raises(Blocked, match=word):
        chosen_class([class_(one) for one in present], name)

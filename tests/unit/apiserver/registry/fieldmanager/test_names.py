"""Cover names of field managers."""

from __future__ import annotations

import pytest

from apiserver.registry.fieldmanager import default_manager, manager_causes


@pytest.mark.parametrize(
    ("user_agent", "wanted"),
    [
        ("kubectl/v1.36.3 (linux/amd64) kubernetes/abc", "kubectl"),
        ("Mozilla/5.0", "Mozilla"),
        ("python-requests", "python-requests"),
        ("my tool\u0007\u200b/1", "my tool"),
        ("/x", ""),
        ("", ""),
        ("a" * 200, "a" * 128),
        ("é" * 100, "é" * 64),
        ("a" * 127 + "éb", "a" * 127),
    ],
)
def test_the_default_is_the_user_agents_first_part(user_agent: str, wanted: str) -> None:
    assert default_manager(user_agent) == wanted
    assert not manager_causes(wanted)


def test_a_long_name_is_refused_by_its_bytes() -> None:
    assert manager_causes("é" * 64) == []
    assert manager_causes("é" * 64 + "a") == [
        {"reason": "FieldValueTooLong", "message": "Too long: may not be more than 128 bytes", "field": "fieldManager"}
    ]


def test_characters_that_cannot_be_printed_are_reported_with_their_place() -> None:
    assert manager_causes("é\u0007b\u200b") == [
        {
            "reason": "FieldValueInvalid",
            "message": f'Invalid value: "é\\u0007b\\u200b": invalid character {what})',
            "field": "fieldManager",
        }
        for what in ("U+0007 (at position 2", "U+200B (at position 4")
    ]


def test_an_apply_must_name_its_manager_and_only_an_apply_may_force() -> None:
    (required,) = manager_causes("", apply=True)
    assert required == {"reason": "FieldValueRequired", "message": "Required value: is required for apply patch", "field": "fieldManager"}
    (forbidden,) = manager_causes("", force=False)
    assert forbidden == {
        "reason": "FieldValueForbidden",
        "message": "Forbidden: may not be specified for non-apply patch",
        "field": "force",
    }
    assert manager_causes("a", apply=True, force=True) == manager_causes("") == []

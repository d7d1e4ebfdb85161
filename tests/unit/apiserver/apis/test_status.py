"""Check that an error is bounded, whatever a client has sent."""

from __future__ import annotations

from apiserver.apis.status import CAUSES, QUOTED, cause, invalid


def test_an_error_names_so_many_causes_and_counts_the_rest() -> None:
    error = invalid("g", "Kind", "name", [cause("FieldValueInvalid", f"wrong {n}", f"spec.{n}") for n in range(CAUSES + 7)])
    assert len(error.status()["details"]["causes"]) == CAUSES
    assert error.message.endswith(f"spec.{CAUSES - 1}: wrong {CAUSES - 1}, and 7 more]")


def test_a_cause_quotes_only_the_beginning_of_what_is_long() -> None:
    found = cause("FieldValueInvalid", "x" * 10**6, "f" * 10**6)
    assert found["message"] == "x" * QUOTED + "…"
    assert len(found["field"]) == QUOTED

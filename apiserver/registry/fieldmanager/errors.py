"""Define the errors of an apply, besides those of the object itself. Handlers convert them to a
Status."""

from __future__ import annotations

from collections.abc import Sequence

MOST = 50
"""The number of fields that an error names."""


class FieldsError(Exception):
    """Base class of ApplyConflict (409), ApplyRefused (400) and SchemaMismatch.

    SchemaMismatch is a 400, because the client's object does not fit the schema."""


class SchemaMismatch(FieldsError):
    """A value does not fit the schema.

    `errors` has pairs of a path, such as ".spec.ports", and its error."""

    def __init__(self, errors: Sequence[tuple[str, str]], what: str = "") -> None:
        self.errors = list(errors)
        lines = [f"{path}: {why}" if path else why for path, why in self.errors]
        more = [f"and {len(lines) - MOST} more"] if len(lines) > MOST else []
        text = lines[0] if len(lines) == 1 else "\n  ".join(["errors:", *lines[:MOST], *more])
        super().__init__(f"{what}: {text}" if what else text)

    def below(self, prefix: str) -> SchemaMismatch:
        """Return the error with paths that begin at the parent of the field `prefix`."""
        return SchemaMismatch([(prefix + path, why) for path, why in self.errors])


class ApplyRefused(FieldsError):
    """The request is wrong, regardless of the stored object: a 400 with this text."""


class ApplyConflict(FieldsError):
    """Other managers own fields that the client wants to change: a 409 Conflict with this text.

    `conflicts` has the first MOST pairs of a path, such as ".spec.image", and its owner, such as
    `"kubectl" using example.com/v1`.
    """

    def __init__(self, conflicts: Sequence[tuple[str, str]]) -> None:
        self.conflicts = list(conflicts[:MOST])
        super().__init__(_message(self.conflicts, len(conflicts) > MOST))

    def causes(self) -> list[dict[str, str]]:
        """Return details.causes of the Status."""
        return [{"reason": "FieldManagerConflict", "message": f"conflict with {owner}", "field": path} for path, owner in self.conflicts]


def _message(conflicts: Sequence[tuple[str, str]], more: bool) -> str:
    if len(conflicts) == 1:
        ((path, owner),) = conflicts
        return f"Apply failed with 1 conflict: conflict with {owner}: {path}"
    lines: list[str] = []
    for owner in dict.fromkeys(owner for _, owner in conflicts):
        lines.append(f"conflicts with {owner}:")
        lines += [f"- {path}" for path, found in conflicts if found == owner]
    return f"Apply failed with {'more than ' if more else ''}{len(conflicts)} conflicts: " + "\n".join(lines)

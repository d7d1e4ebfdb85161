"""Names of field managers: from the User-Agent when none is given, and what is wrong with a given one. Pure."""

from __future__ import annotations

from apiserver.apis.status import cause

__all__ = ["MAX_BYTES", "default_manager", "manager_causes"]

MAX_BYTES = 128


def default_manager(user_agent: str) -> str:
    """Who writes, by its User-Agent: what comes before the first slash, printable characters only, at most MAX_BYTES of UTF-8."""
    name = ""
    length = 0
    for character in filter(str.isprintable, user_agent.split("/", 1)[0]):
        length += len(character.encode())
        if length > MAX_BYTES:
            break
        name += character
    return name


def manager_causes(manager: str, *, apply: bool = False, force: bool | None = None) -> list[dict[str, str]]:
    """Status causes for the query parameters fieldManager and force of a write; [] when they are right.

    apply: whether this is an apply patch, which must name its manager. force: None when not given; for apply patches only.
    """
    found = []
    if apply and not manager:
        found.append(cause("FieldValueRequired", "Required value: is required for apply patch", "fieldManager"))
    if not apply and force is not None:
        found.append(cause("FieldValueForbidden", "Forbidden: may not be specified for non-apply patch", "force"))
    if len(manager.encode()) > MAX_BYTES:
        found.append(cause("FieldValueTooLong", f"Too long: may not be more than {MAX_BYTES} bytes", "fieldManager"))
    position = 0
    for character in manager:
        if not character.isprintable():
            what = f"invalid character U+{ord(character):04X} (at position {position})"
            found.append(cause("FieldValueInvalid", f'Invalid value: "{_quoted(manager)}": {what}', "fieldManager"))
        position += len(character.encode())
    return found


def _quoted(text: str) -> str:
    """Without what would act on a terminal."""
    return "".join(character if character.isprintable() else f"\\u{ord(character):04x}" for character in text)

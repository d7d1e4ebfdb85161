"""Derive the names of field managers from the User-Agent, and validate given ones."""

from __future__ import annotations

from apiserver.apis.status import cause

MAX_BYTES = 128


def default_manager(user_agent: str) -> str:
    """Return the User-Agent up to its first slash: printable characters, at most MAX_BYTES of
    UTF-8."""
    name = ""
    length = 0
    for character in filter(str.isprintable, user_agent.split("/", 1)[0]):
        length += len(character.encode())
        if length > MAX_BYTES:
            break
        name += character
    return name


def manager_causes(manager: str, *, apply: bool = False, force: bool | None = None) -> list[dict[str, str]]:
    """Return Status causes for the query parameters fieldManager and force of a write, [] if valid.

    `apply` is true for an apply patch, which must name its manager. `force` is None if it is not
    given; it is valid for apply patches only.
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
    """Return the text without characters that a terminal would interpret."""
    return "".join(character if character.isprintable() else f"\\u{ord(character):04x}" for character in text)

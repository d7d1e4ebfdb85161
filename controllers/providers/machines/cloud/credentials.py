"""Read the values of a class's secret as text."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from controllers.providers.base import BadClass


def texts(credentials: Mapping[str, bytes], keys: Iterable[str]) -> dict[str, str]:
    """Return the values of these keys that exist and are not empty. Raises BadClass."""
    try:
        found = {key: credentials[key].decode().strip() for key in keys if key in credentials}
    except UnicodeDecodeError:
        raise BadClass("BadCredentials", "the values in the credentials secret are not text: write them as the cloud gave them") from None
    if broken := [key for key, value in found.items() if not value.isprintable()]:
        raise BadClass("BadCredentials", f"the value of {broken[0]} in the credentials secret has line breaks or the like: write it again")
    return {key: value for key, value in found.items() if value}

"""Who asks, and how the request is to be carried out."""

from __future__ import annotations

import asyncio
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Literal

from apiserver.apis.status import ApiError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

__all__ = ["Context", "DeleteOptions", "UserInfo"]

LARGE = 32 * 1024
"""Bytes of a stored object that takes long to handle."""


@dataclass(frozen=True, slots=True)
class UserInfo:
    """An authenticated identity."""

    name: str
    uid: str = ""
    groups: tuple[str, ...] = ()
    extra: dict[str, tuple[str, ...]] = field(default_factory=dict)


@dataclass(slots=True)
class Context:
    """One request's options. `informed`: the client named the resourceVersion that it saw, as every PUT does and a PATCH may.
    `warnings` collects what goes out as Warning: 299 headers. `options`: the request's meta/v1 options object, as webhooks are told.
    `annotations` and `details` go to the audit log, the latter only where requests are recorded in full: they quote objects.
    `large`: handling what was sent takes long (see breathe). `charges` are told whether the write that they were made for has happened
    (see settling)."""

    user: UserInfo
    dry_run: bool = False
    informed: bool = False
    field_manager: str = ""
    field_validation: Literal["Ignore", "Warn", "Strict"] = "Warn"
    warnings: list[str] = field(default_factory=list)
    options: dict[str, Any] = field(default_factory=dict)
    annotations: dict[str, str] = field(default_factory=dict)
    details: dict[str, str] = field(default_factory=dict)
    charges: list[Callable[[bool | None], None]] = field(default_factory=list)
    large: bool = False

    async def breathe(self, size: int = 0) -> None:
        """Let other requests be served, if this one is large, or works on an object of so many bytes that are."""
        if self.large or size > LARGE:
            await asyncio.sleep(0)

    @contextmanager
    def settling(self) -> Iterator[None]:
        """For the length of one write, its attempts included: tells `charges` at the end that it has happened (True), that it has not
        (False: it was refused), or that nobody knows (None: the storage did not answer, or the client went away)."""
        happened: bool | None = None
        try:
            yield
            happened = True
        except ApiError:
            happened = False
            raise
        finally:
            self.settle(happened)

    def settle(self, happened: bool | None) -> None:
        """Tells `charges` what has become of what they were made for, and forgets them."""
        charges, self.charges = self.charges, []
        for tell in charges:
            tell(happened)


@dataclass(frozen=True, slots=True)
class DeleteOptions:
    """meta/v1 DeleteOptions, as far as they apply. `propagation` is Foreground, Background or Orphan, "" for the default."""

    uid: str | None = None
    resource_version: str | None = None
    propagation: str = ""

"""Describe the user of a request and the request's options."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any, Literal

from apiserver.apis.status import ApiError
from storage.base import Operation

LARGE = 32 * 1024
"""The size in bytes above which a stored object takes long to handle."""
SERVICE_ACCOUNT = "system:serviceaccount:"


@dataclass(frozen=True, slots=True)
class UserInfo:
    """An authenticated user."""

    name: str
    uid: str = ""
    groups: tuple[str, ...] = ()
    extra: dict[str, tuple[str, ...]] = field(default_factory=dict)

    @property
    def flow(self) -> str:
        """Return the unit of fair sharing: the user, or all service accounts of its namespace.

        A user with access to a namespace can create any number of service accounts in it."""
        return self.name.rpartition(":")[0] if self.name.startswith(SERVICE_ACCOUNT) else self.name


@dataclass(slots=True)
class Context:
    """The options and the side effects of one request.

    has_version: the client named the resourceVersion that it saw, as every PUT does and a PATCH
    may.

    warnings: the texts of the response's Warning: 299 headers.

    options: the request's meta/v1 options object, for webhooks.

    annotations, details: texts for the audit log; details quote objects, and are recorded only
    where requests are recorded in full.

    large: the request's body takes long to handle (see yield_if_large).

    on_finish: functions to call with the outcome of the write (see finishing).

    operations: the operations that admission adds to the commit of the write."""

    user: UserInfo
    dry_run: bool = False
    has_version: bool = False
    field_manager: str = ""
    field_validation: Literal["Ignore", "Warn", "Strict"] = "Warn"
    warnings: list[str] = field(default_factory=list)
    options: dict[str, Any] = field(default_factory=dict)
    annotations: dict[str, str] = field(default_factory=dict)
    details: dict[str, str] = field(default_factory=dict)
    on_finish: list[Callable[[bool | None], None]] = field(default_factory=list)
    operations: list[Operation] = field(default_factory=list)
    large: bool = False

    async def yield_if_large(self, size: int = 0) -> None:
        """Yield to other requests if this request, or the object of `size` bytes that it handles,
        is large."""
        if self.large or size > LARGE:
            await asyncio.sleep(0)

    @contextmanager
    def finishing(self) -> Iterator[None]:
        """Report the outcome of one write, including its attempts, to `on_finish`.

        The outcome is True if the write happened, False if it was refused, and None if it is
        unknown. It is unknown when the storage did not answer, or the client disconnected."""
        happened: bool | None = None
        try:
            yield
            happened = True
        except ApiError:
            happened = False
            raise
        finally:
            self.finish(happened)

    def finish(self, happened: bool | None) -> None:
        """Report the outcome to the functions in `on_finish`, and clear `on_finish` and
        `operations`."""
        on_finish, self.on_finish = self.on_finish, []
        self.operations = []
        for tell in on_finish:
            tell(happened)


@dataclass(frozen=True, slots=True)
class DeleteOptions:
    """The fields of meta/v1 DeleteOptions that apply here.

    `propagation` is Foreground, Background or Orphan, "" for the default."""

    uid: str | None = None
    resource_version: str | None = None
    propagation: str = ""

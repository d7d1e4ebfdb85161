"""Who asks, and how the request is to be carried out."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal

__all__ = ["Context", "DeleteOptions", "UserInfo"]


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
    `warnings` collects what goes out as Warning: 299 headers."""

    user: UserInfo
    dry_run: bool = False
    informed: bool = False
    field_manager: str = ""
    field_validation: Literal["Ignore", "Warn", "Strict"] = "Warn"
    warnings: list[str] = field(default_factory=list)


@dataclass(frozen=True, slots=True)
class DeleteOptions:
    """meta/v1 DeleteOptions, as far as they apply. `propagation` is Foreground, Background or Orphan, "" for the default."""

    uid: str = ""
    resource_version: str = ""
    propagation: str = ""

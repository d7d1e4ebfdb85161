"""What the hosts' cluster does not accept of a write, in words for the tenant who asked for it. Pure.

Admission judges the whole host, the owner's part of it included, so what it says is for the owner (it is logged); tenants are told
which of their own fields were refused.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from controllers.providers.baremetalhost import names

if TYPE_CHECKING:
    from apiserver.client.errors import ApiException
    from apiserver.client.objects import Object

__all__ = ["refusal"]

DENIED = "denied the request"


def refusal(error: ApiException, patch: Object) -> str | None:
    """Which fields were refused. None when the error is not about what was written: trouble, a conflict, or rights that are missing."""
    by_webhook = error.status in {400, 403} and DENIED in error.message
    if error.status != 422 and not by_webhook:
        return None
    annotations = (patch.get("metadata") or {}).get("annotations") or {}
    fields = [f"spec.{field}" for field in sorted(patch.get("spec") or {})]
    fields += [key for key in sorted(annotations) if not key.startswith(names.OURS)]
    return f"the hardware cluster does not accept this: correct {', '.join(fields) or 'the Workload'}, or ask the hardware's owner why"

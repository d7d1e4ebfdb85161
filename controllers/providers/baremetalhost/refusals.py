"""Explain to tenants which of their fields the hardware cluster refuses in a write.

Admission judges the whole host, including the owner's part of it. So its message is only logged,
for the owner. Tenants read which of their own fields were refused.
"""

from __future__ import annotations

from apiserver.client.errors import ApiException
from apiserver.client.objects import Object
from controllers.providers.baremetalhost import names

DENIED = "denied the request"
REFUSALS = (400, 403, 413, 422)
"""The HTTP codes of a server that refuses one object, and would refuse it again."""


def refusal(error: ApiException, patch: Object) -> str | None:
    """Return which fields were refused.

    Returns None if the error is not about the content of the write: an outage, a conflict, or
    missing permissions."""
    by_webhook = error.status in {400, 403} and DENIED in error.message
    if error.status != 422 and not by_webhook:
        return None
    annotations = (patch.get("metadata") or {}).get("annotations") or {}
    fields = [f"spec.{field}" for field in sorted(patch.get("spec") or {})]
    fields += [key for key in sorted(annotations) if not key.startswith(names.OURS)]
    return f"the hardware cluster does not accept this: correct {', '.join(fields) or 'the Workload'}, or ask the hardware's owner why"

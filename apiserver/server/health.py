"""/healthz, /livez and /readyz: named checks, each addressable, as kube-apiserver answers them. Anybody may ask; names only are told."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING

from aiohttp import web

from apiserver.apis.status import method_not_allowed, path_not_found

if TYPE_CHECKING:
    from apiserver.endpoints.call import Call

__all__ = ["Check", "Health"]

log = logging.getLogger(__name__)

CHECK_SECONDS = 5.0

Check = Callable[[], Awaitable[None]]
"""Returns when all is well, raises otherwise. The exception goes to the log, not to whoever asks."""


class Health:
    """Checks of three kinds: `live` ones fail when only a restart helps, `ready` ones while requests cannot be served.
    /healthz, the old path, does what /livez does."""

    def __init__(self) -> None:
        self._live: dict[str, Check] = {"ping": _ping}
        self._ready: dict[str, Check] = {"ping": _ping}

    def live(self, name: str, check: Check) -> None:
        """Adds a check to /livez and /readyz."""
        self._live[name] = self._ready[name] = check

    def ready(self, name: str, check: Check) -> None:
        """Adds a check to /readyz."""
        self._ready[name] = check

    async def handle(self, call: Call) -> web.StreamResponse:
        """Answers GET of one of the paths, or of one check below it. Raises ApiError (404) for a check that is not there."""
        if call.http.method not in ("GET", "HEAD"):
            raise method_not_allowed()
        endpoint, _, single = call.info.path.strip("/").partition("/")
        checks = self._ready if endpoint == "readyz" else self._live
        if single:
            if single not in checks:
                raise path_not_found()
            failed = await _failures({single: checks[single]})
            return _text(500, f"internal server error: {single} failed") if failed else _text(200, "ok")
        excluded = set(call.http.query.getall("exclude", ()))
        wanted = {name: check for name, check in checks.items() if name not in excluded}
        failed = await _failures(wanted)
        if not failed and "verbose" not in call.query:
            return _text(200, "ok")
        return _text(500 if failed else 200, _report(endpoint, checks, excluded, failed))


async def _failures(checks: dict[str, Check]) -> set[str]:
    outcomes = await asyncio.gather(*(_passes(name, check) for name, check in checks.items()))
    return {name for name, passed in zip(checks, outcomes, strict=True) if not passed}


async def _passes(name: str, check: Check) -> bool:
    try:
        async with asyncio.timeout(CHECK_SECONDS):
            await check()
    except Exception as error:
        log.warning("health check %s failed: %s", name, error or type(error).__name__)
        return False
    return True


def _report(endpoint: str, checks: dict[str, Check], excluded: set[str], failed: set[str]) -> str:
    lines = []
    for name in checks:
        if name in excluded:
            lines.append(f"[+]{name} excluded: ok")
        else:
            lines.append(f"[-]{name} failed: reason withheld" if name in failed else f"[+]{name} ok")
    unmatched = sorted(excluded - checks.keys())
    if unmatched:
        lines.append("warn: some health checks cannot be excluded: no matches for " + ", ".join(f'"{name}"' for name in unmatched))
    return "\n".join([*lines, f"{endpoint} check {'failed' if failed else 'passed'}", ""])


async def _ping() -> None:
    return None


def _text(status: int, text: str) -> web.Response:
    return web.Response(status=status, text=text, headers={"X-Content-Type-Options": "nosniff", "Cache-Control": "no-cache, private"})

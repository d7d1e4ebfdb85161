"""Serve /healthz, /livez and /readyz: named checks, each addressable, as in kube-apiserver.

Requests for them need no authentication, so only the names of failed checks are returned. Advice
does not affect readiness. Its text contains no data of users."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable

from aiohttp import web

from apiserver.apis.status import method_not_allowed, path_not_found
from apiserver.handlers.request.call import Call

log = logging.getLogger(__name__)

CHECK_SECONDS = 5.0

Check = Callable[[], Awaitable[None]]
"""A check returns if all is well, and raises otherwise. The exception is logged, but not
returned."""


class Health:
    """Checks of two kinds: a failing `live` check needs a restart, a failing `ready` check means no
    service.

    /healthz, the old path, is equivalent to /livez. A check that takes longer than `check_seconds`
    has failed."""

    def __init__(self, check_seconds: float = CHECK_SECONDS) -> None:
        self._check_seconds = check_seconds
        self._live: dict[str, Check] = {"ping": _ping}
        self._ready: dict[str, Check] = {"ping": _ping}
        self._advice: dict[str, Callable[[], str]] = {}

    def live(self, name: str, check: Check) -> None:
        """Add a check to /livez and /readyz."""
        self._live[name] = self._ready[name] = check

    def ready(self, name: str, check: Check) -> None:
        """Add a check to /readyz."""
        self._ready[name] = check

    def advise(self, name: str, report: Callable[[], str]) -> None:
        """Add advice for operators to /readyz?verbose, and below /readyz.

        `report` returns "" if there is nothing to report."""
        self._advice[name] = report

    async def handle(self, call: Call) -> web.StreamResponse:
        """Answer GET of one of the paths, or of one check below it.

        Raises ApiError (404) for an unknown check."""
        if call.http.method not in ("GET", "HEAD"):
            raise method_not_allowed()
        endpoint, _, single = call.info.path.strip("/").partition("/")
        checks = self._ready if endpoint == "readyz" else self._live
        if single:
            if endpoint == "readyz" and single in self._advice:
                words = self._advice[single]()
                return _text(500 if words else 200, words or "ok")
            if single not in checks:
                raise path_not_found()
            failed = await self._failures({single: checks[single]})
            return _text(500, f"internal server error: {single} failed") if failed else _text(200, "ok")
        excluded = set(call.http.query.getall("exclude", ()))
        wanted = {name: check for name, check in checks.items() if name not in excluded}
        failed = await self._failures(wanted)
        if not failed and "verbose" not in call.query:
            return _text(200, "ok")
        advice = {name: report() for name, report in self._advice.items() if endpoint == "readyz" and name not in excluded}
        return _text(500 if failed else 200, _report(endpoint, checks, excluded - self._advice.keys(), failed, advice))

    async def _failures(self, checks: dict[str, Check]) -> set[str]:
        outcomes = await asyncio.gather(*(_passes(name, check, self._check_seconds) for name, check in checks.items()))
        return {name for name, passed in zip(checks, outcomes, strict=True) if not passed}


async def _passes(name: str, check: Check, seconds: float) -> bool:
    try:
        async with asyncio.timeout(seconds):
            await check()
    except Exception as error:
        log.warning("health check %s failed: %s", name, error or type(error).__name__)
        return False
    return True


def _report(endpoint: str, checks: dict[str, Check], excluded: set[str], failed: set[str], advice: dict[str, str]) -> str:
    lines = []
    for name in checks:
        if name in excluded:
            lines.append(f"[+]{name} excluded: ok")
        else:
            lines.append(f"[-]{name} failed: reason withheld" if name in failed else f"[+]{name} ok")
    lines += [f"[!]{name}: {words}" if words else f"[+]{name} ok" for name, words in advice.items()]
    unmatched = sorted(excluded - checks.keys())
    if unmatched:
        lines.append("warn: some health checks cannot be excluded: no matches for " + ", ".join(f'"{name}"' for name in unmatched))
    return "\n".join([*lines, f"{endpoint} check {'failed' if failed else 'passed'}", ""])


async def _ping() -> None:
    return None


def _text(status: int, text: str) -> web.Response:
    return web.Response(status=status, text=text, headers={"X-Content-Type-Options": "nosniff", "Cache-Control": "no-cache, private"})

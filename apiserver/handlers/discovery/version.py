"""Serve /version and the list of paths at the root."""

from __future__ import annotations

import platform
from collections.abc import Sequence
from dataclasses import dataclass, field
from importlib.metadata import version as installed

from aiohttp import web

from apiserver.apis.build import Build
from apiserver.handlers.request.call import Call, Handler
from apiserver.handlers.request.negotiation import negotiate
from apiserver.handlers.response.respond import respond

KUBERNETES = ("1", "36")
"""The Kubernetes release whose protocol this server follows. Clients choose their requests by
it."""


@dataclass(frozen=True, slots=True)
class Version:
    """The content of version.Info.

    The product's own version is the build part of the semantic version."""

    product: str = field(default_factory=lambda: installed("metal3-workloads"))
    build: Build = field(default_factory=Build.stamped)

    @property
    def git_version(self) -> str:
        """Return a semantic version, as clients expect."""
        return f"v{'.'.join(KUBERNETES)}.0+metal3-workloads-{self.product}"

    async def handle(self, call: Call) -> web.StreamResponse:
        """Handle /version."""
        info = {
            "major": KUBERNETES[0],
            "minor": KUBERNETES[1],
            "gitVersion": self.git_version,
            "gitCommit": self.build.commit,
            "gitTreeState": self.build.tree,
            "buildDate": self.build.date,
            "goVersion": "",
            "compiler": platform.python_implementation(),
            "platform": f"{platform.system().lower()}/{platform.machine()}",
        }
        return respond(call, negotiate(call, transforms=False), info)

    def index(self, paths: Sequence[str]) -> Handler:
        """Return the handler of the root."""

        async def handle(call: Call) -> web.StreamResponse:
            return respond(call, negotiate(call, transforms=False), {"paths": list(paths)})

        return handle

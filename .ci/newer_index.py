#!/usr/bin/env python3
"""Run a command with a package index that offers a newer release of every pinned package:
`newer_index.py PINS -- COMMAND...`.

The real index will look like that in a year. PINS is a requirements file. The index listens on a
loopback port, and pip finds it by PIP_EXTRA_INDEX_URL. A command that requests one of these
releases fails. The program needs only the standard library.
"""

from __future__ import annotations

import os
import re
import subprocess
import sys
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

NEWER = "9999.0"
PIN = re.compile(r"^([A-Za-z0-9._-]+)==", re.MULTILINE)


def names(pins: Path) -> set[str]:
    """Return the normalized names (PEP 503) of the packages that the file pins."""
    return {re.sub(r"[-_.]+", "-", name).lower() for name in PIN.findall(pins.read_text())}


class Index(ThreadingHTTPServer):
    """A simple index (PEP 503) with one release per package. `taken`: the paths of the requested
    releases."""

    daemon_threads = True

    def __init__(self, offered: set[str]) -> None:
        super().__init__(("127.0.0.1", 0), Page)
        self.offered, self.seen, self.taken = offered, set[str](), list[str]()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_port}/simple/"


class Page(BaseHTTPRequestHandler):
    """A package's page of the index."""

    server: Index

    def do_GET(self) -> None:
        """Answer with the package's one release, or note that a release itself was requested."""
        parts = self.path.strip("/").split("/")
        name = parts[1] if len(parts) == 2 and parts[0] == "simple" else ""
        if name not in self.server.offered:
            if self.path.endswith(".whl"):
                self.server.taken.append(self.path)
            self.send_error(404)
            return
        self.server.seen.add(name)
        file = f"{name.replace('-', '_')}-{NEWER}-py3-none-any.whl"
        page = f'<!DOCTYPE html><html><body><a href="/files/{file}">{file}</a></body></html>'.encode()
        self.send_response(200)
        self.send_header("Content-Type", "text/html")
        self.send_header("Content-Length", str(len(page)))
        self.end_headers()
        self.wfile.write(page)

    def log_message(self, format: str, *args: object) -> None:
        """Log nothing, because pip's own output is sufficient."""


def main(pins: Path, command: list[str]) -> str | int:
    """Run the command. Return its exit code, or what was wrong although it succeeded."""
    index = Index(names(pins))
    threading.Thread(target=index.serve_forever, daemon=True).start()
    code = subprocess.run(command, env={**os.environ, "PIP_EXTRA_INDEX_URL": index.url}, check=False).returncode
    index.shutdown()
    if code:
        return code
    if index.taken:
        return f"newer releases than the pins were asked for: {', '.join(index.taken)}"
    return 0 if index.seen else "pip never looked at the index with newer releases: this run has proved nothing"


if __name__ == "__main__":
    if sys.argv[2:3] != ["--"] or len(sys.argv) < 4:
        sys.exit("usage: newer_index.py PINS -- COMMAND...")
    sys.exit(main(Path(sys.argv[1]), sys.argv[3:]))

"""Read --client-ca-file, and read it again whenever it changes."""

from __future__ import annotations

import asyncio
import logging
from pathlib import Path

from cryptography import x509

from apiserver.authentication.verification import load_bundle
from apiserver.cli.running import UsageError
from apiserver.server.delegation.trust import Trust

log = logging.getLogger(__name__)

SECONDS = 10.0


class ClientCaFile:
    """A file with a bundle of authorities."""

    def __init__(self, path: Path, interval: float = SECONDS) -> None:
        self._path, self._interval = path, interval
        self._content = b""

    def read(self) -> list[x509.Certificate]:
        """Return the authorities in the file, at least one. Raises UsageError."""
        try:
            content = self._path.read_bytes()
            bundle = load_bundle(content)
        except OSError as error:
            raise UsageError(f"--client-ca-file {self._path}: {error.strerror}") from None
        except ValueError:
            bundle = []
        if not bundle:
            raise UsageError(f"--client-ca-file {self._path}: there is no PEM certificate in it")
        self._content = content
        return bundle

    async def follow(self, trust: Trust) -> None:
        """Pass changes to `trust`. While the file is unusable, the last valid content stays in
        effect."""
        complaint = ""
        while True:
            await asyncio.sleep(self._interval)
            before = self._content
            try:
                bundle = await asyncio.to_thread(self.read)
                complaint = ""
            except UsageError as error:
                if str(error) != complaint:
                    complaint = str(error)
                    log.warning("the previous client authorities stay in use: %s", error)
                continue
            if self._content != before:
                trust.file(bundle)
                log.info("client authorities were read again from %s", self._path)

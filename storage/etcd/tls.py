"""Create TLS contexts for etcd that verify host names and reload renewed certificate files."""

from __future__ import annotations

import os
import ssl
from collections.abc import Iterator
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class TLS:
    """The PEM files for TLS.

    `ca` has the authorities to trust instead of the system's. `certificate` and `key` identify this
    client; give both or neither."""

    ca: str | os.PathLike[str] | None = None
    certificate: str | os.PathLike[str] | None = None
    key: str | os.PathLike[str] | None = None

    def __post_init__(self) -> None:
        if (self.certificate is None) != (self.key is None):
            raise ValueError("a client certificate and its key come together: give both, or neither")

    def files(self) -> Iterator[str | os.PathLike[str]]:
        return (file for file in (self.ca, self.certificate, self.key) if file is not None)


class Credentials:
    """A TLS context that is created again when its files change.

    Short-lived certificates are renewed while servers run."""

    def __init__(self, tls: TLS) -> None:
        self._tls = tls
        self._stamps = self._stat()
        self._context = self._load()

    def context(self) -> ssl.SSLContext:
        """Return the context for the next connection.

        Only the constructor raises OSError (or ssl.SSLError). While files are being replaced, this
        method returns the last valid context."""
        stamps = self._stat()
        if stamps != self._stamps:
            try:
                self._context, self._stamps = self._load(), stamps
            except OSError:
                return self._context
        return self._context

    def _load(self) -> ssl.SSLContext:
        context = ssl.create_default_context(cafile=self._tls.ca)
        if self._tls.certificate is not None:
            context.load_cert_chain(self._tls.certificate, self._tls.key)
        return context

    def _stat(self) -> list[tuple[int, int, int] | None]:
        return [_stamp(file) for file in self._tls.files()]


def _stamp(file: str | os.PathLike[str]) -> tuple[int, int, int] | None:
    try:
        stat = os.stat(file)
    except OSError:
        return None
    return stat.st_ino, stat.st_mtime_ns, stat.st_size

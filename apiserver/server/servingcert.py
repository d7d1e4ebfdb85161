"""Provide the serving certificate: from files that are renewed elsewhere, or self-made and renewed.

The authority of self-made certificates is stored in the server's own storage. So it is the same
after restarts and in all replicas, and clients need it only once.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Sequence
from datetime import timedelta
from pathlib import Path

import orjson

from apiserver.server.pki import LEAF_LIFE, Authority, BadAuthority, KeyPair
from apiserver.server.tls import BadServingCertificate, ServerTls
from storage.base import Conflict, Put, Store

log = logging.getLogger(__name__)

AUTHORITY_KEY = "/server/serving-authority"
FILES_SECONDS = 10.0
"""The seconds between two checks of the files."""
RENEW_BEFORE = LEAF_LIFE / 3
RENEW_SECONDS = 3600.0


class FileCertificate:
    """The certificate of --tls-cert-file and --tls-private-key-file."""

    def __init__(self, certificate: Path, key: Path, interval: float = FILES_SECONDS) -> None:
        self._certificate, self._key, self._interval = certificate, key, interval
        self._served: KeyPair | None = None

    def read(self) -> KeyPair:
        """Return the present content of the files. Raises BadServingCertificate."""
        try:
            self._served = KeyPair(self._certificate.read_bytes(), self._key.read_bytes())
        except OSError as error:
            raise BadServingCertificate(f"{error.filename} cannot be read: {error.strerror}") from None
        return self._served

    async def follow(self, tls: ServerTls) -> None:
        """Serve the new content whenever the files change.

        While they are unusable (half of a renewal), the old pair stays in use."""
        complaint = ""
        while True:
            await asyncio.sleep(self._interval)
            before = self._served
            try:
                pair = await asyncio.to_thread(self.read)
                if pair != before:
                    tls.serve(pair.certificate, pair.key)
                    log.info("the serving certificate was renewed from %s", self._certificate)
                complaint = ""
            except BadServingCertificate as error:
                self._served = before
                if str(error) != complaint:
                    complaint = str(error)
                    log.warning("the previous serving certificate stays in use: %s", error)


class SelfMade:
    """Certificates of our own authority for `names` (DNS names and IP addresses, the main one
    first)."""

    def __init__(self, authority: Authority, names: Sequence[str]) -> None:
        self._authority, self._names = authority, tuple(names)
        self._served = authority.server(self._names)

    @property
    def pair(self) -> KeyPair:
        """Return the pair to serve."""
        return self._served

    @property
    def bundle(self) -> bytes:
        """Return the PEM that clients must trust."""
        return self._authority.pair.certificate

    async def follow(self, tls: ServerTls) -> None:
        """Renew the certificate when a third of its lifetime is left."""
        while True:
            await asyncio.sleep(RENEW_SECONDS)
            self.renew(tls)

    def renew(self, tls: ServerTls, remaining: timedelta = RENEW_BEFORE) -> bool:
        """Serve a new certificate unless the present one is valid for `remaining`.

        Returns whether the certificate was renewed."""
        if self._authority.vouches(self._served.certificate, remaining=remaining):
            return False
        self._served = self._authority.server(self._names)
        tls.serve(self._served.certificate, self._served.key)
        return True


async def stored_authority(store: Store) -> Authority:
    """Return the authority in the store, or create it if it is missing or expired. Raises
    StorageError."""
    while True:
        kept = await store.get(AUTHORITY_KEY)
        if kept is not None:
            try:
                return _decoded(kept.value)
            except BadAuthority as error:
                log.warning("the stored serving authority is replaced: %s", error)
        authority = Authority.create("metal3-workloads serving")
        try:
            await store.commit([Put(AUTHORITY_KEY, _encoded(authority), kept.revision if kept else 0)])
            return authority
        except Conflict:
            continue  # another replica stored its authority first; use that one


def _encoded(authority: Authority) -> bytes:
    return orjson.dumps({"certificate": authority.pair.certificate.decode(), "key": authority.pair.key.decode()})


def _decoded(value: bytes) -> Authority:
    try:
        kept = orjson.loads(value)
        pair = KeyPair(kept["certificate"].encode(), kept["key"].encode())
    except (ValueError, TypeError, KeyError, AttributeError):
        raise BadAuthority("what is stored is no certificate and key") from None
    return Authority(pair)

"""Authenticate by client certificate: the common name is the user, organizations are the groups."""

from __future__ import annotations

import logging
import time

from prometheus_client import Histogram

from apiserver.apis.status import unauthorized
from apiserver.authentication.peer import PeerError, peer_of
from apiserver.authentication.verification import CertificateVerifier, Untrusted
from apiserver.handlers.request.call import Call
from apiserver.registry.generic.context import UserInfo

log = logging.getLogger(__name__)

EXPIRATION = Histogram(
    "apiserver_client_certificate_expiration_seconds",
    "Remaining lifetime of the client certificates of requests.",
    buckets=(0, 1800, 3600, 7200, 21600, 43200, 86400, 172800, 345600, 604800, 2592000, 7776000, 15552000, 31104000),
    registry=None,
)
"""Observed for each request, as kube-apiserver does it, with its buckets."""


class CertificateAuthenticator:
    """Accepts certificates that the verifier's bundle (--client-ca-file) has signed."""

    def __init__(self, verifier: CertificateVerifier) -> None:
        self._verifier = verifier

    async def authenticate(self, call: Call) -> UserInfo | None:
        """Return the certificate's user. Ignores identity headers. See Authenticator."""
        try:
            peer = peer_of(call.http)
            if peer is None:
                return None
            self._verifier.verify(peer)
        except (PeerError, Untrusted) as error:
            log.info("client certificate refused: %s", error, extra={"audit_id": call.audit_id})
            raise unauthorized() from None
        EXPIRATION.observe(max(0.0, peer.leaf.not_valid_after_utc.timestamp() - time.time()))
        if peer.subject is None:
            raise unauthorized()
        return peer.subject

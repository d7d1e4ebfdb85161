"""Authenticate by client certificate: the common name is the user, organizations are the groups."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING

from apiserver.apis.status import unauthorized
from apiserver.authentication.peer import PeerError, peer_of
from apiserver.authentication.verification import Untrusted

if TYPE_CHECKING:
    from apiserver.authentication.verification import CertificateVerifier
    from apiserver.handlers.request.call import Call
    from apiserver.registry.generic.context import UserInfo

log = logging.getLogger(__name__)


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
        if peer.subject is None:
            raise unauthorized()
        return peer.subject

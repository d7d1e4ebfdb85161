"""Authentication by client certificate: the common name is the user, the organizations are the groups."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING

from cryptography.x509.oid import NameOID

from apiserver.apis.status import unauthorized
from apiserver.filters.certificates import Untrusted
from apiserver.filters.peer import PeerError, peer_of
from apiserver.registry.context import UserInfo

if TYPE_CHECKING:
    from cryptography import x509

    from apiserver.endpoints.call import Call
    from apiserver.filters.certificates import CertificateVerifier

__all__ = ["CertificateAuthenticator", "common_name", "user_of"]

log = logging.getLogger(__name__)


class CertificateAuthenticator:
    """Believes certificates of the verifier's bundle (--client-ca-file)."""

    def __init__(self, verifier: CertificateVerifier) -> None:
        self._verifier = verifier

    async def authenticate(self, call: Call) -> UserInfo | None:
        """See Authenticator. Identity headers are not looked at."""
        try:
            peer = peer_of(call.http)
            if peer is None:
                return None
            self._verifier.verify(peer)
        except (PeerError, Untrusted) as error:
            log.info("client certificate refused: %s", error, extra={"audit_id": call.audit_id})
            raise unauthorized() from None
        user = user_of(peer.leaf)
        if user is None:
            raise unauthorized()
        return user


def user_of(certificate: x509.Certificate) -> UserInfo | None:
    """The identity in a certificate's subject, None where it has no name."""
    name = common_name(certificate)
    groups = tuple(str(attribute.value) for attribute in certificate.subject.get_attributes_for_oid(NameOID.ORGANIZATION_NAME))
    return UserInfo(name, groups=groups) if name else None


def common_name(certificate: x509.Certificate) -> str:
    """The subject's common name; "" for none, and for several, which readers would understand differently."""
    names = certificate.subject.get_attributes_for_oid(NameOID.COMMON_NAME)
    return str(names[0].value) if len(names) == 1 else ""

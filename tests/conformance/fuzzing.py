"""Serve the product's own kinds with all their rules on a real port, for random requests."""

from __future__ import annotations

import ssl
from contextlib import contextmanager
from typing import TYPE_CHECKING

from apiserver.registry.catalog import management_catalog
from hack.realcluster import pki
from tests.conformance.client import ApiServer
from tests.conformance.normal import decoded
from tests.conformance.servers import our_server

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from tests.conformance.client import Answer


@contextmanager
def serving(folder: Path) -> Iterator[tuple[ApiServer, Path, pki.WrittenPair]]:
    """Yield (the server for its owner, the file of its authority, the owner's certificate)."""
    authority = pki.Authority("fuzz")
    bundle = folder / "ca.crt"
    bundle.write_bytes(authority.certificate)
    pair = authority.client("owner", ("system:masters",)).write(folder / "owner")
    context = ssl.create_default_context(cafile=str(bundle))
    context.load_cert_chain(pair.certificate, pair.key)
    with our_server(authority, folder, lambda cache: management_catalog(cache).registries) as port:
        yield ApiServer("ours", port, context), bundle, pair


def expect_no_failure(answer: Answer) -> None:
    """Assert that every failure is the client's, and is a Status.

    A resourceVersion of the future may time out."""
    if answer.status < 400 or not answer.body:
        return
    body = decoded(answer)
    assert isinstance(body, dict), body
    assert (body["kind"], body["code"]) == ("Status", answer.status), body
    assert answer.status < 500 or (answer.status == 504 and "Too large resource version" in body["message"]), body

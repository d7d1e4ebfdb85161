"""Send requests to a server, and open streams, over TLS with a client certificate.

This module does not interpret answers."""

from __future__ import annotations

import http.client
import json
from dataclasses import dataclass, field
from typing import TYPE_CHECKING
from urllib.parse import quote

if TYPE_CHECKING:
    import ssl
    from collections.abc import Mapping
    from typing import Any

SECONDS = 40.0
"""The longest wait for a part of an answer. All answers here are expected much sooner."""
HARMLESS = "/?&=,;:$+!*'()%@-._~"
DEFAULTS = {"User-Agent": "conformance/1.0", "Accept": "application/json"}


@dataclass(frozen=True, slots=True)
class Answer:
    """An unmodified response. `headers`: every header, in lower case, with all of its values."""

    status: int
    headers: dict[str, list[str]]
    body: bytes


@dataclass(slots=True)
class Stream:
    """A response whose body is still to come."""

    response: http.client.HTTPResponse
    connection: http.client.HTTPSConnection

    def read(self) -> Answer:
        """Read the response to its end."""
        try:
            return Answer(self.response.status, _headers(self.response), self.response.read())
        finally:
            self.close()

    def close(self) -> None:
        """Close it. A response whose connection is not kept owns the socket itself."""
        self.response.close()
        self.connection.close()


@dataclass(frozen=True, slots=True)
class ApiServer:
    """One server.

    `headers`: of every request, such as the client's token."""

    name: str
    port: int
    context: ssl.SSLContext = field(repr=False)
    headers: Mapping[str, str] = field(default_factory=dict, repr=False)

    def send(self, method: str, path: str, body: Any, headers: Mapping[str, str]) -> Answer:
        """Send one request on a connection of its own."""
        return self.open(method, path, body, headers).read()

    def open(self, method: str, path: str, body: Any, headers: Mapping[str, str]) -> Stream:
        """Send one request, and return after the response's headers."""
        sent = {**DEFAULTS, **self.headers, **headers}
        data = _encoded(body)
        if data is not None and "Content-Type" not in sent:
            sent["Content-Type"] = "application/json"
        connection = http.client.HTTPSConnection("127.0.0.1", self.port, context=self.context, timeout=SECONDS)
        try:
            connection.request(method, quote(path, safe=HARMLESS), data, {name: value for name, value in sent.items() if value})
            return Stream(connection.getresponse(), connection)
        except BaseException:
            connection.close()
            raise


def _encoded(body: Any) -> bytes | None:
    if isinstance(body, str):
        return body.encode()
    return body if body is None or isinstance(body, bytes) else json.dumps(body).encode()


def _headers(response: http.client.HTTPResponse) -> dict[str, list[str]]:
    found: dict[str, list[str]] = {}
    for name, value in response.getheaders():
        found.setdefault(name.lower(), []).append(value)
    return found

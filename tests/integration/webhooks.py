"""Run a test's own webhook: TLS on loopback with a new authority, and answers from a function."""

from __future__ import annotations

import base64
import json
import ssl
import threading
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import TYPE_CHECKING, Any

from hack.realcluster import pki

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from tests.integration.running import Running

GROUP = "admissionregistration.k8s.io/v1"
RULE = {"operations": ["*"], "apiGroups": ["workload.metal3.io", "metal3.io"], "apiVersions": ["*"], "resources": ["*/*"]}


@dataclass
class Webhook:
    """A running webhook: its URL, its authority, and the AdmissionReview requests that it
    received."""

    url: str
    ca: bytes
    asked: list[dict[str, Any]] = field(default_factory=list)

    def configuration(self, kind: str, name: str, **webhook: Any) -> dict[str, Any]:
        """Return a Mutating- or ValidatingWebhookConfiguration for objects with the label `asks:
        NAME`."""
        usual = {
            "name": f"{name}.example.com",
            "clientConfig": {"url": self.url, "caBundle": base64.b64encode(self.ca).decode()},
            "rules": [RULE],
            "objectSelector": {"matchLabels": {"asks": name}},
            "sideEffects": "None",
            "admissionReviewVersions": ["v1"],
            "timeoutSeconds": 5,
        }
        return {"apiVersion": GROUP, "kind": kind, "metadata": {"name": name}, "webhooks": [{**usual, **webhook}]}


@contextmanager
def serving(folder: Path, answer: Callable[[dict[str, Any]], dict[str, Any]]) -> Iterator[Webhook]:
    """Answer each request with what `answer` adds to `allowed: true`."""
    authority = pki.Authority("webhooks")
    pair = authority.server("webhook", pki.LOOPBACK).write(folder / "webhook")
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(pair.certificate, pair.key)

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_POST(self) -> None:
            review = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
            hook.asked.append(review["request"])
            response = {"uid": review["request"]["uid"], "allowed": True, **answer(review["request"])}
            body = json.dumps({"apiVersion": "admission.k8s.io/v1", "kind": "AdmissionReview", "response": response}).encode()
            self.send_response(200)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, format: str, *args: object) -> None:
            """Log nothing, because the test reports the requests."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    server.socket = context.wrap_socket(server.socket, server_side=True)
    hook = Webhook(f"https://127.0.0.1:{server.server_port}/", authority.certificate)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield hook
    finally:
        server.shutdown()
        server.server_close()
        thread.join(5)


@contextmanager
def applied(cluster: Running, who: str, obj: dict[str, Any]) -> Iterator[None]:
    """Keep the object until the end of the block."""
    cluster.kubectl(who, "apply", "-f", "-", stdin=obj)
    try:
        yield
    finally:
        cluster.kubectl(who, "delete", "-f", "-", stdin=obj)


def patch(*operations: dict[str, Any]) -> dict[str, Any]:
    """Return a response that changes the object."""
    return {"patchType": "JSONPatch", "patch": base64.b64encode(json.dumps(operations).encode()).decode()}

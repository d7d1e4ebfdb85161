"""Run moto's EC2 on a free loopback port, which is written to stdout: `python -m hack.cloud.ec2`.

It runs until it is ended. It sends nothing to other machines, and stores nothing.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from typing import Any

from hack.cloud.process import running_simulation

ERROR = b'<Response xmlns="http://ec2.amazonaws.com/doc/2016-11-15">'
OURS, EC2S = b'xmlns="http://ec2.amazonaws.com/doc/2016-11-15"', b'xmlns="http://ec2.amazonaws.com/doc/2016-11-15/"'


@contextmanager
def simulated_ec2() -> Iterator[int]:
    """Yield the port of a running simulation, which ends with the context."""
    with running_simulation(__name__) as port:
        yield port


class AsEC2:
    """WSGI middleware that corrects the XML namespace of responses.

    EC2's namespace ends with a slash, and its error responses have no namespace. Moto's responses
    differ, and Libcloud depends on EC2's form."""

    def __init__(self, app: Callable[..., Iterable[bytes]]) -> None:
        self._app = app

    def __call__(self, environ: dict[str, Any], start_response: Callable[..., Any]) -> Iterable[bytes]:
        started: list[Any] = []
        body = b"".join(self._app(environ, lambda *arguments: started.append(arguments)))
        body = body.replace(ERROR, b"<Response>").replace(OURS, EC2S)
        status, headers = started[0][0], [item for item in started[0][1] if item[0].lower() != "content-length"]
        start_response(status, [*headers, ("Content-Length", str(len(body)))])
        return [body]


def main() -> None:
    """Serve until the process is ended."""
    from moto.moto_server.werkzeug_app import DomainDispatcherApplication, create_backend_app
    from werkzeug.serving import make_server

    app = DomainDispatcherApplication(create_backend_app)
    server = make_server("127.0.0.1", 0, AsEC2(app), threaded=True)
    print(server.server_port, flush=True)
    server.serve_forever()


if __name__ == "__main__":
    main()

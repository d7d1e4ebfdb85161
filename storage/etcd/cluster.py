"""Present all etcd endpoints as one: select the one in use, repeat reads, and share the auth token.

A request that may have changed something is never sent twice.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Sequence
from contextlib import suppress
from typing import Any

import orjson

from storage.base import Unavailable
from storage.etcd.errors import Broken, Code, GatewayError, NotSent, Refused, to_storage
from storage.etcd.gateway import Gateway
from storage.etcd.tls import TLS, Credentials

_log = logging.getLogger(__name__)


class Cluster:
    """The endpoints, each as scheme://host:port.

    `timeout` is the time for one call with all its repetitions, in seconds. `pool` is the number of
    connections to one endpoint."""

    def __init__(self, endpoints: Sequence[str], *, tls: TLS | None, user: str, password: str, timeout: float, pool: int) -> None:
        self.endpoints, self.timeout = tuple(endpoints), timeout
        self.closing = asyncio.Event()
        self._tls, self._user, self._password, self._pool = tls, user, password, pool
        self._gateways: list[Gateway] = []
        self._used = 0
        self._login = asyncio.Lock()
        self._token: str | None = None
        self._under_way = 0
        self._idle = asyncio.Event()

    @property
    def where(self) -> str:
        """Return the endpoints, for use in messages."""
        return ", ".join(self.endpoints)

    async def open(self) -> None:
        """Create the clients and log in. Raises Unavailable."""
        try:
            context = None if self._tls is None else Credentials(self._tls).context
        except OSError as error:
            raise Unavailable(f"the certificates for etcd at {self.where} cannot be loaded ({error}): check the files") from error
        self._gateways = [Gateway(endpoint, context, pool=self._pool) for endpoint in self.endpoints]
        if self._user:
            await self.log_in(None)

    async def close(self) -> None:
        """End watches, let running calls finish within their timeout, and close all connections."""
        self.closing.set()
        await asyncio.gather(*(gateway.end_watches() for gateway in self._gateways))
        if self._under_way:
            self._idle.clear()
            with suppress(TimeoutError):
                async with asyncio.timeout(self.timeout):
                    await self._idle.wait()
        await asyncio.gather(*(gateway.close() for gateway in self._gateways))

    @property
    def current(self) -> Gateway:
        """Return the endpoint in use. Raises Unavailable if the cluster is closed or not open."""
        if self.closing.is_set() or not self._gateways:
            raise Unavailable(f"the store in etcd at {self.where} is {'closed' if self.closing.is_set() else 'not started'}")
        return self._gateways[self._used]

    def fail_over(self, gateway: Gateway, error: GatewayError) -> None:
        """Use the next endpoint from now on, unless another caller has already left `gateway`."""
        if len(self._gateways) > 1 and self._gateways[self._used] is gateway:
            self._used = (self._used + 1) % len(self._gateways)
            _log.warning("etcd: %s; using %s from now on", error, self._gateways[self._used].endpoint)

    async def read(self, path: str, body: bytes) -> dict[str, Any]:
        """Send a call that changes nothing or can safely be repeated.

        Raises Refused if no other endpoint can help, otherwise StorageError."""
        return await self._call(path, body, repeat=True)

    async def write(self, path: str, body: bytes) -> dict[str, Any]:
        """Send a call that changes something, once. Raises the errors of `read`."""
        return await self._call(path, body, repeat=False)

    async def _call(self, path: str, body: bytes, *, repeat: bool) -> dict[str, Any]:
        self._under_way += 1
        try:
            return await self._attempts(path, body, repeat=repeat)
        finally:
            self._under_way -= 1
            if not self._under_way:
                self._idle.set()

    async def _attempts(self, path: str, body: bytes, *, repeat: bool) -> dict[str, Any]:
        clock = asyncio.get_running_loop().time
        deadline = clock() + self.timeout
        # A frozen endpoint must not use up the time for all endpoints.
        patience = self.timeout / min(len(self._gateways) or 1, 3) if repeat else self.timeout
        logins = failures = 0
        while True:
            gateway, token = self.current, self._token
            try:
                return await gateway.call(path, body, min(patience, deadline - clock()))
            except Refused as error:
                if error.stale_token and self._user and not logins:
                    logins += 1
                    await self.log_in(token)
                    continue
                if not error.repeatable:
                    raise
                failure: GatewayError = error
            except (NotSent, Broken) as error:
                failure = error
            failures += 1
            if self.closing.is_set():
                raise Unavailable(f"the store in etcd at {self.where} was closed meanwhile: the outcome is unknown") from failure
            self.fail_over(gateway, failure)
            again = repeat or isinstance(failure, NotSent)
            if not again or failures > len(self._gateways) or clock() >= deadline:
                raise to_storage(failure, self.where) from failure

    async def renew_token(self) -> None:
        """Replace a token that etcd refused. Raises StorageError."""
        if not self._user:
            raise Unavailable(f"etcd at {self.where} asks for a token: give the store a user and a password")
        await self.log_in(self._token)

    async def log_in(self, stale: str | None) -> None:
        """Get a new token, unless another caller has already replaced `stale`. Raises
        StorageError."""
        async with self._login:
            if self._token != stale:
                return
            body = orjson.dumps({"name": self._user, "password": self._password})
            failure: GatewayError | None = None
            for _ in self.endpoints:
                gateway = self.current
                try:
                    self._token = str((await gateway.call("/auth/authenticate", body, self.timeout))["token"])
                except Refused as error:
                    if error.code == Code.FAILED_PRECONDITION and "not enabled" in error.message:
                        _log.warning("etcd at %s has authentication switched off: user and password are not used", self.where)
                        return
                    failure = error
                except GatewayError as error:
                    failure = error
                else:
                    for each in self._gateways:
                        each.token = self._token
                    return
                self.fail_over(gateway, failure)
            assert failure is not None
            raise to_storage(failure, self.where) from failure

"""Load the parameters of a session from a kubeconfig: URL, TLS and token.

The source is a path, a dict from a secret, or the pod's service account. kubernetes-asyncio reads
it. Inline keys are written to a private folder that is deleted before this returns (the library
would leave them in files until exit). A dict comes from a secret, so it may neither run a program
nor read a file of this machine.
"""

from __future__ import annotations

import asyncio
import base64
import binascii
import copy
import os
import ssl
import tempfile
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Any, TypeVar

import yaml
from kubernetes_asyncio import config as kube_config
from kubernetes_asyncio.client.configuration import Configuration

from apiserver.client.errors import BadConfig

Source = str | os.PathLike[str] | dict[str, Any] | None
"""The configuration: a file, a kubeconfig as a dict, or None for the pod's service account."""

T = TypeVar("T")

READS_FILES = ("client-certificate", "client-key", "tokenFile", "certificate-authority")
RUNS_PROGRAMS = ("exec", "auth-provider")
INLINE = ("client-certificate", "client-key", "certificate-authority")


@dataclass(frozen=True)
class Endpoint:
    """A server that accepts the same credentials, instead of the one in the configuration.

    It consists of the URL, the authority of the certificate (PEM), and the name in the
    certificate."""

    url: str
    authority: str
    server_hostname: str


@dataclass(frozen=True)
class Access:
    """The parameters for requests to one API server.

    `authorization` returns the value of the Authorization header, or None. Tokens may change."""

    host: str
    ssl_context: ssl.SSLContext | None
    server_hostname: str | None
    proxy: str | None
    authorization: Callable[[], Awaitable[str | None]]


def parse(text: str | bytes) -> dict[str, Any]:
    """Return the kubeconfig in a secret's value. Raises BadConfig, which does not quote the
    value."""
    try:
        value = yaml.safe_load(text)
    except (yaml.YAMLError, UnicodeDecodeError):
        raise BadConfig("it is not YAML: put the content of a kubeconfig file there") from None
    if not isinstance(value, dict) or not value.get("clusters"):
        raise BadConfig("it has no clusters: put the content of a kubeconfig file there")
    return value


async def load(source: Source, context: str | None = None, at: Endpoint | None = None) -> Access:
    """Load the configuration. `at` is another server for its credentials.

    Raises BadConfig if it cannot be used."""
    return await _read(source, context, lambda found: _access(found, at))


async def load_endpoint(source: Source) -> tuple[Endpoint, ssl.SSLContext | None]:
    """Return the server in a configuration and the TLS context that verifies it, without
    credentials.

    Raises BadConfig if it cannot be used."""
    return await _read(source, None, _endpoint)


async def _read(source: Source, context: str | None, use: Callable[[Configuration], Awaitable[T]]) -> T:
    configuration = Configuration()
    with tempfile.TemporaryDirectory(prefix="metal3-workloads-") as folder:
        try:
            if isinstance(source, dict):
                # The library writes and reads files, so this runs in a thread. No program may run
                # here, so no child process needs this loop. The coroutine is created in the thread:
                # if this is cancelled before the thread starts, no coroutine is left that was never
                # awaited.
                await asyncio.to_thread(lambda: asyncio.run(_load_dict(source, context, folder, configuration)))
            elif source is None:
                kube_config.load_incluster_config(client_configuration=configuration)  # type: ignore[no-untyped-call] # it has no types
            else:
                await _load_file(os.fspath(source), context, configuration)
            return await use(configuration)
        except BadConfig:
            raise
        except (
            kube_config.ConfigException,
            yaml.YAMLError,
            OSError,
            ValueError,
            KeyError,
            TypeError,
            AttributeError,
            AssertionError,
        ) as error:
            raise BadConfig(_explain(source, error)) from error


async def _load_file(path: str, context: str | None, configuration: Configuration) -> None:
    if not await asyncio.to_thread(os.path.isfile, path):
        raise BadConfig(f"there is no kubeconfig at {path}")
    await kube_config.load_kube_config(config_file=path, context=context, client_configuration=configuration, persist_config=False)


async def _load_dict(source: dict[str, Any], context: str | None, folder: str, configuration: Configuration) -> None:
    config = copy.deepcopy(source)
    entries = [(section, item.get(section[:-1]) or {}) for section in ("clusters", "users") for item in config.get(section) or []]
    for number, (_, entry) in enumerate(entries):
        _refuse_local(entry)
        for key in INLINE:
            if data := entry.pop(f"{key}-data", None):
                entry[key] = _write(os.path.join(folder, f"{number}-{key}"), key, data)
    await kube_config.load_kube_config_from_dict(config, context=context, client_configuration=configuration)


def _refuse_local(entry: dict[str, Any]) -> None:
    for key in RUNS_PROGRAMS:
        if entry.get(key):
            raise BadConfig(f"it uses {key}, which a kubeconfig in a secret must not: use a token or a client certificate")
    for key in READS_FILES:
        if entry.get(key):
            raise BadConfig(f"{key} names a file: a kubeconfig in a secret must hold everything (kubectl config view --raw --flatten)")


def _write(path: str, key: str, data: Any) -> str:
    try:
        content = base64.b64decode("".join(data.split()), validate=True)
    except (binascii.Error, TypeError, ValueError, AttributeError):
        raise BadConfig(f"{key}-data is not base64") from None
    with open(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb") as file:
        file.write(content)
    return path


async def _access(configuration: Configuration, at: Endpoint | None) -> Access:
    context, host = None, at.url if at is not None else configuration.host or ""
    if host.startswith("https"):
        context = await asyncio.to_thread(_ssl_context, configuration, at.authority if at is not None else None)

    async def authorization() -> str | None:
        token = await configuration.get_api_key_with_prefix("BearerToken")
        return None if token is None else str(token)

    name, proxy = (at.server_hostname, None) if at is not None else (configuration.tls_server_name, configuration.proxy)
    return Access(host.rstrip("/"), context, name, proxy, authorization)


async def _endpoint(configuration: Configuration) -> tuple[Endpoint, ssl.SSLContext | None]:
    context, host = None, configuration.host or ""
    if host.startswith("https"):
        context = await asyncio.to_thread(_verifying, configuration, None)
    return Endpoint(host.rstrip("/"), "", configuration.tls_server_name or ""), context


def _ssl_context(configuration: Configuration, authority: str | None) -> ssl.SSLContext:
    context = _verifying(configuration, authority)
    if configuration.cert_file:
        context.load_cert_chain(configuration.cert_file, keyfile=configuration.key_file)
    return context


def _verifying(configuration: Configuration, authority: str | None) -> ssl.SSLContext:
    if not configuration.verify_ssl:
        raise BadConfig("insecure-skip-tls-verify is not supported: give the cluster's certificate-authority-data")
    context = ssl.create_default_context(cafile=None if authority else configuration.ssl_ca_cert, cadata=authority)
    # Python 3.13 made this the default, but the CAs of many clusters lack an authority key
    # identifier.
    context.verify_flags &= ~ssl.VERIFY_X509_STRICT
    return context


def _explain(source: Source, error: Exception) -> str:
    if isinstance(error, ssl.SSLError):
        return "its certificates or key cannot be read: they are no PEM, or the key is not the certificate's"
    if source is None:
        return f"no service account here ({error}): give --kubeconfig"
    if isinstance(error, kube_config.ConfigException | OSError):
        return str(error)
    return "it is not a usable kubeconfig: check current-context, contexts, clusters and users"

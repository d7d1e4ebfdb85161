"""Complete names of the cluster's objects for a shell.

A cluster that does not answer in time completes nothing. For `seconds`, see SECONDS."""

from __future__ import annotations

import argparse
import asyncio
import re
from collections.abc import Callable, Iterable
from typing import Any

from apiserver.cli.running import UsageError
from apiserver.client.errors import ApiException, BadConfig
from apiserver.client.objects import Object, Resource, name_of
from controllers import kinds
from controllers.cli.resumable import client_of
from controllers.fleetreport import SET

SECONDS = 2.0
"""The time in which the cluster must answer."""
ONE_WORD = re.compile(r"[A-Za-z0-9][A-Za-z0-9._:@/+-]{0,252}")
"""Matches a name that every shell takes as one word, and that no command takes as an option."""


def add_completed(parser: argparse.ArgumentParser, *flags: str, names: Callable[..., Iterable[str]], **options: Any) -> None:
    """Add an argument that a shell completes with these names."""
    parser.add_argument(*flags, **options).completer = names  # type: ignore[attr-defined] # argcomplete reads it


def add_namespace(parser: argparse.ArgumentParser, help_: str) -> None:
    """Add the required option --namespace."""
    add_completed(parser, "--namespace", "-n", required=True, metavar="NS", help=help_, names=namespaces)


def add_class(parser: argparse.ArgumentParser, help_: str) -> None:
    """Add the option --class for one class, as `class_name`."""
    add_completed(parser, "--class", dest="class_name", default="", metavar="NAME", help=help_, names=classes)


def hosts(parsed_args: argparse.Namespace, *, seconds: float = SECONDS, **_: Any) -> list[str]:
    """Return the names of real hosts that are not on the command line yet."""
    given = set(getattr(parsed_args, "hosts", None) or ())
    return [
        name
        for name in _names(parsed_args, kinds.HOSTS, seconds=seconds, of=lambda host: str(host["spec"]["source"]["name"]))
        if name not in given
    ]


def workloads(parsed_args: argparse.Namespace, *, seconds: float = SECONDS, **_: Any) -> list[str]:
    """Return the names of Workloads, of the namespace if it is on the command line already."""
    return _names(parsed_args, kinds.WORKLOADS, getattr(parsed_args, "namespace", None) or "", seconds=seconds)


def workloads_or_sets(parsed_args: argparse.Namespace, prefix: str = "", *, seconds: float = SECONDS, **_: Any) -> list[str]:
    """Return the names of Workloads, or those of WorkloadSets after the prefix that `why` takes."""
    if not prefix.startswith(SET):
        return workloads(parsed_args, seconds=seconds)
    return [f"{SET}{name}" for name in _names(parsed_args, kinds.SETS, getattr(parsed_args, "namespace", None) or "", seconds=seconds)]


def classes(parsed_args: argparse.Namespace, *, seconds: float = SECONDS, **_: Any) -> list[str]:
    """Return the names of classes."""
    return _names(parsed_args, kinds.CLASSES, seconds=seconds)


def namespaces(parsed_args: argparse.Namespace, *, seconds: float = SECONDS, **_: Any) -> list[str]:
    """Return the names of namespaces."""
    return _names(parsed_args, kinds.NAMESPACES, seconds=seconds)


def _names(
    arguments: argparse.Namespace, resource: Resource, namespace: str = "", *, seconds: float, of: Callable[[Object], str] = name_of
) -> list[str]:
    """Return the names of the objects, sorted, without those that do not match ONE_WORD."""

    async def read() -> list[Object]:
        async with client_of(arguments, "metal3-workloads-completion") as client:
            return (await client.list_all(resource, namespace))[0]

    try:
        found = asyncio.run(asyncio.wait_for(read(), seconds))
    except (ApiException, BadConfig, UsageError, OSError, TimeoutError):
        return []
    return sorted({name for name in map(of, found) if ONE_WORD.fullmatch(name)})

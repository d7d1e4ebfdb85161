"""Run commands that the user may run again to continue."""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Awaitable, Callable
from dataclasses import asdict, fields
from pathlib import Path
from typing import Any, TypeVar

from apiserver.cli.progress import add_output, as_json
from apiserver.cli.running import UsageError, run_until_stopped
from apiserver.client.client import Client
from apiserver.client.errors import ApiException, BadConfig
from controllers.resumable import Blocked, RunOptions

Options = TypeVar("Options", bound=RunOptions)
Summary = TypeVar("Summary")


def add_arguments(parser: argparse.ArgumentParser, *, cluster: str, timeout: float) -> None:
    """Add the arguments that all such commands have. `cluster` names the kubeconfig's cluster in
    the help."""
    add_cluster(parser, cluster)
    parser.add_argument(
        "--timeout", type=float, default=timeout, metavar="S", help="seconds to wait for each Workload (default: %(default)g)"
    )
    parser.add_argument("--dry-run", action="store_true", help="say what would be done")
    add_output(parser)


def add_cluster(parser: argparse.ArgumentParser, cluster: str = "the management cluster") -> None:
    """Add the arguments that choose a cluster, for client_of()."""
    parser.add_argument("--kubeconfig", metavar="FILE", help=f"kubeconfig of {cluster}; $KUBECONFIG or ~/.kube/config by default")
    parser.add_argument("--context", metavar="NAME", help="context of the kubeconfig; its current one by default")


def options_of(options: type[Options], arguments: argparse.Namespace) -> Options:
    """Return the options of a command, each from the argument of its name."""
    return options(**{field.name: getattr(arguments, field.name) for field in fields(options)})


def client_of(arguments: argparse.Namespace, user_agent: str) -> Client:
    """Return a client for the arguments --kubeconfig and --context."""
    kubeconfig = arguments.kubeconfig or os.environ.get("KUBECONFIG") or str(Path.home() / ".kube" / "config")
    return Client(kubeconfig, context=arguments.context, user_agent=user_agent)


def run_resumable(main: Callable[[], Awaitable[Summary]]) -> Summary | None:
    """Return the result of `main`, or None if the command was stopped before the end.

    Raises UsageError."""
    results: list[Summary] = []

    async def run() -> None:
        results.append(await main())

    try:
        run_until_stopped(run)
    except Blocked as error:
        raise UsageError(str(error)) from None
    except BadConfig as error:
        raise UsageError(f"a kubeconfig cannot be used: {error}") from None
    except ApiException as error:
        raise UsageError(f"{error}. {_next_step(error)}") from None
    if not results:
        print("stopped before the end: run the same command again to continue", file=sys.stderr)
        return None
    return results[0]


def _next_step(error: ApiException) -> str:
    """Return what the user can do about a failed request."""
    if error.status in {401, 403}:
        return "The cluster refuses this to the user: use another one (--kubeconfig, --context), or ask for the right. Then run it again"
    return "Run the same command again to continue"


def print_result(summary: Any, arguments: argparse.Namespace, line: str) -> None:
    """Print the lists of a dataclass as JSON, or else the line that counts them."""
    print(as_json(asdict(summary)) if arguments.output == "json" else line)

"""Define the flow-control flags of `serve`."""

from __future__ import annotations

import argparse

from apiserver.cli.numbers import between
from apiserver.filters.flowcontrol import CONTROLLERS, MUTATING_INFLIGHT, READING_INFLIGHT, FlowControl

REQUESTS = between(1, 100_000, "how many requests run")


def add_flow_control_flags(parser: argparse.ArgumentParser) -> None:
    """Add the flags, named as in kube-apiserver where it has them."""
    parser.add_argument(
        "--max-requests-inflight",
        type=REQUESTS,
        default=READING_INFLIGHT,
        metavar="N",
        help="with --max-mutating-requests-inflight, the seats that requests share (default: %(default)s)",
    )
    parser.add_argument(
        "--max-mutating-requests-inflight",
        type=REQUESTS,
        default=MUTATING_INFLIGHT,
        metavar="N",
        help="added to --max-requests-inflight, as kube-apiserver does with Priority and Fairness (default: %(default)s)",
    )
    parser.add_argument(
        "--controllers-user",
        action="append",
        default=[],
        metavar="NAME",
        help="a user that has the priority level of our own controllers, beside those of the namespace metal3-workloads-system; a name "
        "that ends in a colon is a prefix",
    )


def flow_control(arguments: argparse.Namespace) -> FlowControl:
    """Return the flow control that the flags request."""
    return FlowControl(
        arguments.max_requests_inflight, arguments.max_mutating_requests_inflight, (*CONTROLLERS, *arguments.controllers_user)
    )

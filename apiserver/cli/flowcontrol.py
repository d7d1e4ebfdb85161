"""Define the flow-control flags of `serve`."""

from __future__ import annotations

from typing import TYPE_CHECKING

from apiserver.filters.flowcontrol import CONTROLLERS, MUTATING_INFLIGHT, READING_INFLIGHT, FlowControl

if TYPE_CHECKING:
    import argparse


def add_flow_control_flags(parser: argparse.ArgumentParser) -> None:
    """Add the flags, named as in kube-apiserver where it has them."""
    parser.add_argument(
        "--max-requests-inflight",
        type=_count,
        default=READING_INFLIGHT,
        metavar="N",
        help="with --max-mutating-requests-inflight, the seats that requests share (default: %(default)s)",
    )
    parser.add_argument(
        "--max-mutating-requests-inflight",
        type=_count,
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


def _count(text: str) -> int:
    number = int(text)
    if not 1 <= number <= 100_000:
        raise ValueError("the number of requests is between 1 and 100000")
    return number

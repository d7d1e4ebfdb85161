"""Define the audit flags of `serve`."""

from __future__ import annotations

import argparse
import os
from pathlib import Path

from apiserver.audit.log import AuditLog
from apiserver.audit.policy import BadPolicy, read_policy
from apiserver.cli.running import UsageError
from apiserver.filters.audit import Auditor


def add_flags(parser: argparse.ArgumentParser) -> None:
    """Add the flags, named as in kube-apiserver."""
    parser.add_argument(
        "--audit-policy-file",
        type=Path,
        metavar="FILE",
        help="which requests are recorded, and how much of them: an audit.k8s.io/v1 Policy",
    )
    parser.add_argument(
        "--audit-log-path",
        type=Path,
        metavar="FILE",
        help="the file for the events, as JSON lines; - for stdout. A file that was moved away is created again",
    )


def audit(arguments: argparse.Namespace) -> tuple[Auditor | None, AuditLog | None]:
    """Return the auditor and the log that the flags request. The log can be opened. Raises
    UsageError."""
    policy, path = arguments.audit_policy_file, arguments.audit_log_path
    if (policy is None) != (path is None):
        raise UsageError("--audit-policy-file and --audit-log-path belong together: give both, or none for no audit")
    if policy is None:
        return None, None
    log = AuditLog(None if path == Path("-") else path)
    try:
        auditor = Auditor(read_policy(policy), log)
    except OSError as error:
        raise UsageError(f"--audit-policy-file {policy}: {error.strerror}") from None
    except BadPolicy as error:
        raise UsageError(f"--audit-policy-file {policy}: {error}") from None
    if path != Path("-"):
        _check(path)
    return auditor, log


def _check(path: Path) -> None:
    try:
        os.close(os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600))
    except OSError as error:
        raise UsageError(f"--audit-log-path {path}: {error.strerror}") from None

"""Implement `metal3-workloads uncordon`: offer a host again."""

from __future__ import annotations

from functools import partial

from controllers.cli import cordon

configure = partial(cordon.configure, unschedulable=False)

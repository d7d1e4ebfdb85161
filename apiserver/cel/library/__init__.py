"""Provide the functions of CEL, and those that Kubernetes adds. `load` registers all of them."""

from __future__ import annotations

from apiserver.cel.library import authorizer, formats, lists, network, optional, quantity, regex, semver, standard, strings, urls

MODULES = (authorizer, formats, lists, network, optional, quantity, regex, semver, standard, strings, urls)


def load() -> int:
    """Return the number of libraries. Their functions register themselves when they are imported."""
    return len(MODULES)

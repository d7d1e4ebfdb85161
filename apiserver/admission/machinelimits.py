"""Decide whether the machines of a namespace, together with those that a write adds, fit its
quotas."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from typing import Any

from apiserver.admission.quotaevaluator import applies, quantity
from apiserver.registry.claims.quotausage import MEMORY, is_counted

UNITS = (("Ei", 60), ("Pi", 50), ("Ti", 40), ("Gi", 30), ("Mi", 20), ("Ki", 10))

Limits = dict[str, dict[str, int]]
"""The limits by the quota's name, and by the name of the counted resource."""


def limits(quotas: Iterable[Mapping[str, Any]]) -> Limits:
    """Return the limits of a namespace's quotas for amounts of machines, in the order of names.

    As in kube-apiserver, status.hard counts, and quotas with scopes never do."""
    found = {}
    for quota in sorted(quotas, key=lambda quota: str(quota["metadata"]["name"])):
        hard = (quota.get("status") or {}).get("hard") or {}
        if applies(quota) and (counted := {name: quantity(hard[name]) for name in sorted(hard) if is_counted(name)}):
            found[quota["metadata"]["name"]] = counted
    return found


def refusal(found: Limits, used: Counter[str], requested: Counter[str]) -> str | None:
    """Return the refusal of a request that does not fit, in kube-apiserver's words, or None."""
    for quota, hard in found.items():
        exceeded = [name for name, most in hard.items() if requested[name] > 0 and used[name] + requested[name] > most]
        if exceeded:
            asked, taken, most = (_listed(exceeded, amounts) for amounts in (requested, used, hard))
            return f"exceeded quota: {quota}, requested: {asked}, used: {taken}, limited: {most}"
    return None


def used_of(quota: Mapping[str, Any], used: Counter[str]) -> dict[str, str]:
    """Return the part of the quota's status.used that is counted here."""
    names = limits([quota]).get(quota["metadata"]["name"], {})
    return {name: amount(name, used[name]) for name in names}


def amount(name: str, number: int) -> str:
    """Return an amount as a quantity: memory in the largest unit in which it is a whole number."""
    if name.endswith(f"/{MEMORY}") and number:
        for unit, bits in UNITS:
            if number % 2**bits == 0:
                return f"{number >> bits}{unit}"
    return str(number)


def _listed(names: Iterable[str], amounts: Mapping[str, int]) -> str:
    return ",".join(f"{name}={amount(name, amounts[name])}" for name in names)

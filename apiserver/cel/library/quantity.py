"""Provide quantities of resources, as exact numbers."""

from __future__ import annotations

import re
from fractions import Fraction
from typing import Any

from apiserver.cel.meter import Meter
from apiserver.cel.registry import function, member, reads
from apiserver.cel.values import INT_MAX, INT_MIN, CelError, Opaque

_FORM = re.compile(r"([+-]?)([0-9]*)(?:\.([0-9]*))?([numkMGTPE]|[KMGTPE]i|[eE][+-]?[0-9]{1,3})?")
_SUFFIXES = {letter: Fraction(1000) ** power for power, letter in enumerate(["n", "u", "m", "", "k", "M", "G", "T", "P", "E"], -3)}
_SUFFIXES |= {f"{letter}i": Fraction(1024) ** power for power, letter in enumerate("KMGTPE", 1)}
LONGEST, LARGEST = 128, 64
NANO = Fraction(1, 10**9)


class Quantity(Opaque):
    """An amount of a resource.

    `whole` says whether Kubernetes keeps it as an integer, which a fraction in the text prevents."""

    __slots__ = ("amount", "whole")
    TYPE = "kubernetes.Quantity"

    def __init__(self, amount: Fraction, whole: bool = True) -> None:
        self.amount = amount
        self.whole = whole and amount.denominator == 1 and INT_MIN <= amount <= INT_MAX

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Quantity) and self.amount == other.amount

    def __hash__(self) -> int:
        return hash(self.amount)


def parsed(text: str) -> Quantity:
    """Return the quantity. Raises CelError. Digits beyond a billionth are rounded up."""
    form = _FORM.fullmatch(text) if len(text) <= LONGEST else None
    if form is None or not (form[2] or form[3]):
        raise CelError("quantities must match the regular expression '^([+-]?[0-9.]+)([eEinumkKMGTP]*[-+]?[0-9]*)$'")
    suffix = form[4] or ""
    if suffix[:1] in ("e", "E") and len(suffix) > 1:
        if abs(int(suffix[1:])) > LARGEST:
            raise CelError("unable to parse quantity's suffix")
        scale = Fraction(10) ** int(suffix[1:])
    else:
        scale = _SUFFIXES[suffix]
    fraction = form[3] or ""
    amount = Fraction(int(f"0{form[2]}{fraction}"), 10 ** len(fraction)) * scale
    amount = -(-amount // NANO) * NANO
    whole = not fraction or (not suffix.endswith("i") and (scale / 10 ** len(fraction)).denominator == 1)
    return Quantity(-amount if form[1] == "-" else amount, whole and scale.denominator == 1)


def _is(text: str) -> bool:
    try:
        return bool(parsed(text))
    except CelError:
        return False


function("quantity", "string", cost=reads())(lambda meter, text: parsed(text))
function("isQuantity", "string", cost=reads())(lambda meter, text: _is(text))


def _member(name: str, run: Any, *types: str) -> None:
    member(name, Quantity.TYPE, *types)(lambda meter, *args: run(*(one.amount if isinstance(one, Quantity) else one for one in args)))


_member("isGreaterThan", lambda one, other: one > other, Quantity.TYPE)
_member("isLessThan", lambda one, other: one < other, Quantity.TYPE)
_member("compareTo", lambda one, other: (one > other) - (one < other), Quantity.TYPE)
_member("asApproximateFloat", float)
function("sign", Quantity.TYPE)(lambda meter, one: (one.amount > 0) - (one.amount < 0))
for _sign, _name in ((1, "add"), (-1, "sub")):
    member(_name, Quantity.TYPE, Quantity.TYPE)(lambda meter, one, other, sign=_sign: _sum(one, other, sign))
    member(_name, Quantity.TYPE, "int")(lambda meter, one, other, sign=_sign: _sum(one, Quantity(Fraction(other)), sign))
member("isInteger", Quantity.TYPE)(lambda meter, value: value.whole)


def _sum(one: Quantity, other: Quantity, sign: int) -> Quantity:
    return Quantity(one.amount + sign * other.amount, one.whole and other.whole)


@member("asInteger", Quantity.TYPE)
def _as_integer(meter: Meter, value: Quantity) -> int:
    if not value.whole:
        raise CelError("cannot convert value to integer")
    return int(value.amount)

"""Evaluate matchConditions of webhooks, CEL expressions over the request, with CEL's C++ library.

Supported are CEL's standard functions and macros, and the extensions strings, math, optional,
bindings and encoders, over the variables object, oldObject and request. Kubernetes' additions
(authorizer, quantity, ip, url, …) are not: such a condition cannot be compiled, and the webhook's
failurePolicy applies. Work is bounded: an evaluation ends after ten thousand iterations of all its
macros together.
"""

from __future__ import annotations

from functools import lru_cache
from typing import TYPE_CHECKING, Any

from apiserver.apis.bounded import remembering

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

VARIABLES = ("object", "oldObject", "request")
LONGEST = 256
"""The characters of an error that are reported."""


class ConditionError(Exception):
    """Conditions could not be decided. The message names them and gives the reasons."""


def fulfilled(conditions: Iterable[tuple[str, str]], variables: Mapping[str, Any]) -> bool:
    """Return whether all of these (name, expression) pairs are true.

    A false condition decides, whatever the others are. Otherwise a condition without a value raises
    ConditionError. `variables` has a value for each of VARIABLES, as decoded JSON."""
    errors = []
    for name, expression in conditions:
        try:
            if not _value(expression, variables):
                return False
        except ConditionError as error:
            errors.append(f'matchCondition "{name}": {error}')
    if errors:
        raise ConditionError("; ".join(errors))
    return True


def _value(expression: str, variables: Mapping[str, Any]) -> bool:
    program = _compiled(expression)
    if isinstance(program, str):
        raise ConditionError(program)
    try:
        found = program.eval(data=variables)
        value, kind = found.value(), found.type()
    except RuntimeError as error:
        raise ConditionError(_short(error)) from None
    if kind.name() == "ERROR":
        raise ConditionError(_short(found.plain_value()))
    if not isinstance(value, bool):
        raise ConditionError("it gives no boolean")
    return value


@remembering(1024, 4096)
def _compiled(expression: str) -> Any:
    """Return the program, or the error that compiling it caused, which is cached as well."""
    try:
        return _environment().compile(expression)
    except RuntimeError as error:
        return _short(error)


@lru_cache(maxsize=1)
def _environment() -> Any:
    # The library takes 25 MB of memory that most servers never need.
    from cel_expr_python import cel
    from cel_expr_python.ext import ext_bindings, ext_encoders, ext_math, ext_optional, ext_strings

    extensions = [
        ext_strings.ExtStrings(),
        ext_math.ExtMath(),
        ext_optional.ExtOptional(),
        ext_bindings.ExtBindings(),
        ext_encoders.ExtEncoders(),
    ]
    return cel.NewEnv(variables=dict.fromkeys(VARIABLES, cel.Type.DYN), extensions=extensions)


def _short(error: object) -> str:
    text = " ".join(str(error).split())
    return text if len(text) <= LONGEST else text[:LONGEST] + "…"

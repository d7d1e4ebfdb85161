"""Compile expressions to closures, and run them.

Names and functions are checked when an expression is compiled, types when it runs. Expressions that
kube-apiserver accepted have the right types, except where they depend on the objects.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from typing import Any

from apiserver.cel import library, operators, syntax
from apiserver.cel.library.lists import sort_by
from apiserver.cel.meter import Meter, traversal
from apiserver.cel.operators import ABSENT, equal, item, key_of, key_value, picked
from apiserver.cel.registry import FUNCTIONS, call, sized
from apiserver.cel.syntax import Expr, Syntax, parse, qualified
from apiserver.cel.values import NONE, CelError, Opaque, Optional, TypeValue, shown, type_name

library.load()

TYPES = {
    **{name: TypeValue(name) for name in ("bool", "bytes", "double", "int", "list", "map", "null_type", "string", "type", "uint")},
    **{name: TypeValue(name) for name in ("google.protobuf.Duration", "google.protobuf.Timestamp", "optional_type", "kubernetes.Quantity")},
}
MUTATIONS = ("Object", "JSONPatch")
"""The types of objects that an expression may construct, with those of their fields."""


class Fields(Opaque):
    """An object with computed fields, such as `variables`."""

    __slots__ = ()
    TYPE = "map"

    def field(self, name: str, meter: Meter) -> Any:
        """Return a field's value, ABSENT if there is none. Raises CelError."""
        raise NotImplementedError  # each subclass has its own


class StructValue(Opaque):
    """An object that an expression constructed."""

    __slots__ = ("fields", "name")

    def __init__(self, name: str, fields: dict[str, Any]) -> None:
        self.name, self.fields = name, fields

    @property
    def TYPE(self) -> str:  # type: ignore[override] # an attribute of other types
        """Return the name of its type."""
        return self.name


class Frame:
    """The state of one run: the variables by name, those of macros by index, and the meter."""

    __slots__ = ("meter", "places", "variables")

    def __init__(self, variables: Mapping[str, Any], places: int, meter: Meter) -> None:
        self.variables, self.meter = variables, meter
        self.places: list[Any] = [None] * places


Step = Callable[[Frame], Any]


class Program:
    """A compiled expression.

    `variables` are the names that it may use. `structs` says whether it may construct objects.
    Raises Syntax."""

    def __init__(self, expression: str, variables: Collection[str], *, structs: bool = False) -> None:
        self.expression = expression
        compiler = _Compiler(variables, structs)
        try:
            self._step = compiler.step(parse(expression))
        except RecursionError:
            raise Syntax("the expression is nested too deeply") from None
        self._places = compiler.places

    def run(self, variables: Mapping[str, Any], meter: Meter) -> Any:
        """Return the value. Raises CelError, or what the meter raises."""
        try:
            return self._step(Frame(variables, self._places, meter))
        except RecursionError:
            raise CelError("the values are nested too deeply") from None
        except (UnicodeError, OverflowError, ValueError) as error:
            raise CelError(f"{type(error).__name__} during evaluation") from None


class _Compiler:
    def __init__(self, variables: Collection[str], structs: bool) -> None:
        self._variables, self._structs = variables, structs
        self._scope: dict[str, int] = {}
        self.places = 0

    def step(self, expr: Expr) -> Step:
        """Return the closure of a node. Raises Syntax."""
        name = type(expr).__name__.lower()
        step: Step = getattr(self, f"_{name}")(expr)
        return step

    def _literal(self, expr: syntax.Literal) -> Step:
        value = expr.value
        return lambda frame: value

    def _ident(self, expr: syntax.Ident) -> Step:
        name = expr.name
        if name in self._scope:
            place = self._scope[name]
            return lambda frame: _charged(frame, 1).places[place]
        if name in self._variables:
            return lambda frame: _variable(_charged(frame, 1), name)
        if name in TYPES:
            return lambda frame: TYPES[name]
        raise Syntax(f"undeclared reference to '{name}' (in container '')")

    def _select(self, expr: syntax.Select) -> Step:
        dotted = qualified(expr)
        if dotted is not None and dotted.partition(".")[0] not in self._scope:
            if dotted in TYPES:
                return lambda frame: TYPES[dotted]
            if dotted in self._variables:
                return lambda frame: _variable(_charged(frame, 1), dotted)
        operand, field = self.step(expr.operand), expr.field
        if expr.test:
            return lambda frame: _has(operand(frame), field, frame.meter)
        if expr.optional:
            return lambda frame: _optional(operand(frame), field, _charged(frame, 1).meter)
        return lambda frame: _field(operand(frame), field, _charged(frame, 1).meter)

    def _index(self, expr: syntax.Index) -> Step:
        operand, index = self.step(expr.operand), self.step(expr.index)
        if expr.optional:
            return lambda frame: _optional(operand(frame), index(frame), _charged(frame, 1).meter)
        return lambda frame: _field(operand(frame), index(frame), _charged(frame, 1).meter)

    def _and(self, expr: syntax.And) -> Step:
        return self._logical(expr.terms, False)

    def _or(self, expr: syntax.Or) -> Step:
        return self._logical(expr.terms, True)

    def _logical(self, terms: tuple[Expr, ...], decisive: bool) -> Step:
        steps = [self.step(term) for term in terms]
        return lambda frame: _decided(steps, frame, decisive)

    def _conditional(self, expr: syntax.Conditional) -> Step:
        condition, yes, no = self.step(expr.condition), self.step(expr.yes), self.step(expr.no)
        return lambda frame: yes(frame) if _boolean(condition(frame)) else no(frame)

    def _listof(self, expr: syntax.ListOf) -> Step:
        items = [(self.step(one), optional) for one, optional in expr.items]

        units = 0 if all(isinstance(one, syntax.Literal) for one, _ in expr.items) else 10

        def run(frame: Frame) -> list[Any]:
            frame.meter.charge(units)
            found = []
            for step, optional in items:
                value = _unwrapped(step(frame)) if optional else step(frame)
                if value is not ABSENT:
                    found.append(value)
            return found

        return run

    def _mapof(self, expr: syntax.MapOf) -> Step:
        entries = [(self.step(key), self.step(value), optional) for key, value, optional in expr.entries]

        units = 0 if all(isinstance(one, syntax.Literal) for _, one, _ in expr.entries) else 30

        def run(frame: Frame) -> dict[Any, Any]:
            frame.meter.charge(units)
            found: dict[Any, Any] = {}
            for key, step, optional in entries:
                name = _new_key(key(frame))
                value = _unwrapped(step(frame)) if optional else step(frame)
                if value is not ABSENT:
                    found[name] = value
            return found

        return run

    def _struct(self, expr: syntax.Struct) -> Step:
        if not self._structs or expr.name.partition(".")[0] not in MUTATIONS:
            raise Syntax(f"undeclared reference to '{expr.name}' (in container '')")
        fields = [(name, self.step(value), optional) for name, value, optional in expr.fields]

        def run(frame: Frame) -> StructValue:
            frame.meter.charge(40)
            found = {}
            for name, step, optional in fields:
                value = _unwrapped(step(frame)) if optional else step(frame)
                if value is not ABSENT:
                    found[name] = value
            return StructValue(expr.name, found)

        return run

    def _call(self, expr: syntax.Call) -> Step:
        if expr.target is None:
            return (
                self._operator(expr) if not expr.name.isidentifier() or expr.name == "_in_" else self._function(expr.name, False, expr.args)
            )
        dotted = qualified(expr.target)
        if dotted is not None and (f"{dotted}.{expr.name}", False) in FUNCTIONS and dotted.partition(".")[0] not in self._scope:
            return self._function(f"{dotted}.{expr.name}", False, expr.args)
        return self._function(expr.name, True, (expr.target, *expr.args))

    def _function(self, name: str, has_receiver: bool, args: tuple[Expr, ...]) -> Step:
        overloads = [one for one in FUNCTIONS.get((name, has_receiver), ()) if len(one.types) == len(args)]
        if (name, has_receiver) not in FUNCTIONS:
            raise Syntax(f"undeclared reference to '{name}' (in container '')")
        if not overloads:
            raise Syntax(f"found no matching overload for '{name}'")
        steps = [self.step(arg) for arg in args]
        if (name, has_receiver) == ("orValue", True):
            return _or_value(steps[0], steps[1])
        return lambda frame: call(name, overloads, frame.meter, [step(frame) for step in steps])

    def _operator(self, expr: syntax.Call) -> Step:
        name, steps = expr.name, [self.step(arg) for arg in expr.args]
        if name == "!_":
            return lambda frame: not _boolean(steps[0](_charged(frame, 1)))
        if name == "-_":
            return lambda frame: operators.negated(steps[0](_charged(frame, 1)))
        left, right = steps
        if name in ("_==_", "_!=_"):
            wanted = name == "_==_"
            return lambda frame: _equal(left(frame), right(frame), frame.meter) is wanted
        if name == "_in_":
            return lambda frame: operators.contains(left(frame), right(frame), frame.meter)
        if name in operators.ARITHMETIC:
            compute = operators.ARITHMETIC[name]
            return lambda frame: compute(left(frame), right(frame), frame.meter)
        symbol = name.strip("_")
        return lambda frame: operators.ordered(symbol, left(frame), right(frame), frame.meter)

    def _bind(self, expr: syntax.Bind) -> Step:
        over = self.step(expr.over)
        (place,), (body,) = self._scoped((expr.name,), [expr.body])

        def run(frame: Frame) -> Optional:
            frame.meter.charge(2)
            value = over(frame)
            if not isinstance(value, Optional):
                raise CelError(f"no such overload: hasValue({type_name(value)})")
            if not value.present:
                return NONE
            frame.places[place] = value.value
            found = body(frame)
            if not expr.flat:
                return Optional(True, found)
            if not isinstance(found, Optional):
                raise CelError("no such overload")
            return found

        return run

    def _scoped(self, names: tuple[str, ...], bodies: list[Expr | None]) -> tuple[list[int], list[Step]]:
        """Compile bodies in which the names are variables."""
        before = self._scope
        places = list(range(self.places, self.places + len(names)))
        self.places += len(names)
        self._scope = {**before, **dict(zip(names, places, strict=True))}
        steps = [self.step(body) for body in bodies if body is not None]
        self._scope = before
        return places, steps

    def _fold(self, expr: syntax.Fold) -> Step:
        over = self.step(expr.over)
        places, steps = self._scoped(expr.names, [expr.body, expr.condition])
        body, condition = steps[0], steps[1] if len(steps) > 1 else None
        elements = _Elements(over, places)
        if expr.kind in ("all", "exists"):
            return elements.quantifier(body, decisive=expr.kind == "exists")
        if expr.kind == "exists_one":
            return elements.exists_one(body)
        if expr.kind in ("map", "filter", "transformList"):
            return elements.collected(body, condition)
        if expr.kind == "sortBy":
            return elements.sorted(body)
        return elements.mapped(body, condition, entries=expr.kind == "transformMapEntry")


class _Elements:
    """The loops of macros. Each turn costs as much as in cel-go's comprehension."""

    def __init__(self, over: Step, places: list[int]) -> None:
        self._over, self._places = over, places

    def _turns(self, frame: Frame, units: int) -> Iterator[None]:
        """Yield once for each element, after setting the variables."""
        value = self._over(frame)
        frame.meter.charge(1)
        places, charge = frame.places, frame.meter.charge
        for pair in _pairs(value, len(self._places)):
            charge(units)
            for place, one in zip(self._places, pair, strict=True):
                places[place] = one
            yield

    def quantifier(self, body: Step, *, decisive: bool) -> Step:
        return lambda frame: _decided((body for _ in self._turns(frame, 3)), frame, decisive)

    def exists_one(self, body: Step) -> Step:
        def run(frame: Frame) -> bool:
            return sum(_boolean(body(frame)) for _ in self._turns(frame, 2)) == 1

        return run

    def collected(self, body: Step, condition: Step | None) -> Step:
        def run(frame: Frame) -> list[Any]:
            found = []
            for _ in self._turns(frame, 1):
                if condition is None or _boolean(condition(frame)):
                    frame.meter.charge(11)
                    found.append(body(frame))
            return found

        return run

    def sorted(self, body: Step) -> Step:
        def run(frame: Frame) -> Any:
            value = self._over(frame)
            keys = [body(frame) for _ in self._turns(frame, 12)]
            return sort_by(frame.meter, value, keys)

        return run

    def mapped(self, body: Step, condition: Step | None, *, entries: bool) -> Step:
        def run(frame: Frame) -> dict[Any, Any]:
            frame.meter.charge(30)
            found: dict[Any, Any] = {}
            for _ in self._turns(frame, 3):
                if condition is not None and not _boolean(condition(frame)):
                    continue
                new = body(frame) if entries else {key_of(frame.places[self._places[0]]): body(frame)}
                if not isinstance(new, dict):
                    raise CelError("no such overload")
                for key, value in new.items():
                    if key in found:
                        raise CelError(f"insert failed: key {shown(key)} already exists")
                    found[key] = value
            return found

        return run


def _pairs(value: Any, count: int) -> Iterator[tuple[Any, ...]]:
    """Return the values of a macro's variables for each turn: elements or keys, or pairs of
    both."""
    if isinstance(value, list):
        return ((one,) for one in value) if count == 1 else iter(enumerate(value))
    if isinstance(value, dict):
        return ((key_value(key),) for key in value) if count == 1 else ((key_value(key), one) for key, one in value.items())
    name = type_name(value).rpartition(".")[2]
    raise CelError(f"got 'types.{name.removesuffix('_type').capitalize()}', expected iterable type")


def _charged(frame: Frame, units: int) -> Frame:
    frame.meter.charge(units)
    return frame


def _variable(frame: Frame, name: str) -> Any:
    try:
        return frame.variables[name]
    except KeyError:
        raise CelError(f"no such attribute(s): {name}") from None


def _decided(steps: Iterable[Step], frame: Frame, decisive: bool) -> bool:
    """Return the decisive value if any step has it, even if others fail."""
    failed: CelError | None = None
    for step in steps:
        try:
            if _boolean(step(frame)) is decisive:
                return decisive
        except CelError as error:
            failed = failed or error
    if failed is not None:
        raise failed
    return not decisive


def _boolean(value: Any) -> bool:
    if isinstance(value, bool):
        return value
    raise CelError("no such overload")


def _equal(left: Any, right: Any, meter: Meter) -> bool:
    meter.charge(1 if isinstance(left, Opaque) else traversal(min(sized(left), sized(right))))
    return equal(left, right, meter)


def _field(value: Any, name: Any, meter: Meter) -> Any:
    if isinstance(value, Optional):
        return _optional(value, name, meter)
    if isinstance(value, Fields):
        found = value.field(name, meter)
        if found is ABSENT:
            raise CelError(f"no such key: {shown(name)}")
        return found
    return item(value, name)


def _optional(value: Any, name: Any, meter: Meter) -> Optional:
    if isinstance(value, Optional):
        return _optional(value.value, name, meter) if value.present else NONE
    found = value.field(name, meter) if isinstance(value, Fields) else picked(value, name)
    return NONE if found is ABSENT else Optional(True, found)


def _has(value: Any, name: str, meter: Meter) -> bool:
    return _optional(value, name, meter).present


def _unwrapped(value: Any) -> Any:
    """Return the value of an optional element, ABSENT if it has none."""
    if not isinstance(value, Optional):
        raise CelError(f"cannot initialize optional list element from non-optional value {shown(value)}")
    return value.value if value.present else ABSENT


def _new_key(key: Any) -> Any:
    name = key_of(key)
    if not isinstance(name, str | int | float):
        raise CelError("unsupported key type")
    return name


def _or_value(optional: Step, other: Step) -> Step:
    """Return the step of orValue, which computes the other value only if it is needed."""

    def run(frame: Frame) -> Any:
        frame.meter.charge(1)
        value = optional(frame)
        if not isinstance(value, Optional):
            raise CelError(f"no such overload: orValue({type_name(value)}, dyn)")
        return value.value if value.present else other(frame)

    return run

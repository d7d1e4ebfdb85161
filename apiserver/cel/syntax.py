"""Parse CEL into a tree, in which macros are nodes of their own.

Expressions are written by the cluster's administrators. Their length and depth are bounded
nevertheless, because the tree is walked by recursion.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Any

from apiserver.cel.values import INT_MAX, INT_MIN, UINT_MAX, UInt

LONGEST = 64 * 1024
DEEPEST = 64
RESERVED = frozenset(
    [
        "as",
        "break",
        "const",
        "continue",
        "else",
        "for",
        "function",
        "if",
        "import",
        "let",
        "loop",
        "package",
        "namespace",
        "return",
        "var",
        "void",
        "while",
    ]
)
_RELATIONS = frozenset(["<", "<=", ">=", ">", "==", "!=", "in"])
_LEVELS = (_RELATIONS, frozenset("+-"), frozenset("*/%"))


class Syntax(Exception):
    """The expression cannot be compiled. The message gives the reason."""


class Expr:
    """A node of the tree."""

    __slots__ = ()


@dataclass(frozen=True, slots=True)
class Literal(Expr):
    """A constant."""

    value: Any


@dataclass(frozen=True, slots=True)
class Ident(Expr):
    """A variable, or the first part of a qualified name."""

    name: str


@dataclass(frozen=True, slots=True)
class Select(Expr):
    """A field. `optional` is `.?`; `test` is has()."""

    operand: Expr
    field: str
    optional: bool = False
    test: bool = False


@dataclass(frozen=True, slots=True)
class Index(Expr):
    """An element. `optional` is `[?i]`."""

    operand: Expr
    index: Expr
    optional: bool = False


@dataclass(frozen=True, slots=True)
class Call(Expr):
    """A function or an operator. `target` is the receiver, None without one."""

    name: str
    target: Expr | None
    args: tuple[Expr, ...]


@dataclass(frozen=True, slots=True)
class And(Expr):
    """A conjunction. It is false if any term is false, even if other terms fail."""

    terms: tuple[Expr, ...]


@dataclass(frozen=True, slots=True)
class Or(Expr):
    """A disjunction. It is true if any term is true, even if other terms fail."""

    terms: tuple[Expr, ...]


@dataclass(frozen=True, slots=True)
class Conditional(Expr):
    """One of two values."""

    condition: Expr
    yes: Expr
    no: Expr


@dataclass(frozen=True, slots=True)
class ListOf(Expr):
    """A list literal: pairs of an element and whether it is optional."""

    items: tuple[tuple[Expr, bool], ...]


@dataclass(frozen=True, slots=True)
class MapOf(Expr):
    """A map literal: key, value, and whether the entry is optional."""

    entries: tuple[tuple[Expr, Expr, bool], ...]


@dataclass(frozen=True, slots=True)
class Struct(Expr):
    """An object literal: its type, and name, value and whether the field is optional."""

    name: str
    fields: tuple[tuple[str, Expr, bool], ...]


@dataclass(frozen=True, slots=True)
class Fold(Expr):
    """A macro over a list or a map. `names` are one or two variables."""

    kind: str
    over: Expr
    names: tuple[str, ...]
    condition: Expr | None
    body: Expr


@dataclass(frozen=True, slots=True)
class Bind(Expr):
    """optMap and optFlatMap: an expression over the value of an optional one."""

    over: Expr
    name: str
    body: Expr
    flat: bool


_TOKEN = re.compile(
    r"""(?P<space>[\s]+|//[^\n]*)
    |(?P<string>(?:[rR][bB]?|[bB][rR]?)?(?:\"\"\"(?:[^\\]|\\[\s\S])*?\"\"\"|'''(?:[^\\]|\\[\s\S])*?'''))
    |(?P<raw>[bB]?[rR][bB]?(?:"[^"\n]*"|'[^'\n]*'))
    |(?P<short>[bB]?(?:"(?:[^"\\\n]|\\.)*"|'(?:[^'\\\n]|\\.)*'))
    |(?P<double>[0-9]+\.[0-9]+(?:[eE][+-]?[0-9]+)?|[0-9]+[eE][+-]?[0-9]+|\.[0-9]+(?:[eE][+-]?[0-9]+)?)
    |(?P<int>(?:0x[0-9a-fA-F]+|[0-9]+)[uU]?)
    |(?P<ident>[A-Za-z_][A-Za-z0-9_]*)
    |(?P<op><=|>=|==|!=|&&|\|\||[-+*/%<>!?:.,()\[\]{}])""",
    re.VERBOSE,
)
_ESCAPE = re.compile(r"\\(?:u([0-9a-fA-F]{4})|U([0-9a-fA-F]{8})|[xX]([0-9a-fA-F]{2})|([0-3][0-7]{2})|(.))", re.DOTALL)
_SIMPLE = {
    "a": "\a", "b": "\b", "f": "\f", "n": "\n", "r": "\r", "t": "\t", "v": "\v",
    "\\": "\\", "?": "?", '"': '"', "'": "'", "`": "`",
}  # fmt: skip


def _tokens(source: str) -> list[tuple[str, str, int]]:
    if len(source) > LONGEST:
        raise Syntax(f"the expression is longer than {LONGEST} characters")
    found, at = [], 0
    while at < len(source):
        token = _TOKEN.match(source, at)
        if token is None:
            raise Syntax(f"Syntax error: token recognition error at: '{source[at : at + 16]}' (offset {at})")
        kind = str(token.lastgroup)
        if kind != "space":
            found.append((kind, token[0], at))
        at = token.end()
    return [*found, ("end", "", at)]


def parse(source: str) -> Expr:
    """Return the tree of an expression. Raises Syntax."""
    parser = _Parser(_tokens(source))
    try:
        tree = parser.expression()
    except RecursionError:
        raise Syntax("the expression is nested too deeply") from None
    if parser.kind != "end":
        parser.unexpected()
    return tree


class _Parser:
    def __init__(self, tokens: list[tuple[str, str, int]]) -> None:
        self._tokens, self._at, self._depth = tokens, 0, 0

    @property
    def kind(self) -> str:
        return self._tokens[self._at][0]

    @property
    def text(self) -> str:
        return self._tokens[self._at][1]

    def unexpected(self) -> None:
        raise Syntax(f"Syntax error: unexpected '{self.text[:32] or '<EOF>'}' (offset {self._tokens[self._at][2]})")

    def _take(self, *operators: str) -> str | None:
        """Consume one of these operators, and return it."""
        kind, text, _ = self._tokens[self._at]
        if kind in ("op", "ident") and text in operators:
            self._at += 1
            return text
        return None

    def _expect(self, operator: str) -> None:
        if self._take(operator) is None:
            self.unexpected()

    def expression(self) -> Expr:
        self._depth += 1
        if self._depth > DEEPEST:
            raise Syntax(f"the expression is nested more than {DEEPEST} levels deep")
        condition = self._either()
        if self._take("?"):
            yes = self._either()
            self._expect(":")
            condition = Conditional(condition, yes, self.expression())
        self._depth -= 1
        return condition

    def _either(self) -> Expr:
        terms = [self._both()]
        while self._take("||"):
            terms.append(self._both())
        return Or(tuple(terms)) if len(terms) > 1 else terms[0]

    def _both(self) -> Expr:
        terms = [self._binary(0)]
        while self._take("&&"):
            terms.append(self._binary(0))
        return And(tuple(terms)) if len(terms) > 1 else terms[0]

    def _binary(self, level: int) -> Expr:
        if level == len(_LEVELS):
            return self._unary()
        left, chain = self._binary(level + 1), 0
        while operator := self._take(*_LEVELS[level]):
            left, chain = Call(f"_{operator}_", None, (left, self._binary(level + 1))), chain + 1
            if chain > DEEPEST:
                raise Syntax(f"more than {DEEPEST} operators follow each other")
        return left

    def _unary(self) -> Expr:
        for operator in "!-":
            count = 0
            while self._take(operator):
                count += 1
            if count:
                return self._signed(operator, count % 2)
        return self._member()

    def _signed(self, operator: str, odd: int) -> Expr:
        if operator == "-" and odd and self.kind in ("int", "double"):
            return self._member(negative=True)
        operand = self._member()
        return Call(f"{operator}_", None, (operand,)) if odd else operand

    def _member(self, *, negative: bool = False) -> Expr:
        found, links = self._number(negative) if negative else self._primary(), 0
        while True:
            links += 1
            if links > DEEPEST:
                raise Syntax(f"more than {DEEPEST} selections follow each other")
            if self._take("."):
                found = self._selection(found)
            elif self._take("["):
                optional = self._take("?") is not None
                found = Index(found, self.expression(), optional)
                self._expect("]")
            elif self.text == "{" and self.kind == "op" and (name := qualified(found)) is not None:
                found = Struct(name, self._fields())
            else:
                return found

    def _selection(self, operand: Expr) -> Expr:
        if self._take("?"):
            return Select(operand, self._name(), optional=True)
        name = self._name()
        if self._take("("):
            return _expanded(operand, name, self._arguments(")"))
        return Select(operand, name)

    def _name(self) -> str:
        if self.kind != "ident" or self.text == "in":
            self.unexpected()
        self._at += 1
        return self._tokens[self._at - 1][1]

    def _arguments(self, closing: str) -> tuple[Expr, ...]:
        found: list[Expr] = []
        while self._take(closing) is None:
            found.append(self.expression())
            if self._take(",") is None:
                self._expect(closing)
                break
        return tuple(found)

    def _primary(self) -> Expr:
        if self._take("("):
            inner = self.expression()
            self._expect(")")
            return inner
        if self._take("["):
            return ListOf(self._items())
        if self._take("{"):
            return MapOf(self._entries())
        if self.kind in ("int", "double"):
            return self._number(negative=False)
        if self.kind in ("string", "raw", "short"):
            self._at += 1
            return Literal(_string(self._tokens[self._at - 1][1]))
        self._take(".")  # a leading dot only says that no container is searched
        return self._reference()

    def _reference(self) -> Expr:
        name = self._name()
        if name in ("true", "false", "null"):
            return Literal({"true": True, "false": False}.get(name))
        if name in RESERVED:
            raise Syntax(f"reserved identifier: {name}")
        if self._take("("):
            return _has(self._arguments(")")) if name == "has" else Call(name, None, self._arguments(")"))
        return Ident(name)

    def _number(self, negative: bool) -> Expr:
        kind, text, _ = self._tokens[self._at]
        self._at += 1
        sign = -1 if negative else 1
        if kind == "double":
            return Literal(sign * float(text))
        unsigned, digits = text[-1] in "uU", text.rstrip("uU")
        if len(digits) > 64:
            raise Syntax(f"invalid int literal: {digits[:32]}…")
        value = sign * (int(digits, 16) if digits.startswith("0x") else int(digits))
        if not (0 <= value <= UINT_MAX if unsigned else INT_MIN <= value <= INT_MAX):
            raise Syntax(f"invalid {'uint' if unsigned else 'int'} literal: {text}")
        return Literal(UInt(value) if unsigned else value)

    def _items(self) -> tuple[tuple[Expr, bool], ...]:
        found: list[tuple[Expr, bool]] = []
        while self._take("]") is None:
            optional = self._take("?") is not None
            found.append((self.expression(), optional))
            if self._take(",") is None:
                self._expect("]")
                break
        return tuple(found)

    def _entries(self) -> tuple[tuple[Expr, Expr, bool], ...]:
        found: list[tuple[Expr, Expr, bool]] = []
        while self._take("}") is None:
            optional = self._take("?") is not None
            key = self.expression()
            self._expect(":")
            found.append((key, self.expression(), optional))
            if self._take(",") is None:
                self._expect("}")
                break
        return tuple(found)

    def _fields(self) -> tuple[tuple[str, Expr, bool], ...]:
        self._expect("{")
        found: list[tuple[str, Expr, bool]] = []
        while self._take("}") is None:
            optional = self._take("?") is not None
            name = self._name()
            self._expect(":")
            found.append((name, self.expression(), optional))
            if self._take(",") is None:
                self._expect("}")
                break
        return tuple(found)


def qualified(expr: Expr) -> str | None:
    """Return the dotted name that an expression consists of, or None."""
    parts: list[str] = []
    while isinstance(expr, Select) and not expr.optional and not expr.test:
        parts.append(expr.field)
        expr = expr.operand
    return ".".join([expr.name, *reversed(parts)]) if isinstance(expr, Ident) else None


def _has(args: tuple[Expr, ...]) -> Expr:
    if len(args) != 1 or not isinstance(args[0], Select) or args[0].optional:
        raise Syntax("invalid argument to has() macro")
    return Select(args[0].operand, args[0].field, test=True)


_QUANTIFIERS = frozenset(["all", "exists", "exists_one", "existsOne"])
_TRANSFORMS = frozenset(["transformList", "transformMap", "transformMapEntry"])


def _expanded(target: Expr, name: str, args: tuple[Expr, ...]) -> Expr:
    """Return a method call, or the macro that it is."""
    count = len(args)
    if name in _QUANTIFIERS and count in (2, 3):
        return Fold(name.replace("sO", "s_o"), target, _variables(args[:-1]), None, args[-1])
    if name == "filter" and count == 2:
        return Fold(name, target, _variables(args[:1]), args[1], args[0])
    if name == "map" and count in (2, 3):
        return Fold(name, target, _variables(args[:1]), args[1] if count == 3 else None, args[-1])
    if name == "sortBy" and count == 2:
        return Fold(name, target, _variables(args[:1]), None, args[1])
    if name in _TRANSFORMS and count in (3, 4):
        return Fold(name, target, _variables(args[:2]), args[2] if count == 4 else None, args[-1])
    if name in ("optMap", "optFlatMap") and count == 2:
        return Bind(target, _variables(args[:1])[0], args[1], name == "optFlatMap")
    return Call(name, target, args)


def _variables(args: tuple[Expr, ...]) -> tuple[str, ...]:
    names = tuple(arg.name for arg in args if isinstance(arg, Ident))
    if len(names) != len(args):
        raise Syntax("argument must be a simple name")
    if len(set(names)) != len(names):
        raise Syntax("the two variables must differ")
    return names


def _string(text: str) -> str | bytes:
    start = next(index for index, letter in enumerate(text) if letter in "\"'")
    prefix, quoted = text[:start].lower(), text[start:]
    width = 3 if quoted[:3] in ('"""', "'''") and len(quoted) >= 6 else 1
    body = quoted[width:-width].replace("\r\n", "\n")
    if "b" in prefix:
        return body.encode() if "r" in prefix else b"".join(_bytes(body))
    return body if "r" in prefix else _ESCAPE.sub(_character, body)


def _character(found: re.Match[str]) -> str:
    code = found[1] or found[2] or found[3]
    if code or found[4]:
        number = int(code, 16) if code else int(found[4], 8)
        if number > 0x10FFFF or 0xD800 <= number < 0xE000:
            raise Syntax(f"invalid unicode code point: {found[0]}")
        return chr(number)
    if found[5] not in _SIMPLE:
        raise Syntax(f"invalid escape sequence: {found[0]}")
    return _SIMPLE[found[5]]


def _bytes(body: str) -> list[bytes]:
    parts, at = [], 0
    for found in _ESCAPE.finditer(body):
        if found[1] or found[2]:
            raise Syntax(f"invalid escape sequence in bytes: {found[0]}")
        one = _character(found)
        parts += [body[at : found.start()].encode(), bytes([ord(one)]) if found[3] or found[4] else one.encode()]
        at = found.end()
    return [*parts, body[at:].encode()]

"""Compare semantic versions."""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import total_ordering

from apiserver.cel.registry import function, member, reads
from apiserver.cel.values import CelError, Opaque

LONGEST = 512
_NUMBER = "(0|[1-9][0-9]{0,18})"
_FORM = re.compile(rf"{_NUMBER}\.{_NUMBER}\.{_NUMBER}(?:-([0-9A-Za-z.-]+))?(?:\+([0-9A-Za-z.-]+))?", re.ASCII)
_ZEROES = re.compile(r"0[0-9]+", re.ASCII)


@total_ordering
@dataclass(frozen=True, slots=True)
class Semver(Opaque):
    """A version. Build metadata is ignored when versions are compared."""

    numbers: tuple[int, int, int]
    release: tuple[str, ...]
    TYPE = "kubernetes.Semver"

    def __lt__(self, other: Semver) -> bool:
        return (self.numbers, self._rank()) < (other.numbers, other._rank())

    def _rank(self) -> tuple[bool, list[tuple[bool, int, str]]]:
        """Return the sort key of the prerelease, which sorts before a release. Numbers sort before
        words."""
        parts = [(not part.isdigit(), int(part) if part.isdigit() else 0, part) for part in self.release]
        return not parts, parts


def parsed(text: str) -> Semver:
    """Return the version. Raises CelError."""
    form = _FORM.fullmatch(text) if len(text) <= LONGEST else None
    if form is None:
        raise CelError(
            "No Major.Minor.Patch elements found" if text.count(".") < 2 else f'Invalid character(s) found in version "{text[:64]}"'
        )
    release = tuple(form[4].split(".")) if form[4] else ()
    if any(not part or _ZEROES.fullmatch(part) for part in release):
        raise CelError("Prerelease is empty or has leading zeroes")
    return Semver((int(form[1]), int(form[2]), int(form[3])), release)


def normalized(text: str) -> str:
    """Return a version with three numbers, and without "v" and leading zeroes."""
    parts = text.removeprefix("v").split(".", 2)
    parts = [_without_zeroes(part) for part in parts]
    if len(parts) < 3:
        if set("+-") & set(parts[-1]):
            raise CelError("short version cannot contain PreRelease/Build meta data")
        parts += ["0"] * (3 - len(parts))
    return ".".join(parts)


def _without_zeroes(part: str) -> str:
    if len(part) < 2:
        return part
    rest = part.lstrip("0")
    return rest if rest[:1].isdigit() else f"0{rest}"


def _is(text: str, normalize: bool = False) -> bool:
    try:
        return bool(parsed(normalized(text) if normalize else text))
    except CelError:
        return False


function("semver", "string", cost=reads())(lambda meter, text: parsed(text))
function("semver", "string", "bool", cost=reads())(lambda meter, text, normalize: parsed(normalized(text) if normalize else text))
function("isSemver", "string", cost=reads())(lambda meter, text: _is(text))
function("isSemver", "string", "bool", cost=reads())(lambda meter, text, normalize: _is(text, normalize))
member("isGreaterThan", Semver.TYPE, Semver.TYPE)(lambda meter, one, other: one > other)
member("isLessThan", Semver.TYPE, Semver.TYPE)(lambda meter, one, other: one < other)
member("compareTo", Semver.TYPE, Semver.TYPE)(lambda meter, one, other: (one > other) - (one < other))
for _place, _name in enumerate(("major", "minor", "patch")):
    member(_name, Semver.TYPE)(lambda meter, value, place=_place: value.numbers[place])

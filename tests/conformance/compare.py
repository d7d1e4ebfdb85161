"""Compare two servers' normalised outcomes of a case, and apply the case's allowed differences."""

from __future__ import annotations

from dataclasses import dataclass
from fnmatch import fnmatchcase
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from tests.conformance.case import Case


@dataclass(frozen=True, slots=True)
class Difference:
    """A place where the two servers differ. None: nothing is there."""

    path: str
    oracle: Any
    ours: Any

    def __str__(self) -> str:
        return f"{self.path}: kube-apiserver {_short(self.oracle)}, ours {_short(self.ours)}"


@dataclass(frozen=True, slots=True)
class Verdict:
    """The result of a case. `wrong`: differences without a reason. `stale`: reasons without a
    difference."""

    case: str
    allowed: tuple[tuple[Difference, str], ...]
    wrong: tuple[Difference, ...]
    stale: tuple[str, ...]
    messages: tuple[int, int] = (0, 0)

    @property
    def passed(self) -> bool:
        """Return whether nothing is wrong."""
        return not self.wrong and not self.stale


def judge(name: str, case: Case, oracle: Mapping[str, Any], ours: Mapping[str, Any]) -> Verdict:
    """Compare the outcomes, which are by step."""
    found = [d for d in differences(oracle, ours) if not _any(d.path, case.ignored)]
    texts = [d for d in found if d.path.endswith(".message") and isinstance(d.oracle, str) and isinstance(d.ours, str)]
    if not case.messages:
        found = [d for d in found if d not in texts]
    allowed, wrong, used = [], [], set()
    for difference in found:
        pattern = next((one for one in case.allowed if fnmatchcase(difference.path, one)), None)
        if pattern is None:
            wrong.append(difference)
        else:
            used.add(pattern)
            allowed.append((difference, case.allowed[pattern]))
    return Verdict(name, tuple(allowed), tuple(wrong), tuple(p for p in case.allowed if p not in used), (len(texts), _texts(oracle)))


def differences(oracle: Any, ours: Any, path: str = "") -> Iterator[Difference]:
    """Yield the differences between two JSON-shaped values, from the root down."""
    if isinstance(oracle, dict) and isinstance(ours, dict):
        if _answered_otherwise(oracle, ours):
            oracle, ours = ({key: server.get(key, _ABSENT) for key in ("status", "content-type")} for server in (oracle, ours))
        for key in dict.fromkeys([*oracle, *ours]):
            yield from differences(oracle.get(key, _ABSENT), ours.get(key, _ABSENT), f"{path}.{key}" if path else key)
    elif isinstance(oracle, list) and isinstance(ours, list):
        for index in range(max(len(oracle), len(ours))):
            one, other = (server[index] if index < len(server) else _ABSENT for server in (oracle, ours))
            yield from differences(one, other, f"{path}[{index}]")
    # but 1 and 1.0 are the same number
    elif isinstance(oracle, bool) is not isinstance(ours, bool) or oracle != ours:
        yield Difference(path, oracle, ours)


def _answered_otherwise(oracle: dict[str, Any], ours: dict[str, Any]) -> bool:
    """Return whether only one of two answers is an error or plain text.

    The rest would then differ everywhere."""
    if "body" not in oracle and "body" not in ours:
        return False
    return oracle.get("status") != ours.get("status") or isinstance(oracle.get("body"), str) is not isinstance(ours.get("body"), str)


class _Absent:
    def __repr__(self) -> str:
        return "nothing"


_ABSENT = _Absent()


def _any(path: str, patterns: Sequence[str]) -> bool:
    return any(fnmatchcase(path, pattern) for pattern in patterns)


def _texts(value: Any) -> int:
    """Return the number of messages in an outcome."""
    if isinstance(value, dict):
        return sum(_texts(item) for item in value.values()) + ("message" in value and "reason" in value)
    return sum(map(_texts, value)) if isinstance(value, list) else 0


def _short(value: Any) -> str:
    text = repr(value)
    return text if len(text) < 400 else f"{text[:400]}…"

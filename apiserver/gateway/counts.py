"""Count the requests of the gateway by the part that answered."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator

from apiserver.filters.metrics import Recorder
from apiserver.gateway.target import Part
from apiserver.handlers.request.call import RequestInfo


class Counts:
    """The numbers of requests."""

    def __init__(self) -> None:
        self._requests: Counter[tuple[str, int]] = Counter()

    def recorder(self, part: Part, also: Recorder | None = None) -> Recorder:
        """Return a Recorder of a part's requests, which also records them with `also`."""
        return _Recorder(self._requests, part.value, also)

    def values(self) -> Iterator[tuple[dict[str, str], float]]:
        """Yield the values of a counter."""
        for (part, code), count in self._requests.items():
            yield {"destination": part, "code": str(code)}, count


class _Recorder:
    def __init__(self, requests: Counter[tuple[str, int]], part: str, also: Recorder | None) -> None:
        self._requests, self._part, self._also = requests, part, also

    def record(self, info: RequestInfo, code: int, seconds: float | None, *, dry_run: bool = False, waited: float = 0.0) -> None:
        """Count a request. See filters.metrics.Recorder."""
        self._requests[self._part, code] += 1
        if self._also is not None:
            self._also.record(info, code, seconds, dry_run=dry_run, waited=waited)

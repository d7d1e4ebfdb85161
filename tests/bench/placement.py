"""Compare ways to place batches on recorded fleets: matched as a whole, best fit one by one, and a
random choice among the hosts that fit, as the HostClaims of the Baremetal Operator have it.

`python -m tests.bench.placement` prints the table of docs/benchmarks.md. It takes seconds, and is
the same each time.
"""

from __future__ import annotations

import math
import random
from dataclasses import dataclass
from typing import TYPE_CHECKING

from apiserver.apis.quantity import GI
from controllers.scheduler.fit import Candidate, Requirements, unfit_reason
from controllers.scheduler.index import HostIndex
from controllers.scheduler.matching import plan

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

Batch = dict[str, Requirements]

GPU = "nvidia.com/gpu"
CASES, SPARE = 600, 4
"""The nearly full states of each fleet that are tried, and the most hosts beyond those asked
for."""


@dataclass(frozen=True)
class Kind:
    """Equal hosts of a fleet."""

    count: int
    cpus: int
    ram: int
    gpus: int = 0
    zone: str = "a"


@dataclass(frozen=True)
class Ask:
    """Equal members of a batch."""

    count: int
    cpus: int
    ram: int
    gpus: int = 0
    zone: str = ""


FLEETS: dict[str, tuple[Kind, ...]] = {
    "lab: three generations": (Kind(12, 16, 64), Kind(10, 32, 128, zone="b"), Kind(6, 64, 256), Kind(4, 64, 512, zone="b")),
    "GPU farm": (Kind(16, 48, 256), Kind(8, 48, 256, gpus=2), Kind(6, 64, 512, gpus=4, zone="b"), Kind(4, 128, 1024, gpus=8, zone="b")),
    "telco edge: small sites": tuple(Kind(3, cpus, ram, zone=zone) for zone in "abcdef" for cpus, ram in ((16, 64), (32, 192))),
    "storage and compute": (Kind(20, 32, 192), Kind(12, 32, 384, zone="b"), Kind(8, 24, 96), Kind(4, 96, 768)),
}
"""Fleets by name, with the mixtures of hardware that such sites have."""
BATCHES: tuple[tuple[Ask, ...], ...] = (
    (Ask(3, 16, 64),),
    (Ask(3, 16, 64), Ask(2, 32, 128)),
    (Ask(1, 16, 32, zone="a"), Ask(2, 16, 32)),
    (Ask(2, 24, 96, zone="b"), Ask(2, 16, 64)),
    (Ask(1, 32, 192), Ask(3, 16, 64)),
    (Ask(2, 32, 128, gpus=2), Ask(2, 32, 128)),
    (Ask(1, 48, 256, gpus=4), Ask(3, 16, 64)),
    (Ask(1, 64, 256), Ask(1, 32, 128, zone="b"), Ask(2, 16, 64)),
)
"""The clusters that tenants ask for."""


def hosts_of(fleet: Sequence[Kind]) -> list[Candidate]:
    """Return the fleet's hosts."""
    return [
        Candidate(
            f"{place:02}-{number:02}",
            {"zone": kind.zone, GPU: str(kind.gpus)},
            cpus=kind.cpus,
            ram=kind.ram * GI,
            extras=math.log2(1 + kind.gpus),
        )
        for place, kind in enumerate(fleet)
        for number in range(kind.count)
    ]


def batch_of(asks: Sequence[Ask]) -> Batch:
    """Return the requirements of a batch's members."""
    wants = [
        Requirements(
            "own",
            f"{place}-{number}",
            {"matchLabels": {"zone": ask.zone}} if ask.zone else None,
            cpus=ask.cpus,
            ram=float(ask.ram * GI),
            resources=((GPU, float(ask.gpus), str(ask.gpus)),) if ask.gpus else (),
        )
        for place, ask in enumerate(asks)
        for number in range(ask.count)
    ]
    return {want.seed: want for want in wants}


def matched(hosts: Sequence[Candidate], batch: Batch, _: random.Random) -> dict[str, str]:
    """Place the batch as a whole."""
    return plan(hosts, batch).hosts


def best_fit(hosts: Sequence[Candidate], batch: Batch, dice: random.Random) -> dict[str, str]:
    """Place one after the other, each on the smallest host that fits, in the order of arrival."""
    index, chosen = HostIndex(), dict[str, str]()
    for host in hosts:
        index.add(host)
    for key in dice.sample(list(batch), len(batch)):
        if (found := index.best(batch[key])) is not None:
            chosen[key] = found.name
            index.remove(found.name)
    return chosen


def at_random(hosts: Sequence[Candidate], batch: Batch, dice: random.Random) -> dict[str, str]:
    """Place one after the other, each on any host that fits."""
    free, chosen = {host.name: host for host in hosts}, dict[str, str]()
    for key in dice.sample(list(batch), len(batch)):
        fitting = [name for name, host in free.items() if unfit_reason(host, batch[key]) is None]
        if fitting:
            chosen[key] = dice.choice(fitting)
            del free[chosen[key]]
    return chosen


WAYS = {"matched as a whole": matched, "best fit, one by one": best_fit, "random": at_random}


@dataclass
class Outcome:
    """What a way has made of the cases of a fleet."""

    placed: int = 0
    given: int = 0
    asked: int = 0
    gpus: int = 0

    @property
    def waste(self) -> float:
        """Return the part of the assigned hosts' CPUs that their Workloads did not ask for."""
        return 1 - self.asked / self.given if self.given else 0.0

    def count(self, hosts: Sequence[Candidate], batch: Batch, chosen: dict[str, str]) -> None:
        """Add the hosts of a batch. Only batches that every way has placed are counted."""
        names = {host.name: host for host in hosts}
        for key, name in chosen.items():
            self.given += names[name].cpus
            self.asked += batch[key].cpus
            self.gpus += 0 if batch[key].resources else int(names[name].labels[GPU])


def cases(fleet: Sequence[Kind]) -> Iterator[tuple[list[Candidate], Batch]]:
    """Yield free hosts of a nearly full fleet, and a batch that can be placed on them."""
    dice, hosts = random.Random(1), hosts_of(fleet)
    for _ in range(CASES):
        batch = batch_of(dice.choice(BATCHES))
        free = dice.sample(hosts, len(batch) + dice.randint(0, SPARE))
        if len(plan(free, batch).hosts) == len(batch):
            yield free, batch


def compare(fleet: Sequence[Kind]) -> tuple[int, dict[str, Outcome]]:
    """Return the number of batches that can be placed, and what each way makes of them."""
    outcomes, dice, count = {label: Outcome() for label in WAYS}, random.Random(2), 0
    for free, batch in cases(fleet):
        count += 1
        found = {label: way(free, batch, dice) for label, way in WAYS.items()}
        everywhere = all(len(chosen) == len(batch) for chosen in found.values())
        for label, chosen in found.items():
            outcomes[label].placed += len(chosen) == len(batch)
            if everywhere:
                outcomes[label].count(free, batch, chosen)
    return count, outcomes


def table() -> list[str]:
    """Return the rows of the documentation."""
    rows = ["| fleet | way | batches placed, of those that fit | CPUs wasted | GPUs wasted |", "|---|---|---|---|---|"]
    for name, fleet in FLEETS.items():
        count, outcomes = compare(fleet)
        rows += [f"| {name} | {way} | {one.placed} of {count} | {one.waste:.0%} | {one.gpus} |" for way, one in outcomes.items()]
    return rows


if __name__ == "__main__":
    print("\n".join(table()))

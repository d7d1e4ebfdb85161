"""Cut a link for a given time: test what can be read and written meanwhile, and what happens
afterwards.

The link drops everything silently, as a network does: connections stay, and nothing is delivered.
"""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from hack.demos.story import Link, Story
from tests.integration.objects import workload
from tests.integration.running import ADMIN, OWNER, TARGET, Running, eventually

BMH, WORKLOADS = "baremetalhosts.metal3.io", "workloads.workload.metal3.io"
NEW = "meanwhile"
LOOKS = 60
"""The number of times that everything is checked while the link is cut."""

Object = dict[str, Any]


@dataclass
class Outage:
    """One outage. `host`: the view that has a machine. `connected`: the target's condition about
    its source."""

    cluster: Running
    story: Story
    link: Link
    namespace: str
    host: str
    connected: Callable[[], Object]

    def last(self, seconds: float) -> None:
        """Cut the link, wait, and restore it. Raises AssertionError if a check fails."""
        story, begin = self.story, time.monotonic()
        story.step(f"The link drops everything, for {seconds:.0f} seconds")
        eventually(lambda: self.connected()["status"] == "True")
        self.link.drop()
        eventually(lambda: self.connected()["status"] == "False", 180)
        said = self.connected()
        story.print_line(f"after {time.monotonic() - begin:.0f} s: {said['reason']}: {said['message']}")
        stale = said["message"].partition("is of ")[2]
        assert stale, "it says since when"
        self._power(on=False)
        story.checked("a write is accepted at the beginning: the machine is to be off")
        before = self._real()
        self._until(begin + seconds / 2, stale)
        self._power(on=True)
        self.cluster.kubectl(TARGET, "create", "-n", self.namespace, "-f", "-", stdin=workload(NEW))
        story.checked("in the middle: the machine is to be on after all, and a new Workload is created")
        self._until(begin + seconds, stale)
        self._power(on=False)
        story.checked("shortly before the end: the machine is to be off")
        eventually(self._is_reported)
        story.checked("both Workloads say that the source does not answer, and that what is asked for is kept")
        assert self._real() == before, "nothing has reached the machines meanwhile"
        story.checked("at the end nothing has changed at the real hosts")
        tried = self.link.tried
        self._mended()
        story.print_line(f"{tried} connections were tried in {seconds:.0f} s, one in {seconds / max(tried, 1):.0f} s")

    def _mended(self) -> None:
        """Check that all the latest requests are carried out, once."""
        story, cluster = self.story, self.cluster
        story.step("The link is back")
        mended = time.monotonic()
        self.link.mend()
        eventually(lambda: self.connected()["status"] == "True", 120)
        story.print_line(f"connected after {time.monotonic() - mended:.1f} s")
        eventually(lambda: self._workload(NEW)["status"]["phase"] == "Running", 120)
        story.print_line(f"the Workload that was made meanwhile runs after {time.monotonic() - mended:.1f} s")
        eventually(lambda: not cluster.get(OWNER, BMH, self.host, "-n", "metal3")["status"]["poweredOn"])
        installed = [real["metadata"]["name"] for real in cluster.items(OWNER, BMH, "-n", "metal3") if "image" in real["spec"]]
        assert len(installed) == 2, f"two hosts run something: {installed}"
        eventually(lambda: all(self._synchronized(item) for item in cluster.items(TARGET, WORKLOADS, "-n", self.namespace)))
        story.checked("the last requests are carried out, and nothing was done twice")
        self._power(on=True)
        eventually(lambda: self._workload(self.host)["status"]["phase"] == "Running")
        cluster.kubectl(TARGET, "delete", WORKLOADS, NEW, "-n", self.namespace, "--timeout=120s")
        eventually(lambda: len(cluster.items(ADMIN, WORKLOADS, "-n", self.namespace)) == 1)

    def _until(self, end: float, stale: str) -> None:
        """Check everything at intervals until this moment."""
        pause = max((end - time.monotonic()) / LOOKS, 1.0)
        worst = 0.0
        while time.monotonic() < end:
            began = time.monotonic()
            self.cluster.get(TARGET, BMH, self.host, "-n", self.namespace)
            worst = max(worst, time.monotonic() - began)
            assert stale in self.connected()["message"], f"what is known is of {stale}: {self.connected()}"
            time.sleep(max(0.0, min(pause, end - time.monotonic())))
        self.story.checked(f"reads answer all the time (with kubectl's start {worst:.1f} s at most), and still of {stale}")

    def _is_reported(self) -> bool:
        """Return whether the waiting Workloads report the outage."""
        reasons = {}
        for item in self.cluster.items(TARGET, WORKLOADS, "-n", self.namespace):
            conditions = {condition["type"]: condition for condition in item["status"]["conditions"]}
            reasons[item["metadata"]["name"]] = conditions["Synchronized"]["reason"]
        assert set(reasons.values()) == {"SourceUnavailable"}, reasons
        return True

    def _synchronized(self, item: Object) -> bool:
        return any(each["type"] == "Synchronized" and each["status"] == "True" for each in item["status"]["conditions"])

    def _workload(self, name: str) -> Object:
        return self.cluster.get(TARGET, WORKLOADS, name, "-n", self.namespace)

    def _power(self, *, on: bool) -> None:
        patch = json.dumps({"spec": {"online": on}})
        self.cluster.kubectl(TARGET, "patch", BMH, self.host, "-n", self.namespace, "--type=merge", "-p", patch)

    def _real(self) -> dict[str, Object]:
        """Return the specs of the real hosts."""
        return {item["metadata"]["name"]: item["spec"] for item in self.cluster.items(OWNER, BMH, "-n", "metal3")}

"""Run clients that write until the server is gone, and know what must exist after its return.

Each client owns its objects, so at most one write with unknown outcome is open for each object."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from apiserver.apis.host import host_name
from tests.faults.process import NAMESPACE, WORKLOAD_API, WORKLOADS

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.faults.process import Server

NOTE = "example.com/note"
PADDING = "x" * 500
IMAGE = {"url": "http://images.example.com/os.qcow2", "checksum": "0" * 64, "checksumType": "sha256"}


def revision_of(obj: dict[str, Any]) -> int:
    """Return the resourceVersion as a number."""
    return int(obj["metadata"]["resourceVersion"])


def noted(number: int) -> str:
    """Return the number as a checksum."""
    return f"{number:064}"


def note_of(obj: dict[str, Any]) -> int:
    """Return the number that the writer put into both ends of the object."""
    number = int(obj["metadata"]["annotations"][NOTE])
    assert obj["spec"]["image"]["checksum"] == noted(number), f"{obj['metadata']['name']} is torn"
    return number


def workload(name: str, note: int, revision: str = "") -> dict[str, Any]:
    meta = {"name": name, "annotations": {NOTE: f"{note}", "example.com/padding": PADDING}}
    if revision:
        meta["resourceVersion"] = revision
    spec = {"image": {**IMAGE, "checksum": noted(note)}}
    return {"apiVersion": "workload.metal3.io/v1alpha1", "kind": "Workload", "metadata": meta, "spec": spec}


class Editor:
    """Creates, updates and deletes one Workload repeatedly.

    `happened`: the number of every write, None for a deletion, in order."""

    def __init__(self, server: Server, name: str, acknowledged: Callable[[int], None]) -> None:
        self._server, self.name, self._acknowledged = server, name, acknowledged
        self._path = f"{WORKLOADS}/{name}"
        self.happened: list[int | None] = []
        self._revision = ""  # of the object; empty if there is none
        self._wrote = 0
        self._open: list[int | None] = []  # the write whose outcome is unknown

    async def run(self) -> None:
        """Write until there is no answer."""
        while True:
            self._wrote += 1
            await (self._delete() if self._revision and self._wrote % 7 == 0 else self._put())

    async def _put(self) -> None:
        self._open = [self._wrote]
        obj = workload(self.name, self._wrote, self._revision)
        answer = await self._server.request("PUT" if self._revision else "POST", self._path if self._revision else WORKLOADS, obj)
        self._done(answer["metadata"]["resourceVersion"])
        self._acknowledged(revision_of(answer))

    async def _delete(self) -> None:
        self._open = [None]
        await self._server.request("DELETE", self._path)
        self._done("")

    def _done(self, revision: str) -> None:
        self.happened += self._open
        self._open, self._revision = [], revision

    async def recover(self) -> None:
        """Check after a restart that the last acknowledged or the open write is stored, and nothing
        else."""
        found = await self._server.request("GET", self._path, absent=True)
        now = note_of(found) if found else None
        before = self.happened[-1] if self.happened else None
        if self._open and now == self._open[0] and now != before:
            self._done(found["metadata"]["resourceVersion"] if found else "")
        assert now == (self.happened[-1] if self.happened else None), (
            f"{self.name}: {now} is there; {before} was acknowledged, {self._open} open"
        )
        assert (found["metadata"]["resourceVersion"] if found else "") == self._revision
        self._open = []


class Claimer:
    """Claims a new host for a new Workload repeatedly: three objects change in one commit.

    `claims`: name → revision. A claim that was open when the server was gone is left as it is: the
    next claim has new names."""

    def __init__(self, server: Server, name: str, acknowledged: Callable[[int], None]) -> None:
        self._server, self.name, self._acknowledged = server, name, acknowledged
        self._number = 0
        self.claims: dict[str, int] = {}

    async def run(self) -> None:
        """Claim until there is no answer."""
        while True:
            self._number += 1
            name = f"{self.name}-{self._number}"
            host = await self._host(name)
            await self._server.request("POST", WORKLOADS, workload(name, self._number))
            await self._server.request("POST", f"{WORKLOADS}/{name}/binding", {"target": {"name": host}})
            bound = await self._server.request("GET", f"{WORKLOADS}/{name}")
            self.claims[name] = revision_of(bound)
            self._acknowledged(revision_of(bound))

    async def _host(self, name: str) -> str:
        identity = f"uid-{name}"
        meta, spec = {"name": host_name(identity)}, {"className": "metal", "source": {"namespace": "metal3", "name": name, "uid": identity}}
        new = {"apiVersion": "workload.metal3.io/v1alpha1", "kind": "Host", "metadata": meta, "spec": spec}
        made = await self._server.request("POST", f"{WORKLOAD_API}/hosts", new)
        path = f"{WORKLOAD_API}/hosts/{made['metadata']['name']}"
        await self._server.request("PUT", f"{path}/status", {**made, "status": {"available": True, "report": _report(name)}})
        return host_name(identity)


def _report(name: str) -> dict[str, Any]:
    provisioning = {"state": "available", "ID": ""}
    status = {"operationalStatus": "OK", "errorMessage": "", "poweredOn": False, "provisioning": provisioning}
    return {"name": name, "labels": {"of": NAMESPACE}, "spec": {"online": False, "automatedCleaningMode": "metadata"}, "status": status}

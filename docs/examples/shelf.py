"""Provide the machines of a lab's shelf, as an example of a provider. See docs/providers.md.

The source is a folder. The owner puts a file NAME.machine there for each machine, and a robot reads NAME.claim and runs what it says.
"""

from __future__ import annotations

import asyncio
import json
import os
from collections.abc import Iterable
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import Any, Self

from pydantic import ConfigDict, Field

from apiserver.apis.base import Model
from controllers.providers.base import (
    Applied,
    ApplyRequest,
    BadClass,
    Consumer,
    Outcome,
    Provider,
    ProviderContext,
    ProviderError,
    ProviderHost,
    Released,
    Source,
)
from controllers.providers.firstboot import first_boot


class Parameters(Model):
    """The `parameters` of a WorkloadClass with provisioner example.com/shelf."""

    model_config = ConfigDict(extra="forbid")

    folder: str = Field(min_length=1, description="The folder with the machines' files.")
    poll_seconds: float = Field(default=5.0, gt=0, description="Seconds between two reads of the folder.")


class ShelfProvider(Provider):
    """Provides machines that are files. Their claims are files beside them."""

    parameters_model = Parameters

    def __init__(self, context: ProviderContext, parameters: Parameters) -> None:
        self._context, self._folder, self._poll = context, Path(parameters.folder), parameters.poll_seconds
        self._hosts: dict[str, ProviderHost] = {}
        self._problem: ProviderError | None = ProviderError("Connecting", "reading the shelf for the first time")
        self._synced = False

    @classmethod
    async def create(cls, context: ProviderContext) -> Self:
        assert isinstance(context.parameters, Parameters)
        if not context.parameters.folder.startswith("/"):
            raise BadClass("BadFolder", "parameters.folder has to be an absolute path: correct it")
        return cls(context, context.parameters)

    async def close(self) -> None:
        """Do nothing, because nothing is held open."""

    # What is there

    async def run(self) -> None:
        while True:
            self._read_folder()
            await asyncio.sleep(self._poll)

    def _read_folder(self) -> None:
        try:
            seen = {host.source.uid: host for host in map(self._report, self._machines())}
        except OSError as error:
            self._set_problem(ProviderError("NoShelf", f"the folder cannot be read; it is tried again: check parameters.folder ({error})"))
            return  # the last known state stays
        before, self._hosts, self._synced = self._hosts, seen, True
        self._set_problem(None)
        for uid in before.keys() | seen.keys():
            if before.get(uid) != seen.get(uid):
                self._context.on_change(uid)

    def _set_problem(self, problem: ProviderError | None) -> None:
        changed = (problem and problem.reason) != (self._problem and self._problem.reason)
        self._problem = problem
        if changed:
            self._context.on_health()

    def _machines(self) -> list[Any]:
        return [json.loads(path.read_text()) | {"name": path.stem} for path in sorted(self._folder.iterdir()) if path.suffix == ".machine"]

    def _report(self, machine: Any) -> ProviderHost:
        """Return the report. Its fields are listed one by one, so the owner's notes, for example, are never shown."""
        claim = self._claim(machine["name"])
        source = Source("", machine["name"], machine["serial"])
        hardware = {"cpu": {"arch": "x86_64", "count": machine["cpus"]}, "ramMebibytes": machine["ram"]}
        report = {"name": source.name, "spec": {"online": False}, "status": {**_status(claim), "hardware": hardware}}
        if claim is None:
            return ProviderHost(source, report, available=True)
        consumer = Consumer("Workload", claim.get("namespace", ""), claim.get("workload", ""), claim["uid"])
        return ProviderHost(source, report, available=False, reason="Claimed", message=f"see {source.name}.claim", consumer=consumer)

    def _claim(self, name: str) -> Any:
        try:
            return json.loads((self._folder / f"{name}.claim").read_text())
        except FileNotFoundError:
            return None

    def hosts(self) -> Iterable[ProviderHost]:
        return list(self._hosts.values())

    def host(self, uid: str) -> ProviderHost | None:
        return self._hosts.get(uid)

    def problem(self) -> ProviderError | None:
        return self._problem

    @property
    def synced(self) -> bool:
        return self._synced

    # What a Workload wants

    async def apply(self, request: ApplyRequest) -> Applied:
        name, metadata = request.source.name, request.workload["metadata"]
        if all(machine["serial"] != request.source.uid for machine in self._machines()):
            return _refused("HostGone", "the machine was taken off the shelf: delete this Workload and create a new one")
        mine = {"uid": metadata["uid"], "namespace": metadata["namespace"], "workload": metadata["name"]}
        claim = self._claim(name) or self._take(name, mine)
        if claim["uid"] != metadata["uid"]:
            taken = _refused("HostTaken", "another consumer has the machine: delete this Workload and create it again")
            return replace(taken, rejected_cleanly=True)
        synchronized = request.blocked or Outcome(True, "Synchronized", "all settings were passed to the machine")
        if request.blocked is None:
            claim = {**mine, **self._wanted(request)}
            self._write(name, claim)
        self._read_folder()
        return Applied(_BOUND, synchronized, observed=_status(claim), empty=not claim.get("image"))

    def _take(self, name: str, mine: Any) -> Any:
        """Claim the machine in one atomic step: a complete file gets a name that no file has yet."""
        draft = self._draft(name, mine)
        with suppress(FileExistsError):
            os.link(draft, self._folder / f"{name}.claim")
        draft.unlink()
        return self._claim(name)

    def _wanted(self, request: ApplyRequest) -> Any:
        spec = request.workload["spec"]
        if not spec.get("image"):
            return {}
        data = {field: content.decode() for field, content in first_boot(request).items()}
        return {"image": spec["image"], "online": spec.get("online", True), "data": data}

    def _write(self, name: str, claim: Any) -> None:
        """Replace our own claim atomically, so that the robot never reads half of it."""
        self._draft(name, claim).replace(self._folder / f"{name}.claim")

    def _draft(self, name: str, claim: Any) -> Path:
        draft = self._folder / f"{name}.{claim['uid']}.draft"
        draft.write_text(json.dumps(claim))
        return draft

    async def release(self, request: ApplyRequest) -> Released:
        claim = self._claim(request.source.name)
        if claim is not None and claim["uid"] == request.workload_uid:
            (self._folder / f"{request.source.name}.claim").unlink()
        # A process that was killed while it claimed the machine has left its draft.
        (self._folder / f"{request.source.name}.{request.workload_uid}.draft").unlink(missing_ok=True)
        self._read_folder()
        return Released(True)


def _status(claim: Any) -> dict[str, Any]:
    """Return the status of a BareMetalHost, which tenants and Cluster API read."""
    image = (claim or {}).get("image")
    provisioning = {"state": "provisioned" if image else "available", "ID": "", **({"image": image} if image else {})}
    online = bool(image and claim["online"])
    return {"operationalStatus": "OK", "errorMessage": "", "errorCount": 0, "poweredOn": online, "provisioning": provisioning}


def _refused(reason: str, message: str) -> Applied:
    return Applied(Outcome(False, reason, message), Outcome(False, reason, "nothing is sent to a machine that is not this Workload's"))


_BOUND = Outcome(True, "Bound", "the machine is this Workload's")

"""Compare field management with the real kube-apiserver: the same random writes run there and
through our functions, step by step.

Compared after every write are the object, its managedFields with their times, and the conflicts
that an apply returns.
"""

from __future__ import annotations

import asyncio
import copy
import json
import ssl
import subprocess
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from random import Random
from typing import TYPE_CHECKING, Any

import aiohttp
import pytest

from apiserver.registry.fieldmanager import ApplyConflict, FieldsError
from hack.realcluster.client import wait_for
from hack.realcluster.controlplane import Cluster, start_cluster, start_etcd
from hack.realcluster.processes import Processes
from hack.realcluster.settings import Folder, Settings
from tests.integration import fields_model as model
from tests.integration.fields_crd import API_VERSION, KIND, PLURAL, crd, random_object

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Iterable, Iterator, Sequence

ROOT = Path(__file__).resolve().parents[2]
RICHES = f"/apis/{API_VERSION}/namespaces/default/{PLURAL}"
MANAGERS = ("anna", "ben", "kubectl")
MANY_MANAGERS = (*MANAGERS, *(f"m{number}" for number in range(14)))
LONG_AGO = "2020-01-01T00:00:00Z"
NOTE = "kubectl.kubernetes.io/last-applied-configuration"

Object = dict[str, Any]


@pytest.fixture(scope="module")
def control_plane(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cluster]:
    """Start a kube-apiserver with an etcd, and stop both afterwards."""
    tools = Path(subprocess.run([ROOT / "hack/tools/build"], check=True, stdout=subprocess.PIPE, text=True).stdout.strip())
    folder = Folder(tmp_path_factory.mktemp("fields") / "cluster")
    folder.create()
    processes = Processes(folder.root)
    try:
        etcd = start_etcd(tools / "etcd", Settings(fsync=False), folder, processes)
        yield asyncio.run(start_cluster("oracle", tools / "kube-apiserver", etcd, folder, processes, aggregates=False))
    finally:
        asyncio.run(processes.stop_all())


@dataclass(frozen=True)
class Oracle:
    """Send requests to the real kube-apiserver, which serves the rich kind."""

    server: str
    session: aiohttp.ClientSession

    async def request(self, method: str, path: str, body: Object, kind: str = "application/json") -> tuple[int, Object]:
        """Send a request, and return (status code, object or Status)."""
        async with self.session.request(method, self.server + path, data=json.dumps(body), headers={"Content-Type": kind}) as answer:
            text = await answer.text()
            return answer.status, json.loads(text) if answer.content_type == "application/json" else {"message": text}


@asynccontextmanager
async def serving(cluster: Cluster) -> AsyncIterator[Oracle]:
    """Yield the oracle once it serves the kind."""
    context = ssl.create_default_context(cadata=cluster.authority.certificate.decode("ascii"))
    context.load_cert_chain(cluster.admin.certificate, cluster.admin.key)
    async with cluster.client() as client, aiohttp.ClientSession(connector=aiohttp.TCPConnector(ssl=context)) as session:
        definition = crd()
        await client.apply(f"/apis/apiextensions.k8s.io/v1/customresourcedefinitions/{definition['metadata']['name']}", definition)

        oracle = Oracle(cluster.server, session)

        async def served() -> str | None:
            code, answer = await oracle.request("PATCH", f"{RICHES}/probe?fieldManager=a", _named("probe"), "application/apply-patch+yaml")
            return None if code < 300 else str(answer)

        await wait_for("the rich kind", served, seconds=30, processes=[cluster.process])
        yield oracle


def _named(name: str) -> Object:
    return {"apiVersion": API_VERSION, "kind": KIND, "metadata": {"name": name}}


@dataclass(frozen=True)
class Write:
    """Describe one request of a sequence."""

    verb: str
    manager: str
    subresource: str
    body: Object
    force: bool = False

    async def send(self, oracle: Oracle, name: str) -> tuple[int, Object]:
        """Do the write on kube-apiserver."""
        below = f"{RICHES}/{name}" + (f"/{self.subresource}" if self.subresource else "")
        query = f"?fieldManager={self.manager}"
        if self.verb == "create":
            return await oracle.request("POST", RICHES + query, self.body)
        if self.verb == "put":
            return await oracle.request("PUT", below + query, self.body)
        if self.verb == "merge":
            return await oracle.request("PATCH", below + query, self.body, "application/merge-patch+json")
        force = "&force=true" if self.force else ""
        return await oracle.request("PATCH", below + query + force, self.body, "application/apply-patch+yaml")

    def ours(self, live: Object | None, now: str) -> Object:
        """Do the write with our functions."""
        if self.verb == "apply":
            return model.applied(live, self.body, self.manager, now, self.subresource, force=self.force)
        if live is None:
            return model.created(self.body, self.manager, now)
        change = model.updated if self.verb == "put" else model.merge_patched
        return change(live, self.body, self.manager, now, self.subresource)


def random_write(random: Random, live: Object | None, name: str, managers: Sequence[str]) -> Write:
    """Return a random next write by one of `managers`. Its body is sometimes what is stored
    already, in parts or slightly changed."""
    subresource = "status" if live is not None and random.random() < 0.25 else ""
    body = random_object(random, status=subresource == "status")
    verb = random.choice(("create", "apply") if live is None else ("put", "merge", *["apply"] * (1 if managers is MANY_MANAGERS else 3)))
    if live is not None and random.random() < 0.4:
        body = _parts_of(random, live, body)
    body["metadata"]["name"] = name
    manager = random.choice(managers)
    if verb == "merge":
        return Write(verb, manager, subresource, {part: body[part] for part in ("metadata", "spec", "status") if part in body})
    if verb == "apply":
        if random.random() < 0.05:
            _spoil(random, body)
        return Write(verb, manager, subresource, body, force=random.random() < 0.5)
    if manager == "kubectl" and verb != "apply":
        # Client-side apply writes this annotation.
        body["metadata"].setdefault("annotations", {})[NOTE] = json.dumps(_without_note(body))
    if live is not None:
        body["metadata"] = {**body["metadata"], "resourceVersion": live["metadata"]["resourceVersion"]}
        _send_managed_fields(random, live, body)
    return Write(verb, manager, subresource, body)


def _spoil(random: Random, body: Object) -> None:
    """Change the body so that it does not fit the schema."""
    port = {"port": 1, "protocol": "TCP"}
    wrong: tuple[Object, ...] = (
        {"unheard": 1},
        {"image": 1},
        {"replicas": "1"},
        {"nested": []},
        {"args": {}},
        {"tags": ["a", "a"]},
        {"ports": [port, port]},
    )
    body["spec"] = {**(body.get("spec") or {}), **random.choice(wrong), **random.choice(wrong)}


def _send_managed_fields(random: Random, live: Object, body: Object) -> None:
    """Treat managedFields as clients do: mostly send none or those that were read, rarely drop or
    change them."""
    stored = live["metadata"].get("managedFields", [])
    choice = random.random()
    if choice < 0.4:
        body["metadata"]["managedFields"] = stored
    elif choice < 0.6:
        body["metadata"]["managedFields"] = [{**entry, "time": LONG_AGO} for entry in stored]
    elif choice < 0.63:
        body["metadata"]["managedFields"] = random.choice(([], [{}]))
    elif choice < 0.67:
        entry = {"manager": "sent", "operation": "Apply", "apiVersion": API_VERSION, "fieldsType": "FieldsV1"}
        body["metadata"]["managedFields"] = [*stored, {**entry, "fieldsV1": {"f:spec": {"f:image": {}, "f:tags": {'v:"a"': {}}}}}]


def _without_note(body: Object) -> Object:
    found = copy.deepcopy(body)
    found["metadata"].get("annotations", {}).pop(NOTE, None)
    return found


def _parts_of(random: Random, live: Object, other: Object) -> Object:
    """Return an object with parts of `live`, and some of `other`."""
    found = _named("")
    for part in ("spec", "status"):
        mine, others = live.get(part) or {}, other.get(part) or {}
        chosen = {name: value for name, value in mine.items() if random.random() < 0.6}
        chosen |= {name: value for name, value in others.items() if random.random() < 0.2}
        if part in other and chosen:
            found[part] = copy.deepcopy(chosen)
    return found


def now() -> str:
    """Return the time in the form of metadata."""
    return datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


async def step(oracle: Oracle, write: Write, live: Object | None, name: str) -> tuple[str, Object | None]:
    """Do one write on both sides and compare. Return (outcome, stored object)."""
    before = now()
    code, answer = await write.send(oracle, name)
    after = now()
    reported = f"{write}\nlive: {json.dumps(live)}\nkube-apiserver: {code} {json.dumps(answer)}"
    mine, refused = _ours(write, live, dict.fromkeys((before, after)))
    if refused is not None:
        _check_refusal(refused, code, answer, f"{refused}\n{reported}")
        return type(refused).__name__, live
    if code == 422:
        # Field management does not see what the schema refuses.
        return "invalid", live
    assert code in (200, 201), reported
    reported += f"\nours: {json.dumps(mine[0])}"
    found = _with_nulls(mine[0], answer) if write.verb == "apply" else mine[0]
    assert model.shown(found) == model.shown(answer), reported
    assert answer["metadata"].get("managedFields") in [obj["metadata"].get("managedFields") for obj in mine], reported
    return "written", answer


def _with_nulls(mine: Any, theirs: Any) -> Any:
    """Put kube-apiserver's nulls into our object, for objects and lists that an apply emptied.
    Where the schema allows null, kube-apiserver leaves that or drops the field. Elsewhere it
    refuses the whole object: see "invalid"."""
    if not isinstance(mine, dict) or not isinstance(theirs, dict):
        return mine
    found = {
        name: None if part in ({}, []) and theirs.get(name) is None else _with_nulls(part, theirs.get(name)) for name, part in mine.items()
    }
    return {name: part for name, part in found.items() if part is not None or name in theirs}


def _ours(write: Write, live: Object | None, times: Iterable[str]) -> tuple[list[Object], FieldsError | None]:
    """Return (what our functions store, for each of the times; the error with which they
    refuse)."""
    try:
        return [write.ours(copy.deepcopy(live), time) for time in times], None
    except FieldsError as error:
        return [], error


def _check_refusal(refused: FieldsError, code: int, answer: Object, reported: str) -> None:
    if isinstance(refused, ApplyConflict):
        assert code == 409, reported
        assert sorted(refused.causes(), key=str) == sorted(answer["details"]["causes"], key=str), reported
        assert sorted(str(refused).splitlines()) == sorted(answer["message"].splitlines()), reported
    else:
        # kube-apiserver answers 500 to this error of the client.
        assert (code, str(refused).partition(": ")[0]) == (500, answer["message"].partition(": ")[0]), reported


async def sequence(oracle: Oracle, seed: int, length: int) -> list[str]:
    """Do random writes on one object from its creation on, and return what came of each."""
    random, name = Random(seed), f"rich-{seed}"
    managers = MANAGERS if seed % 3 else MANY_MANAGERS
    live: Object | None = None
    came: list[str] = []
    for _ in range(length):
        write = random_write(random, live, name, managers)
        outcome, live = await step(oracle, write, live, name)
        came.append(f"{write.verb} {outcome}")
    return came


@pytest.mark.parametrize("seeds", [range(start, start + 40) for start in (0, 40, 80)], ids=lambda seeds: f"seeds-{seeds.start}")
async def test_random_writes_come_out_as_on_kube_apiserver(control_plane: Cluster, seeds: range) -> None:
    async with serving(control_plane) as oracle:
        came = [outcome for seed in seeds for outcome in await sequence(oracle, seed, 25)]
    for wanted in ("create written", "put written", "merge written", "apply written", "apply ApplyConflict", "apply SchemaMismatch"):
        assert came.count(wanted) > 10, f"the sequences hardly test {wanted}"


async def test_the_oldest_of_many_updaters_are_put_together(control_plane: Cluster) -> None:
    async with serving(control_plane) as oracle:
        name = "many"
        _, live = await step(oracle, Write("create", "anna", "", {**_named(name), "spec": {"image": "a"}}), None, name)
        assert live is not None
        for number in range(14):
            body = {"spec": {"selector": {f"s{number}": "x"}}, "metadata": {"labels": {f"l{number}": "x"}}}
            _, live = await step(oracle, Write("merge", f"manager-{number * 5 % 14}", "", body), live, name)
            assert live is not None
            if number % 3 == 0:
                entries = [{**entry, "time": LONG_AGO} for entry in live["metadata"]["managedFields"]]
                _, live = await step(oracle, Write("merge", "anna", "", {"metadata": {"managedFields": entries}}), live, name)
                assert live is not None
        managers = [entry["manager"] for entry in live["metadata"]["managedFields"]]
        assert len(managers) == 10, managers
        assert "ancient-changes" in managers

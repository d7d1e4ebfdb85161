"""Whatever is remembered is bounded by bytes: every cache, and every collection that outlives a call, is on a list that was reviewed."""

from __future__ import annotations

import ast
import functools
import gc
import importlib
import pkgutil
from pathlib import Path

import apiserver
import controllers
import storage
from apiserver.apis.bounded import REMEMBERING

ROOT = Path(__file__).resolve().parents[2]
PACKAGES = (apiserver, controllers, storage)
COLLECTIONS = {"dict", "set", "list", "deque", "OrderedDict", "defaultdict", "Counter"}
WEAK = {"WeakValueDictionary", "WeakKeyDictionary", "WeakSet"}

CACHES = {
    "apiserver.registry.generic.registry._stamp": "one number",
    "apiserver.admission.conditions._environment": "one",
    "apiserver.registry.generic.schema.model_schema": "schemas of our own models, and of parts of them: 256",
    "apiserver.registry.generic.validation._part": "parts of our own models: 256",
}
"""functools' caches. Those of texts that somebody else chooses are made by `remembering`."""

REVIEWED = {
    "is fixed when the process starts": """
        apiserver/handlers/discovery/discovery.py _groups
        apiserver/handlers/dispatch.py _routes
        apiserver/handlers/discovery/openapi.py _by_path
        apiserver/server/apiservice.py _said
        apiserver/server/background.py _tasks
        apiserver/server/metrics.py _durations _histograms _others _requests
        apiserver/client/informer.py _handlers _health_handlers
        controllers/runtime/manager.py _runnables informers
        controllers/workloadclass/providers.py _change_handlers _health_handlers
        storage/cache.py _collections
        storage/etcd/cluster.py _gateways
        storage/ring.py _rings
        """,
    "lasts as long as one call": """
        apiserver/apis/status.py details
        apiserver/handlers/request/call.py annotations details warnings
        apiserver/handlers/response/rows.py _known
        apiserver/handlers/request/yamlloader.py _open duplicates merged seen
        apiserver/registry/fieldmanager/compare.py added modified removed
        apiserver/registry/fieldmanager/errors.py conflicts errors
        storage/testing/model.py events
        """,
    "has an entry for each request, watch or connection that is under way": """
        apiserver/admission/resourcequota.py _admitted _groups _refunds _waiting charged
        apiserver/handlers/watchers/broadcaster.py _followers
        apiserver/handlers/watchers/frames.py _batches
        apiserver/handlers/request/timebudget.py _waiting
        apiserver/handlers/watchers/registry.py _tasks
        apiserver/authentication/ttlcache.py _asked
        apiserver/filters/flowcontrol.py _watches
        apiserver/flowcontrol/gate.py _pending
        apiserver/registry/claims/confirmation.py _waiting
        apiserver/server/connections.py _timers
        storage/etcd/store.py _watches
        storage/ring.py _waiters
        storage/sqlite/writer.py _waiting
        storage/waiters.py _heap
        """,
    "is bounded by bytes": """
        apiserver/apis/bounded.py _kept
        apiserver/handlers/watchers/frames.py _kept
        apiserver/handlers/response/rows.py _newer _older
        apiserver/audit/log.py _waiting
        storage/etcd/assembler.py _held
        storage/ring.py _entries _revisions _weights
        """,
    "is bounded by a number of small entries": """
        apiserver/admission/caller.py _contexts
        apiserver/admission/namespacelifecycle.py _deleted
        apiserver/authentication/verification.py _verdicts
        apiserver/flowcontrol/fairqueue.py _heap flows waiting
        apiserver/filters/flowcontrol.py rejected
        apiserver/flowcontrol/gate.py _used
        apiserver/flowcontrol/looptime.py seconds
        controllers/scheduler/cache.py _assumed
        controllers/scheduler/index.py _shelves
        controllers/runtime/events.py _pending _series
        controllers/runtime/queue.py _working
        storage/sqlite/retention.py _parts _samples
        """,
    "has at most an entry for each object that is stored, or is there at the source": """
        apiserver/admission/configurations.py _by_name
        controllers/scheduler/controller.py _retelling _said _waking
        controllers/workloadclass/controller.py _known
        controllers/workloadclass/status.py _counts
        controllers/scheduler/cache.py _free _held _known _totals _versions
        controllers/scheduler/index.py _groups _hosts _rows
        controllers/host/controller.py _changed
        controllers/offer/controller.py _took
        controllers/scheduler/pending.py _class _keys
        controllers/providers/cloud/fleet.py _instances holders
        controllers/providers/cloud/making.py _doubts _failed
        controllers/providers/cloud/openstack.py _flavors
        controllers/providers/cloud/provider.py _locks _made _rebooted
        controllers/providers/flavors/attention.py _timers troubles
        controllers/providers/flavors/offers.py _flavors slots
        controllers/providers/flavors/told.py _told
        controllers/providers/kubevirt/provider.py _made
        controllers/runtime/queue.py _dirty _failures _first _later _processing _ready _timers _turns _waiters _waiting
        apiserver/client/indexer.py _objects
        controllers/simulator/controller.py _progress _written
        controllers/workloadclass/providers.py _running
        controllers/workload/controller.py _waits
        storage/contents.py _items
        storage/sortedmap.py _items _keys
        """,
}


def test_caches_of_functions_are_bounded_by_bytes() -> None:
    for package in PACKAGES:
        for module in pkgutil.walk_packages(package.__path__, f"{package.__name__}."):
            if not module.name.startswith("storage.testing") and not module.name.endswith("__main__"):
                importlib.import_module(module.name)
    remembered = {id(cache) for cache in REMEMBERING.values()}
    names = tuple(f"{package.__name__}." for package in PACKAGES)
    found = {
        f"{one.__module__}.{one.__qualname__}"
        for one in gc.get_objects()
        if isinstance(one, functools._lru_cache_wrapper) and one.__module__.startswith(names) and id(one) not in remembered
    }
    assert found == set(CACHES)
    assert len(REMEMBERING) > 8


def test_collections_that_outlive_a_call_are_reviewed() -> None:
    """A new one is added to the list with the reason why it cannot grow for ever; or it is a Bounded."""
    reviewed = {
        f"{line.split()[0]} {name}" for lines in REVIEWED.values() for line in lines.strip().splitlines() for name in line.split()[1:]
    }
    found = {
        f"{path.relative_to(ROOT)} {name}"
        for package in PACKAGES
        for path in (ROOT / package.__name__).rglob("*.py")
        for name in attributes(ast.parse(path.read_text()))
    }
    assert found - reviewed == set(), "not reviewed"
    assert reviewed - found == set(), "reviewed, and there no more"


def test_modules_keep_no_collections() -> None:
    """What begins empty at the top of a module is there to be filled."""
    found = {
        f"{path.relative_to(ROOT)} {ast.unparse(target)}"
        for package in PACKAGES
        for path in (ROOT / package.__name__).rglob("*.py")
        for node in ast.parse(path.read_text()).body
        if isinstance(node, ast.Assign | ast.AnnAssign) and node.value is not None and begins_empty(node.value)
        for target in (node.targets if isinstance(node, ast.Assign) else [node.target])
    }
    assert found == {
        "apiserver/apis/bounded.py REMEMBERING",  # our own functions
        "apiserver/authentication/peer.py _peers",  # weak: of connections
        "apiserver/registry/generic/listtypes.py _KNOWN",  # our own models
    }


def attributes(tree: ast.Module) -> set[str]:
    """The attributes of `self` that begin as empty collections."""
    return {
        target.attr
        for node in ast.walk(tree)
        if isinstance(node, ast.Assign | ast.AnnAssign) and node.value is not None and begins_empty(node.value)
        for target in (node.targets if isinstance(node, ast.Assign) else [node.target])
        if isinstance(target, ast.Attribute) and isinstance(target.value, ast.Name) and target.value.id == "self"
    }


def begins_empty(value: ast.expr) -> bool:
    match value:
        case ast.Dict(keys=[]) | ast.List(elts=[]):
            return True
        case ast.Tuple(elts=elements) if elements:
            return all(begins_empty(element) for element in elements)
        case ast.Call(func=function):
            return ast.unparse(function).partition("[")[0].rpartition(".")[2] in COLLECTIONS | WEAK
        case _:
            return False

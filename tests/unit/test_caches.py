"""Check that everything remembered is bounded by bytes: each cache is made by apis.bounded, or is
on a reviewed list."""

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
from apiserver.apis.bounded import BOUNDED_CACHES

ROOT = Path(__file__).resolve().parents[2]
PACKAGES = (apiserver, controllers, storage)
COLLECTIONS = {"dict", "set", "list", "deque", "OrderedDict", "defaultdict", "Counter"}
WEAK = {"WeakValueDictionary", "WeakKeyDictionary", "WeakSet"}

CACHES = {
    "apiserver.registry.generic.metadata._stamp": "one number",
    "apiserver.registry.generic.schema.model_schema": "schemas of our own models, and of parts of them: 256",
    "apiserver.registry.generic.tracking.schema_of": "schemas of our own models: 256",
    "apiserver.registry.generic.validation._list_schema": "parts of the schemas of our own models: 256",
    "apiserver.registry.generic.validation._part": "parts of our own models: 256",
}
"""The caches of functools. `bounded_lru_cache` makes those of texts that clients choose."""


def test_caches_of_functions_are_bounded_by_bytes() -> None:
    for package in PACKAGES:
        for module in pkgutil.walk_packages(package.__path__, f"{package.__name__}."):
            if not module.name.startswith("storage.testing") and not module.name.endswith("__main__"):
                importlib.import_module(module.name)
    gc.unfreeze()  # otherwise no list has the objects that `serve` froze in an earlier test
    remembered = {id(cache) for cache in BOUNDED_CACHES.values()}
    names = tuple(f"{package.__name__}." for package in PACKAGES)
    found = {
        f"{one.__module__}.{one.__qualname__}"
        for one in gc.get_objects()
        if isinstance(one, functools._lru_cache_wrapper) and one.__module__.startswith(names) and id(one) not in remembered
    }
    assert found == set(CACHES)
    assert len(BOUNDED_CACHES) > 8


def test_modules_keep_no_collections() -> None:
    """Find collections that begin empty at the top of modules, because they are there to be
    filled."""
    found = {
        f"{path.relative_to(ROOT)} {ast.unparse(target)}"
        for package in PACKAGES
        for path in (ROOT / package.__name__).rglob("*.py")
        for node in ast.parse(path.read_text()).body
        if isinstance(node, ast.Assign | ast.AnnAssign) and node.value is not None and begins_empty(node.value)
        for target in (node.targets if isinstance(node, ast.Assign) else [node.target])
    }
    assert found == {
        "apiserver/apis/bounded.py BOUNDED_CACHES",  # our own functions
        "apiserver/cel/registry.py FUNCTIONS",  # our own functions
        "apiserver/authentication/peer.py _peers",  # weak: of connections
        "controllers/runtime/metrics.py _queues",  # weak: of queues
    }


def begins_empty(value: ast.expr) -> bool:
    match value:
        case ast.Dict(keys=[]) | ast.List(elts=[]):
            return True
        case ast.Tuple(elts=elements) if elements:
            return all(begins_empty(element) for element in elements)
        case ast.Call(func=ast.Name("Counter"), args=[_, *_]):
            return False  # a metric of prometheus-client, whose labels are bounded
        case ast.Call(func=function):
            return ast.unparse(function).partition("[")[0].rpartition(".")[2] in COLLECTIONS | WEAK
        case _:
            return False

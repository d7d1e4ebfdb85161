"""Check that tests are in the same folders as their modules, under the same names."""

from __future__ import annotations

from pathlib import Path

ROOT = Path(__file__).parents[2]
UNIT = ROOT / "tests" / "unit"

SCENARIOS = {
    "apiserver/admission/test_registries",
    "apiserver/admission/test_webhooks",
    "apiserver/apis/test_descriptions",
    "apiserver/cli/test_transfers",
    "apiserver/filters/test_identity_headers",
    "apiserver/handlers/test_full",
    "apiserver/handlers/test_writes",
    "apiserver/registry/fieldmanager/test_apply",
    "apiserver/registry/fieldmanager/test_keep_times",
    "apiserver/registry/fieldmanager/test_track_update",
    "apiserver/registry/test_adopting",
    "apiserver/registry/test_binding",
    "apiserver/registry/test_defaulted_class",
    "apiserver/registry/test_full",
    "apiserver/registry/test_held_back",
    "apiserver/registry/test_imagepolicy",
    "apiserver/registry/test_lengths",
    "apiserver/registry/test_placement",
    "apiserver/registry/test_reclaim",
    "apiserver/registry/test_release_finalizer",
    "apiserver/registry/test_stored_objects_valid",
    "apiserver/registry/test_unknown_words",
    "apiserver/registry/test_updatepolicy",
    "apiserver/registry/test_view_writes",
    "apiserver/server/test_identity",
    "apiserver/server/test_policies",
    "apiserver/server/test_protocol",
    "apiserver/server/test_quotas",
    "apiserver/server/test_serving_certificates",
    "apiserver/server/test_uvloop",
    "controllers/cli/test_hostile",
    "controllers/providers/baremetalhost/test_canaries",
    "controllers/providers/machines/cloud/test_provider",
    "controllers/providers/machines/cloud/test_trouble",
    "controllers/providers/machines/kubevirt/test_machines",
    "controllers/providers/machines/kubevirt/test_provider",
    "controllers/providers/machines/kubevirt/test_trouble",
    "controllers/simulator/test_restarts",
    "controllers/test_abandoned",
    "controllers/test_changes",
    "controllers/test_conflicts",
    "controllers/test_held",
    "controllers/test_isolation",
    "controllers/test_leftbehind",
    "controllers/test_refused_report",
    "controllers/test_relayed",
    "controllers/test_relayed_race",
    "controllers/test_restarts",
    "controllers/test_scale",
    "controllers/test_source_trouble",
    "controllers/test_together",
    "hack/test_networkpolicies",
    "storage/sqlite/test_crash",
    "storage/sqlite/test_open",
    "storage/test_cache_store",
    "test_caches",
    "test_ignores",
    "test_layout",
    "test_messages",
}
"""Tests of several modules together, or of all. Name a new test after the module that it tests. If
no module fits, add it here."""


def is_module(path: Path) -> bool:
    return path.with_suffix(".py").is_file() or (path / "__init__.py").is_file()


def test_a_test_has_its_modules_place_and_name() -> None:
    tests = [path.relative_to(UNIT).with_suffix("") for path in UNIT.rglob("test_*.py")]
    assert len(tests) > 200
    modules = {path: ROOT / path.parent / path.name.removeprefix("test_") for path in tests if path.parts[0] != "docs"}
    astray = {path.as_posix() for path, module in modules.items() if not is_module(module)}
    assert astray - SCENARIOS == set(), "name each after its module, or list it in SCENARIOS"

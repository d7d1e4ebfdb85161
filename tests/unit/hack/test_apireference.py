"""Check that docs/api.md is generated from this tree, and that its hand-written parts are
complete."""

from __future__ import annotations

import ast
import re
from pathlib import Path
from typing import TYPE_CHECKING

from apiserver.registry.generic.schema import model_schema
from hack.apireference import CHANGES, KINDS, PAGE, blocks, kind_of, replaced, rows

if TYPE_CHECKING:
    from collections.abc import Iterator

    from apiserver.registry.generic.resource import Resource

ROOT = Path(__file__).parents[3]
DOCS = PAGE.parent
SAID = {"Outcome": 1, "condition": 2, "BadClass": 0, "ProviderError": 0, "Unbindable": 0, "Terms": 0, "QuotaExceeded": 0, "refusal": 0}
"""The functions and classes that are given a reason, and at which position."""


def sources(*packages: str) -> Iterator[Path]:
    return (path for package in packages for path in (ROOT / package).rglob("*.py") if "simulator" not in path.parts)


def rows_of(resource: Resource, part: str) -> list[tuple[str, str, str]]:
    """Return the rows of a part of a kind, with the path from the kind in the first cell."""
    above = f"{resource.kind}.{part}"
    found = rows(above, model_schema(resource.model)["properties"].get(part, {}))
    return [(f"{above}.{name.strip('`')}", kind, text) for name, kind, text in found]


def reasons() -> set[str]:
    """Return the reasons that the controllers write into conditions."""
    found = set()
    for path in sources("controllers"):
        for node in ast.walk(ast.parse(path.read_text())):
            name = node.func.id if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) else ""
            if isinstance(node, ast.Call) and len(node.args) > SAID.get(name, 99):
                value = node.args[SAID[name]]
                found |= {str(value.value)} if isinstance(value, ast.Constant) else set()
    return found


def test_the_page_is_of_this_tree() -> None:
    page = PAGE.read_text()
    assert page == replaced(page, blocks()), "run `make reference` and commit docs/api.md"


def test_every_kind_has_its_place() -> None:
    page = PAGE.read_text()
    assert [name for name in blocks() if page.count(f"<!-- {name}: begin (make reference) -->") != 1] == []


def test_every_reason_is_reported() -> None:
    reported = PAGE.read_text() + (DOCS / "troubles.md").read_text() + (DOCS / "clouds.md").read_text()
    found = reasons()
    assert {"Reserved", "NoHostFits", "BadParameters", "Found", "Kept"} <= found
    assert sorted(reason for reason in found if f"`{reason}`" not in reported) == []


def condition_types() -> set[str]:
    """Return the types of conditions that the controllers write by a literal or a constant."""
    found: set[object] = set()
    for path in sources("controllers"):
        tree = ast.parse(path.read_text())
        constants = {
            one.targets[0].id: one.value.value
            for one in tree.body
            if isinstance(one, ast.Assign) and isinstance(one.targets[0], ast.Name) and isinstance(one.value, ast.Constant)
        }
        for node in ast.walk(tree):
            name = node.func.id if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) else ""
            if isinstance(node, ast.Call) and name == "condition":
                first = node.args[0]
                found |= {constants.get(first.id)} if isinstance(first, ast.Name) else {getattr(first, "value", None)}
            elif isinstance(node, ast.Call) and name == "_conditions":
                found |= {one.arg for one in node.keywords if one.arg and one.arg[0].isupper()}
    return {str(one) for one in found if one is not None}


def test_every_condition_is_reported() -> None:
    found = condition_types()
    assert {"Bound", "Ready", "Connected", "Abandoned", "ConsumerFound"} <= found
    assert sorted(kind for kind in found if f"\n| `{kind}` |" not in PAGE.read_text()) == []


def test_every_name_of_ours_is_reported() -> None:
    text = "\n".join(path.read_text() for path in sources("apiserver", "controllers"))
    ours = set(re.findall(r'= f"\{(?:\w+\.)?(?:GROUP\}/|OURS\})([a-z-]+)"$', text, re.MULTILINE))
    assert {"release", "dirty-for", "moved-from", "relayed", "slot"} <= ours
    assert sorted(name for name in ours if f"`workload.metal3.io/{name}`" not in PAGE.read_text()) == []


def test_documented_immutable_fields_exist() -> None:
    rows = {name for resource in KINDS for part in ("spec", "status") for name, *_ in rows_of(resource, part)}
    assert sorted(set(CHANGES) - rows) == []


def test_a_type_says_its_bounds_and_its_default() -> None:
    field = {"type": "array", "items": {"type": "string", "maxLength": 9}, "maxItems": 2}
    assert kind_of("Workload.spec.x", field, needed=True) == "list of strings, required, at most 2 items, each at most 9 characters"
    assert kind_of("Workload.spec.x", {"type": "boolean", "default": False}, needed=False) == "boolean, default `false`"
    assert kind_of("Workload.spec.image.ociAuthSecretName", {"type": "string"}, needed=False) == "string, at most 253 characters"
    assert kind_of("Workload.spec.failureDomain", {"type": "string"}, needed=False) == "string, immutable once a host is bound"
    assert kind_of("BareMetalHost.spec.bmc.address", {"type": "string"}, needed=True) == "string, required, read-only"
    assert kind_of("BareMetalHost.spec.image.url", {"type": "string"}, needed=True) == "string, required"

"""Write the API reference, docs/api.md, from the models and resources that the server serves.

    python -m hack.apireference            print the generated parts
    python -m hack.apireference --write    put them between the markers in docs/api.md

The text of a field is its description, which kubectl explain shows, too.
"""

from __future__ import annotations

import argparse
import ast
import re
import sys
from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path
from types import ModuleType
from typing import Any

from apiserver.apis import names
from apiserver.apis.base import DNS_LABEL, DNS_SUBDOMAIN
from apiserver.apis.host import WORKLOAD_FIELDS, HostOffers
from apiserver.apis.hostconditions import REASONS, TYPES
from apiserver.apis.lengths import LONGEST
from apiserver.apis.metal3 import MAC_ADDRESS, WORD
from apiserver.apis.workload import CHOICE, Binding
from apiserver.registry.baremetalhost import baremetalhosts
from apiserver.registry.generic.resource import Column, Resource
from apiserver.registry.generic.schema import model_schema
from apiserver.registry.hardwaredata import hardwaredata
from apiserver.registry.host import HOSTS, KEPT
from apiserver.registry.reservation import RESERVATIONS
from apiserver.registry.usagerecord import USAGERECORDS
from apiserver.registry.workload import WORKLOADS
from apiserver.registry.workloadclass import WORKLOADCLASSES
from apiserver.registry.workloadset import WORKLOADSETS
from controllers.move import mover, plan
from controllers.providers.baremetalhost import names as host_names
from controllers.providers.machines import instance
from controllers.providers.relay import loops

PAGE = Path(__file__).parents[1] / "docs" / "api.md"
KINDS = (WORKLOADS, WORKLOADSETS, RESERVATIONS, WORKLOADCLASSES, HOSTS, USAGERECORDS, baremetalhosts(view=True), hardwaredata())
NAMED = (names, plan, mover, host_names, loops, instance)
"""The modules that define labels, annotations and finalizers."""
VERBS = ("create", "get", "list", "watch", "update", "patch", "delete", "deletecollection")
ELSEWHERE = {
    "WorkloadSet.spec.template.spec": "The fields are those of [spec of a Workload](#fields-of-spec-of-a-workload).",
    "Host.status.report.spec": "The fields are those of [spec of a BareMetalHost](#fields-of-spec-of-a-baremetalhost).",
    "Host.status.report.status": "The fields are those of [status of a BareMetalHost](#fields-of-status-of-a-baremetalhost).",
}
"""The fields whose parts are listed in another place."""
AGE = "Time since the creation of the object"
"""The description of the column that every kind has."""
CHANGES = {
    **{f"Workload.spec.{field}": "immutable once a host is bound" for field in CHOICE},
    **{f"Host.spec.{field}": "read-only" for field in KEPT},
    "WorkloadSet.spec.selector": "immutable",
    "Host.spec.source.uid": "immutable",
    "Host.spec.claimRef": "can only be removed",
    "Host.spec.chargedTo": "can only be removed",
    "Host.status.phase": "read-only",
    "Host.status.history": "read-only",
    "Workload.status.host": "read-only",
    "Workload.status.binding": "read-only",
}
"""The fields that no client, or not every one, may change. All others of spec may change at any
time."""
BOUNDS = (
    ("minimum", "at least {}"),
    ("maximum", "at most {}"),
    ("minLength", "at least {} character"),
    ("maxLength", "at most {} characters"),
    ("maxItems", "at most {} items"),
    ("maxProperties", "at most {} keys"),
    ("pattern", "pattern `{}`"),
)
KNOWN = {
    DNS_LABEL: "a DNS label",
    DNS_SUBDOMAIN: "a DNS subdomain",
    MAC_ADDRESS: "a MAC address",
    WORD: "at most 128 printable characters of ASCII",
}
"""The patterns that have a name."""


def blocks() -> dict[str, str]:
    """Return the generated parts of the page, each by the name in its markers."""
    kinds = {resource.kind: kind_block(resource) for resource in KINDS}
    bodies = {"Binding": rows("Binding", model_schema(Binding)), "HostOffers": rows("HostOffers", model_schema(HostOffers))}
    tables = {name: table(("field", "type", "description"), found) for name, found in bodies.items()}
    return {**kinds, **tables, "conditions": conditions_block(), "names": names_block()}


def kind_block(resource: Resource) -> str:
    """Return the facts, the columns and the fields of a kind."""
    schema = model_schema(resource.model)
    parts = [facts(resource), "Columns of `kubectl get`:", columns(resource.columns)]
    for part in (part for part in ("spec", "status") if part in schema["properties"]):
        parts += [f"### Fields of {part} of a {resource.kind}", paragraph(schema["properties"][part])]
        found = rows(f"{resource.kind}.{part}", schema["properties"][part])
        parts.append(table(("field", "type", "description"), found))
    return "\n\n".join(part for part in parts if part)


def facts(resource: Resource) -> str:
    """Return how the kind is addressed: names, scope, verbs, subresources and field selectors."""
    short = ", ".join(f"`{name}`" for name in (*resource.short_names, *resource.categories))
    subresources = [f"`{name}` ({', '.join(sorted(verbs))})" for name, verbs in (resource.subresources or {}).items()]
    selectors = ["metadata.name", *(["metadata.namespace"] if resource.namespaced else []), *(resource.fields or {})]
    found = (
        ("apiVersion", f"`{resource.api_version}`"),
        ("resource", f"`{resource.plural}`, {'namespaced' if resource.namespaced else 'cluster-scoped'}"),
        ("short names and categories", short),
        ("verbs", ", ".join(verb for verb in VERBS if verb in resource.verbs)),
        ("subresources", ", ".join(subresources)),
        ("field selectors", ", ".join(f"`{name}`" for name in selectors)),
    )
    return table(("", ""), [row for row in found if row[1]])


def columns(found: tuple[Column, ...]) -> str:
    """Return the table of the columns that kubectl prints."""
    return table(
        ("column", "shown", "description"),
        [(column.name.upper(), "with `-o wide`" if column.priority else "always", column.description or AGE) for column in found],
    )


def rows(path: str, schema: dict[str, Any]) -> list[tuple[str, str, str]]:
    """Return path, type and description of each field below a path."""
    return [
        (f"`{name}`", kind_of(f"{path}.{name}", part, needed=needed), text_of(f"{path}.{name}", part))
        for name, part, needed in fields(path, schema)
    ]


def fields(path: str, schema: dict[str, Any], above: str = "") -> Iterator[tuple[str, dict[str, Any], bool]]:
    """Yield each field below a schema with its schema and whether it is required. Metadata is not
    included, because Kubernetes documents it."""
    for name, part in (schema.get("properties") or {}).items():
        if not above and name in ("apiVersion", "kind", "metadata"):
            continue
        yield f"{above}{name}", part, name in schema.get("required", ())
        below = f"{above}{name}"
        if f"{path}.{below}" in ELSEWHERE:
            continue
        yield from fields(path, part, f"{below}.")
        if isinstance(part.get("items"), dict):
            yield from fields(path, part["items"], f"{below}[].")


def kind_of(path: str, schema: dict[str, Any], *, needed: bool) -> str:
    """Return the type of a field with its bounds and default, and whether it must be given."""
    found = [kind_name(schema), *(["required"] if needed else []), *bounds(schema), *bounds(schema.get("items") or {}, "each ")]
    if (most := _longest(path)) is not None:
        found.append(f"at most {most} characters")
    if schema.get("default") not in (None, "", [], {}):
        found.append(f"default `{_literal(schema['default'])}`")
    if path in CHANGES or _is_read_only(path):
        found.append(CHANGES.get(path, "read-only"))
    return ", ".join(found)


def kind_name(schema: dict[str, Any]) -> str:
    """Return the type of a schema, such as "list of strings"."""
    if schema.get("x-kubernetes-int-or-string"):
        return "quantity"
    if schema.get("format") == "date-time":
        return "time"
    if "items" in schema:
        return f"list of {_plural(kind_name(schema['items']))}"
    if isinstance(schema.get("additionalProperties"), dict):
        return f"map of {_plural(kind_name(schema['additionalProperties']))}"
    return str(schema.get("type", "any"))


def bounds(schema: dict[str, Any], each: str = "") -> Iterator[str]:
    """Yield what a value must meet. The format of times and quantities is Kubernetes' own."""
    if schema.get("enum"):
        yield f"{each}one of {', '.join(f'`{_literal(value)}`' for value in schema['enum'])}"
    known = schema.get("format") == "date-time" or schema.get("x-kubernetes-int-or-string")
    for key, text in BOUNDS:
        if schema.get(key) is not None and not (known and key == "pattern"):
            shown = KNOWN.get(schema[key]) if key == "pattern" else None
            yield each + (shown or text.format(schema[key]))


def text_of(path: str, schema: dict[str, Any]) -> str:
    """Return the description of a field in one line."""
    return " ".join(part for part in (paragraph(schema), ELSEWHERE.get(path, "")) if part)


def paragraph(schema: dict[str, Any]) -> str:
    """Return the description of a schema in one line."""
    return " ".join(str(schema.get("description", "")).split())


def table(head: tuple[str, ...], found: list[Any]) -> str:
    """Return a table in Markdown."""
    lines = [head, ("---",) * len(head), *found]
    return "\n".join(f"| {' | '.join(cell.replace('|', chr(92) + '|') for cell in line)} |" for line in lines)


def conditions_block() -> str:
    """Return the table of a BareMetalHost's conditions, with their reasons."""
    found = [(f"`{kind}`", ", ".join(f"`{reason}`" for reason in REASONS[kind])) for kind in TYPES]
    return table(("condition", "reasons"), found)


def names_block() -> str:
    """Return the table of the labels, annotations and finalizers."""
    found: dict[str, str] = {}
    for module in NAMED:
        for name, text in described_names(module):
            found.setdefault(name, text)
    return table(("name", "meaning"), [(f"`{name}`", text) for name, text in found.items()])


def described_names(module: ModuleType) -> Iterator[tuple[str, str]]:
    """Yield each key in a group that a module defines, with the description below it."""
    body = ast.parse(Path(str(module.__file__)).read_text()).body
    for statement, text in pairwise(body):
        if isinstance(statement, ast.Assign) and isinstance(statement.targets[0], ast.Name) and isinstance(text, ast.Expr):
            value = getattr(module, statement.targets[0].id)
            for name in value if isinstance(value, tuple) else (value,):
                if re.fullmatch(r"([a-z0-9-]+\.)+[a-z]+(/[a-z-]+)?", str(name)) and name not in (names.GROUP, names.METAL3):
                    yield name, " ".join(ast.literal_eval(text.value).split())


def replaced(page: str, found: dict[str, str]) -> str:
    """Return the page with the generated parts between their markers."""
    for name, text in found.items():
        begin, end = f"<!-- {name}: begin (make reference) -->\n", f"<!-- {name}: end -->\n"
        before, _, rest = page.partition(begin)
        _, _, after = rest.partition(end)
        page = f"{before}{begin}\n{text}\n\n{end}{after}"
    return page


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--write", action="store_true", help="write docs/api.md")
    found = blocks()
    if parser.parse_args().write:
        PAGE.write_text(replaced(PAGE.read_text(), found))
    else:
        sys.stdout.write("\n\n".join(found.values()) + "\n")


def _longest(path: str) -> int | None:
    kind, _, below = path.partition(".spec.")
    return LONGEST.get(tuple(below.split("."))) if kind == "Workload" else None


def _is_read_only(path: str) -> bool:
    kind, _, below = path.partition(".spec.")
    return kind == "BareMetalHost" and bool(below) and below.split(".")[0].split("[")[0] not in WORKLOAD_FIELDS


def _plural(kind: str) -> str:
    return "quantities" if kind == "quantity" else f"{kind}s"


def _literal(value: object) -> str:
    return str(value).lower() if isinstance(value, bool) else str(value) or '""'


if __name__ == "__main__":
    main()

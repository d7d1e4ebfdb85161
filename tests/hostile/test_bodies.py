"""Send all kinds of content in a body, of any media type and for any verb.

A body costs no more than its size, and never holds the loop for long. All requests are dry runs,
because storing is not part of what a body costs.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.hostile.inputs import DATA, JSON, JSON_PATCH, MEMBERS, STRATEGIC, YAML, sent
from tests.hostile.judge import Request, judge

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.hostile.server import Client, Served

OWN, CORE = "/apis/workload.metal3.io/v1alpha1", "/api/v1"
SETS = f"{OWN}/namespaces/tenant-a/workloadsets"
METAL3 = "/apis/metal3.io/v1alpha1"
DRY = "?dryRun=All"
APPLY = f"{DRY}&fieldManager=m&force=true"

KINDS = {
    "Workload": (f"{OWN}/namespaces/tenant-a/workloads", "there", "workload.metal3.io/v1alpha1"),
    "BareMetalHost": (f"{METAL3}/namespaces/tenant-a/baremetalhosts", "node-0", "metal3.io/v1alpha1"),
    "Secret": (f"{CORE}/namespaces/tenant-a/secrets", "there", "v1"),
    "ConfigMap": (f"{CORE}/namespaces/tenant-a/configmaps", "there", "v1"),
}
FORMS = {
    "create": ("POST", "", DRY, "application/json"),
    "create in YAML": ("POST", "", DRY, "application/yaml"),
    "create strictly": ("POST", "", f"{DRY}&fieldValidation=Strict", "application/json"),
    "update": ("PUT", "/there", DRY, "application/json"),
    "merge": ("PATCH", "/there", DRY, "application/merge-patch+json"),
    "apply": ("PATCH", "/there", APPLY, "application/apply-patch+yaml"),
    "apply in YAML": ("PATCH", "/there", APPLY, "application/apply-patch+yaml"),
}
"""Method, suffix of the collection's path, query, and media type."""


@pytest.fixture(scope="module")
def tenant(served: Served) -> Client:
    return served.client()


def body(kind: str, part: str, members: str, form: str) -> bytes:
    """Return an object of the kind with more members in one of its parts. As YAML it contains
    something that a JSON parser refuses."""
    _, name, version = KINDS[kind]
    named = f'"name":"{"new" if form.startswith("create") else name}"'
    parts = {"metadata": named, "spec": '"online":false'} if kind not in ("Secret", "ConfigMap") else {"metadata": named}
    parts[part] = f"{parts[part]},{members}" if part in parts else members
    inner = ",".join(f'"{name}":{{{text}}}' for name, text in parts.items())
    text = f'{{"apiVersion":"{version}","kind":"{kind}",{inner}}}'
    return (f"# in YAML\n{text}" if form.endswith("YAML") else text).encode()


def request(kind: str, form: str, content: bytes) -> Request:
    method, behind, query, media = FORMS[form]
    collection, name, _ = KINDS[kind]
    return Request(method, collection + behind.replace("there", name) + query, content, {"Content-Type": media})


OBJECTS = [(part, name) for part, members in MEMBERS.items() for name in members]
STRICTLY = "create strictly"
"""Strict validation differs only for members of a spec that are doubled or unknown."""


@pytest.mark.parametrize(
    ("part", "name", "form"), [(*one, form) for one in OBJECTS for form in FORMS if form != STRICTLY or one[0] == "spec"]
)
def test_objects(served: Served, tenant: Client, form: str, part: str, name: str) -> None:
    make = MEMBERS[part][name]
    judge(served, tenant, lambda size: request("Workload", form, body("Workload", part, make(size), form)))


@pytest.mark.parametrize("form", ["create", "apply"])
@pytest.mark.parametrize("name", MEMBERS["spec"])
def test_templates(served: Served, tenant: Client, name: str, form: str) -> None:
    """Put into the template of a set what a Workload may have."""
    make = MEMBERS["spec"][name]

    def sized(size: int) -> Request:
        template = f'{{"metadata":{{"labels":{{"a":"b"}}}},"spec":{{"online":false,{make(size)}}}}}'
        spec = f'{{"selector":{{"matchLabels":{{"a":"b"}}}},"template":{template}}}'
        text = f'{{"apiVersion":"workload.metal3.io/v1alpha1","kind":"WorkloadSet","metadata":{{"name":"there"}},"spec":{spec}}}'
        method, behind, query, media = FORMS[form]
        return Request(method, f"{SETS}{behind}{query}", text.encode(), {"Content-Type": media})

    judge(served, tenant, sized)


@pytest.mark.parametrize("form", ["merge", "apply"])
@pytest.mark.parametrize(("part", "name"), OBJECTS)
def test_views(served: Served, tenant: Client, form: str, part: str, name: str) -> None:
    make = MEMBERS[part][name]
    judge(served, tenant, lambda size: request("BareMetalHost", form, body("BareMetalHost", part, make(size), form)))


@pytest.mark.parametrize("form", ["create", "merge", "apply"])
@pytest.mark.parametrize("name", DATA)
@pytest.mark.parametrize("kind", ["Secret", "ConfigMap"])
def test_data(served: Served, tenant: Client, kind: str, name: str, form: str) -> None:
    def make(size: int) -> Request:
        _, there, version = KINDS[kind]
        named = "new" if form.startswith("create") else there
        text = f'{{"apiVersion":"{version}","kind":"{kind}","metadata":{{"name":"{named}"}},{DATA[name](size)}}}'
        return request(kind, form, (f"# in YAML\n{text}" if form.endswith("YAML") else text).encode())

    judge(served, tenant, make)


@pytest.mark.parametrize("form", ["create", "merge"])
@pytest.mark.parametrize("name", JSON)
def test_bodies_that_are_no_object(served: Served, tenant: Client, name: str, form: str) -> None:
    judge(served, tenant, lambda size: request("Workload", form, sent(JSON[name](size))))


@pytest.mark.parametrize("form", ["create in YAML", "apply in YAML"])
@pytest.mark.parametrize("name", YAML)
def test_yaml(served: Served, tenant: Client, name: str, form: str) -> None:
    judge(served, tenant, lambda size: request("Workload", form, YAML[name](size).encode()))


@pytest.mark.parametrize("kind", ["Workload", "BareMetalHost"])
@pytest.mark.parametrize("name", JSON_PATCH)
def test_json_patches(served: Served, tenant: Client, kind: str, name: str) -> None:
    judge(served, tenant, patches(kind, JSON_PATCH[name], "application/json-patch+json"))


@pytest.mark.parametrize("kind", ["Secret", "ConfigMap"])
@pytest.mark.parametrize("name", STRATEGIC)
def test_strategic_patches(served: Served, tenant: Client, kind: str, name: str) -> None:
    judge(served, tenant, patches(kind, STRATEGIC[name], "application/strategic-merge-patch+json"))


def patches(kind: str, make: Callable[[int], str], media: str) -> Callable[[int], Request]:
    collection, name, _ = KINDS[kind]
    return lambda size: Request("PATCH", f"{collection}/{name}{DRY}", make(size).encode(), {"Content-Type": media})


@pytest.mark.parametrize("name", [*JSON, "preconditions", "unknown fields"])
@pytest.mark.parametrize("path", [f"{KINDS['Workload'][0]}/there", KINDS["Workload"][0]])
def test_options_of_a_deletion(served: Served, tenant: Client, path: str, name: str) -> None:
    more: dict[str, Callable[[int], str]] = {
        "preconditions": lambda size: f'{{"preconditions":{{"uid":"{"u" * size}"}}}}',
        "unknown fields": lambda size: "{" + ",".join(f'"k{n:06d}":1' for n in range(size // 12)) + "}",
    }
    make = {**JSON, **more}[name]
    judge(served, tenant, lambda size: Request("DELETE", path + DRY, sent(make(size)), {"Content-Type": "application/json"}))

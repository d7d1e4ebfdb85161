"""Test paths, methods and identities that are refused, each with its reason."""

from __future__ import annotations

from tests.conformance.case import GADGETS, RACKS, ROOT, Case, Step, delete, gadget, get, merge, post, put
from tests.conformance.reasons import DECLARED, PLAIN, TWO_WAYS


def _as(user: str, *groups: str) -> dict[str, str]:
    return {"Impersonate-User": user, **({"Impersonate-Group": groups[0]} if groups else {})}


CASES = (
    Case("object not found", (get(f"{GADGETS}/none"),), messages=True),
    Case("object not found in another namespace", (post(GADGETS, gadget()), get(f"{ROOT}/namespaces/default/gadgets/one"))),
    Case("cluster object not found", (get(f"{RACKS}/none"),), messages=True),
    Case("put not found", (put(f"{GADGETS}/none", gadget("none", meta={"resourceVersion": "1"})),)),
    Case("put not found without version", (put(f"{GADGETS}/none", gadget("none")),)),
    Case("patch not found", (merge(f"{GADGETS}/none", {}),), messages=True),
    Case("delete not found", (delete(f"{GADGETS}/none"),), messages=True),
    Case("status not found", (get(f"{GADGETS}/none/status"),)),
    Case("unknown resource", (get(f"{ROOT}/namespaces/{{ns}}/unheard"),), allowed=PLAIN),
    Case("unknown resource at cluster scope", (get(f"{ROOT}/unheard"),), allowed=PLAIN),
    Case("unknown version", (get("/apis/conformance.example.com/v9/gadgets"),), allowed=PLAIN),
    Case("unknown group", (get("/apis/unheard.example.com/v1/gadgets"),), allowed=PLAIN),
    Case("unknown path", (get("/unheard"),), allowed=PLAIN),
    Case("unknown path below apis", (get("/apis/conformance.example.com/v1/gadgets/one/two/three/four"),), allowed=PLAIN),
    Case("unknown subresource", (post(GADGETS, gadget()), get(f"{GADGETS}/one/unheard"))),
    Case("subresource that the kind has not", (get(f"{RACKS}/x/status"),)),
    Case("scale that the kind has not", (post(GADGETS, gadget()), get(f"{GADGETS}/one/scale"))),
    Case("put of a collection", (put(GADGETS, gadget()),), messages=True, allowed=DECLARED),
    Case("patch of a collection", (merge(GADGETS, {}),), allowed=DECLARED),
    Case("post of an object", (post(f"{GADGETS}/one", gadget()),), allowed=DECLARED),
    Case("post of a status", (post(f"{GADGETS}/one/status", gadget()),)),
    Case("delete of a status", (post(GADGETS, gadget()), delete(f"{GADGETS}/one/status"))),
    Case("delete of all namespaces", (delete(f"{ROOT}/gadgets"),), allowed={**PLAIN, **DECLARED}),
    Case("namespaced object without namespace", (get(f"{ROOT}/gadgets/one"),), allowed=PLAIN),
    Case("namespaced object deleted without namespace", (delete(f"{ROOT}/gadgets/one"),), allowed=PLAIN),
    Case("cluster object in a namespace", (get(f"{ROOT}/namespaces/{{ns}}/racks/one"),), allowed=PLAIN),
    Case("cluster list in a namespace", (get(f"{ROOT}/namespaces/{{ns}}/racks"),), allowed=PLAIN),
    Case(
        "method unheard of",
        (Step("BREW", f"{GADGETS}/one"),),
        allowed={"1.status": "the HTTP parser knows the methods that there are; any other is a malformed request"},
    ),
    Case("method options", (Step("OPTIONS", f"{GADGETS}/one"),)),
    Case("head of an object", (post(GADGETS, gadget()), Step("HEAD", f"{GADGETS}/one"))),
    Case("head of a list", (Step("HEAD", GADGETS),)),
    Case(
        "put of a group",
        (put("/apis/conformance.example.com", {}),),
        allowed={"1.status": "discovery is for reading; kube-apiserver does not look at the method"},
    ),
    Case("trailing slash of a list", (get(f"{GADGETS}/"),)),
    Case("trailing slash of an object", (post(GADGETS, gadget()), get(f"{GADGETS}/one/"))),
    Case("double slash", (get(f"{ROOT}//namespaces/{{ns}}/gadgets"),), allowed={**PLAIN, "1.status": TWO_WAYS}),
    Case("encoded slash", (get(f"{GADGETS}/a%2Fb"),), allowed={"1.status": TWO_WAYS}),
    Case("name with percent", (get(f"{GADGETS}/a%25b"),)),
    Case("list of a missing namespace is empty", (get(f"{ROOT}/namespaces/missing/gadgets"),)),
    Case(
        "old watch path",
        (get(f"{ROOT}/watch/namespaces/{{ns}}/gadgets?timeoutSeconds=1"),),
        allowed={"1.status": "deprecated since Kubernetes 1.11 and not in OpenAPI; every client says ?watch="},
    ),
    Case("forbidden get", (get(f"{GADGETS}/one", headers=_as("nobody")),), messages=True),
    Case("forbidden list", (get(GADGETS, headers=_as("nobody")),), messages=True),
    Case("forbidden in all namespaces", (get(f"{ROOT}/gadgets", headers=_as("nobody")),), messages=True),
    Case("forbidden watch", (get(f"{GADGETS}?watch=1", headers=_as("nobody")),), messages=True),
    Case("forbidden create", (post(GADGETS, gadget(), headers=_as("nobody")),), messages=True),
    Case("forbidden status", (put(f"{GADGETS}/one/status", gadget(), headers=_as("nobody")),), messages=True),
    Case("forbidden deletecollection", (delete(GADGETS, headers=_as("nobody")),), messages=True),
    Case("forbidden cluster object", (get(f"{RACKS}/one", headers=_as("nobody")),), messages=True),
    Case("forbidden path", (get("/metrics", headers=_as("nobody")),), messages=True),
    Case("forbidden unknown resource", (get(f"{ROOT}/unheard", headers=_as("nobody")),), messages=True),
    Case("impersonated group", (get(f"{GADGETS}/none", headers=_as("somebody", "system:masters")),)),
    Case("impersonation without user", (get(GADGETS, headers={"Impersonate-Group": "x"}),)),
    Case("errors as YAML", (get(f"{GADGETS}/none", headers={"Accept": "application/yaml"}),)),
    Case("errors in pretty", (get(f"{GADGETS}/none?pretty=true"),)),
    Case("errors for tables", (get(f"{GADGETS}/none", headers={"Accept": "application/json;as=Table;g=meta.k8s.io;v=v1"}),)),
)

"""Test the ownership of defaults.

A client omits a field, the server sets it, and another client, or the same one by another path,
omits it as well."""

from __future__ import annotations

from typing import Any

from tests.conformance.case import GADGETS, Case, Step, apply, gadget, get, json_patch, merge, post, put

ONE = f"{GADGETS}/one"
CLIENT_SIDE = f"{GADGETS}?fieldManager=kubectl-client-side-apply"
LAST = "kubectl.kubernetes.io/last-applied-configuration"
NOTED = gadget(meta={"annotations": {LAST: "{}"}}, title="abc")
MIGRATED = [
    {
        "manager": "kubectl",
        "operation": "Apply",
        "apiVersion": "conformance.example.com/v1",
        "fieldsType": "FieldsV1",
        "fieldsV1": {
            "f:metadata": {"f:annotations": {".": {}, f"f:{LAST}": {}}},
            "f:spec": {".": {}, "f:title": {}, "f:size": {}, "f:mode": {}},
        },
    }
]
"""The result of client-go's csaupgrade for a Gadget's managedFields. kubectl, Argo CD and Flux send
it as a JSON patch."""


def _migrate(manager: str) -> Step:
    fields = [{**MIGRATED[0], "manager": manager}]
    return json_patch(
        f"{ONE}?fieldManager={manager}",
        [
            {"op": "replace", "path": "/metadata/managedFields", "value": fields},
            {"op": "replace", "path": "/metadata/resourceVersion", "value": "${made:metadata.resourceVersion}"},
        ],
    )


VERSION = {"resourceVersion": "${made:metadata.resourceVersion}"}
FORGET: dict[str, Any] = {"metadata": {"managedFields": [{}]}}
BEN = f"{ONE}?fieldManager=ben"
ARGO = "argocd-controller"

CASES = (
    Case("nothing applied twice", (apply(ONE, gadget()), apply(ONE, gadget()), get(ONE))),
    Case("nothing applied by two", (apply(ONE, gadget()), apply(ONE, gadget(size=3), manager="ben"))),
    Case("nothing posted then applied", (post(GADGETS, gadget()), apply(ONE, gadget()), apply(ONE, gadget(size=2)))),
    Case("nothing posted then applied with the default", (post(GADGETS, gadget()), apply(ONE, gadget(size=1)))),
    Case("posted then nothing put", (post(GADGETS, gadget(size=3), "made"), put(ONE, gadget(meta=VERSION)))),
    Case("default put by another", (post(GADGETS, gadget(), "made"), put(BEN, gadget(size=1, meta=VERSION)))),
    Case("default removed by a patch", (post(GADGETS, gadget()), merge(BEN, {"spec": {"size": None}}))),
    Case("default removed by a JSON patch", (post(GADGETS, gadget()), json_patch(BEN, [{"op": "remove", "path": "/spec/size"}]))),
    Case(
        "client side then server side",
        (
            post(CLIENT_SIDE, NOTED, "made"),
            _migrate("kubectl"),
            apply(ONE, gadget(title="abc"), manager="kubectl"),
            apply(ONE, gadget(title="abc"), manager="kubectl"),
        ),
    ),
    Case(
        "client side then server side by another",
        (
            post(CLIENT_SIDE, NOTED, "made"),
            _migrate(ARGO),
            apply(ONE, gadget(title="abc"), manager=ARGO, force=True),
            apply(ONE, gadget(), manager=ARGO, force=True),
        ),
    ),
    Case(
        "forgotten managers then nothing applied",
        (post(GADGETS, gadget()), merge(ONE, FORGET), apply(ONE, gadget()), apply(ONE, gadget(size=3), manager="ben")),
    ),
    Case("forgotten managers then applied", (post(GADGETS, gadget(title="abc")), merge(ONE, FORGET), apply(ONE, gadget(title="abc")))),
)

"""Define the meta/v1 types as OpenAPI definitions under their well-known names
(k8s.io/apimachinery).

References are written as "@Name". Each version of the document resolves them in its own form.
"""

from __future__ import annotations

from typing import Any

PREFIX = "io.k8s.apimachinery.pkg.apis.meta.v1."
ATOMIC = {"x-kubernetes-list-type": "atomic"}


def _text(description: str, **more: Any) -> dict[str, Any]:
    return {"type": "string", "description": description, **more}


def _ref(name: str, description: str) -> dict[str, Any]:
    return {"$ref": f"@{PREFIX}{name}", "description": description}


def _list(items: dict[str, Any], description: str, **more: Any) -> dict[str, Any]:
    return {"type": "array", "items": items, "description": description, **more}


def _map(description: str) -> dict[str, Any]:
    return {"type": "object", "additionalProperties": {"type": "string"}, "description": description}


def _object(description: str, properties: dict[str, Any], *required: str) -> dict[str, Any]:
    found: dict[str, Any] = {"description": description, "type": "object", "properties": properties}
    return {**found, "required": list(required)} if required else found


_TYPE = {
    "apiVersion": _text("APIVersion defines the versioned schema of this representation of an object."),
    "kind": _text("Kind is a string value representing the REST resource this object represents."),
}
_INT64 = {"type": "integer", "format": "int64"}

_DEFINITIONS: dict[str, dict[str, Any]] = {
    "Time": {
        "type": "string",
        "format": "date-time",
        "description": "Time is a wrapper around time.Time which supports correct marshaling to YAML and JSON.",
    },
    "FieldsV1": {"type": "object", "description": "FieldsV1 stores a set of fields in a data structure like a Trie, in JSON format."},
    "Patch": {"type": "object", "description": "Patch is provided to give a concrete name and type to the Kubernetes PATCH request body."},
    "ManagedFieldsEntry": _object(
        "ManagedFieldsEntry is a workflow-id, a FieldSet and the group version of the resource that the fieldset applies to.",
        {
            "apiVersion": _text("APIVersion defines the version of this resource that this field set applies to."),
            "fieldsType": _text('FieldsType is the discriminator for the different fields format and version: "FieldsV1".'),
            "fieldsV1": _ref("FieldsV1", "FieldsV1 holds the first JSON version format as described in the FieldsV1 type."),
            "manager": _text("Manager is an identifier of the workflow managing these fields."),
            "operation": _text("Operation is the type of operation which lead to this ManagedFieldsEntry being created: Apply or Update."),
            "subresource": _text("Subresource is the name of the subresource used to update that object, or empty."),
            "time": _ref("Time", "Time is the timestamp of when the ManagedFields entry was added."),
        },
    ),
    "OwnerReference": {
        **_object(
            "OwnerReference contains enough information to let you identify an owning object.",
            {
                "apiVersion": _text("API version of the referent."),
                "blockOwnerDeletion": {
                    "type": "boolean",
                    "description": "If true, AND if the owner has the foregroundDeletion finalizer, then the owner cannot be deleted until "
                    "this reference is removed.",
                },
                "controller": {"type": "boolean", "description": "If true, this reference points to the managing controller."},
                "kind": _text("Kind of the referent."),
                "name": _text("Name of the referent."),
                "uid": _text("UID of the referent."),
            },
            "apiVersion",
            "kind",
            "name",
            "uid",
        ),
        "x-kubernetes-map-type": "atomic",
    },
    "ObjectMeta": _object(
        "ObjectMeta is metadata that all persisted resources must have, which includes all objects users must create.",
        {
            "annotations": _map("Annotations is an unstructured key value map that may be set by tools to store arbitrary metadata."),
            "creationTimestamp": _ref("Time", "CreationTimestamp is the server time when this object was created. Read-only."),
            "deletionGracePeriodSeconds": {
                **_INT64,
                "description": "Number of seconds allowed for this object to gracefully terminate before it will be removed. Read-only.",
            },
            "deletionTimestamp": _ref("Time", "DeletionTimestamp is the time at which this resource was asked to be deleted. Read-only."),
            "finalizers": _list(
                {"type": "string"},
                "Must be empty before the object is deleted from the registry.",
                **{"x-kubernetes-list-type": "set", "x-kubernetes-patch-strategy": "merge"},
            ),
            "generateName": _text("GenerateName is an optional prefix, used by the server to generate a unique name if Name is empty."),
            "generation": {**_INT64, "description": "A sequence number of the desired state. Read-only."},
            "labels": _map("Map of string keys and values that can be used to organize and categorize (scope and select) objects."),
            "managedFields": _list(
                {"$ref": f"@{PREFIX}ManagedFieldsEntry"},
                "ManagedFields maps workflow-id and version to the set of fields that are managed by that workflow.",
                **ATOMIC,
            ),
            "name": _text("Name must be unique within a namespace. Cannot be updated."),
            "namespace": _text("Namespace defines the space within which each name must be unique. Cannot be updated."),
            "ownerReferences": _list(
                {"$ref": f"@{PREFIX}OwnerReference"},
                "List of objects depended by this object. If ALL are deleted, this object will be garbage collected.",
                **{
                    "x-kubernetes-list-type": "map",
                    "x-kubernetes-list-map-keys": ["uid"],
                    "x-kubernetes-patch-merge-key": "uid",
                    "x-kubernetes-patch-strategy": "merge",
                },
            ),
            "resourceVersion": _text("An opaque value that represents the internal version of this object. Read-only."),
            "selfLink": _text("Deprecated: selfLink is a legacy read-only field that is no longer populated by the system."),
            "uid": _text("UID is the unique in time and space value for this object. Read-only."),
        },
    ),
    "ListMeta": _object(
        "ListMeta describes metadata that synthetic resources must have, including lists and various status objects.",
        {
            "continue": _text("continue may be set if the user set a limit on the number of items returned: there are more behind them."),
            "remainingItemCount": {
                **_INT64,
                "description": "remainingItemCount is the number of subsequent items in the list which are not included in this response.",
            },
            "resourceVersion": _text("String that identifies the server's internal version of this object."),
            "selfLink": _text("Deprecated: selfLink is a legacy read-only field that is no longer populated by the system."),
        },
    ),
    "Preconditions": _object(
        "Preconditions must be fulfilled before an operation (update, delete, etc.) is carried out.",
        {"resourceVersion": _text("Specifies the target ResourceVersion"), "uid": _text("Specifies the target UID.")},
    ),
    "DeleteOptions": _object(
        "DeleteOptions may be provided when deleting an API object.",
        {
            **_TYPE,
            "dryRun": _list({"type": "string"}, "All: process the request without persisting anything.", **ATOMIC),
            "gracePeriodSeconds": {**_INT64, "description": "The duration in seconds before the object should be deleted. Not used here."},
            "orphanDependents": {"type": "boolean", "description": "Deprecated: please use the PropagationPolicy."},
            "preconditions": _ref("Preconditions", "Must be fulfilled before a deletion is carried out, or 409 Conflict is returned."),
            "propagationPolicy": _text("Whether and how garbage collection will be performed: Orphan, Background or Foreground."),
        },
    ),
    "StatusCause": _object(
        "StatusCause provides more information about an api.Status failure, including cases when multiple errors are encountered.",
        {
            "field": _text("The field of the resource that has caused this error, as named by its JSON serialization."),
            "message": _text("A human-readable description of the cause of the error."),
            "reason": _text("A machine-readable description of the cause of the error."),
        },
    ),
    "StatusDetails": _object(
        "StatusDetails is a set of additional properties that MAY be set by the server to provide additional information about a response.",
        {
            "causes": _list({"$ref": f"@{PREFIX}StatusCause"}, "More details associated with the StatusReason failure.", **ATOMIC),
            "group": _text("The group attribute of the resource associated with the status StatusReason."),
            "kind": _text("The kind attribute of the resource associated with the status StatusReason."),
            "name": _text("The name attribute of the resource associated with the status StatusReason."),
            "retryAfterSeconds": {"type": "integer", "format": "int32", "description": "The time in seconds before a retry."},
            "uid": _text("UID of the resource."),
        },
    ),
    "Status": _object(
        "Status is a return value for calls that don't return other objects.",
        {
            **_TYPE,
            "code": {"type": "integer", "format": "int32", "description": "Suggested HTTP return code for this status, 0 if not set."},
            "details": _ref("StatusDetails", "Extended data associated with the reason."),
            "message": _text("A human-readable description of the status of this operation."),
            "metadata": _ref("ListMeta", "Standard list metadata."),
            "reason": _text('A machine-readable description of why this operation is in the "Failure" status.'),
            "status": _text('Status of the operation. One of: "Success" or "Failure".'),
        },
    ),
}


def definitions() -> dict[str, dict[str, Any]]:
    """Return the definitions by their full names. The result is shared and must not be changed."""
    return {PREFIX + name: definition for name, definition in _DEFINITIONS.items()}

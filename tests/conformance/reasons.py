"""Define the reasons for allowed differences that several cases share."""

from __future__ import annotations

_PLAIN = "an unknown path is told in a Status, too, which every client of the API reads; kube-apiserver answers in plain text"
PLAIN = {"1.content-type*": _PLAIN}
DECLARED = {
    "1.status": "as for the kinds that are built into kube-apiserver, whose routes are declared by verb; a custom resource's are not"
}
TWO_WAYS = "a path that proxies, authorization and the server could read in different ways is refused"
CLIENT = "kube-apiserver makes a 500 of what the client did wrong"
JSON_ONLY = "only JSON and YAML are served; clients that prefer protobuf name JSON next, as they must for custom resources"
TWICE = "kube-apiserver finds it twice, by two validations"
_ETAG = "an ETag and what it depends on save clients the document; kube-apiserver has them for aggregated discovery only"
_HASH = "it tells a storage migrator of changed encodings; there is one"
ETAG = {"1.etag": _ETAG, "1.vary": _ETAG}
HASHED = {**ETAG, "1.body.resources*.storageVersionHash": _HASH}
ANY_METHOD = "a document is read; kube-apiserver gives it in answer to any method"
SMALLER = {"1.status": "an object has 1 MiB at most, and a body 1.5 MiB: strangers share the memory. kube-apiserver takes 3 MiB"}

"""Check which part of the gateway answers a target, and which targets are refused."""

from __future__ import annotations

from urllib.parse import parse_qsl

import pytest

from apiserver.apis.status import ApiError
from apiserver.gateway.target import Part, Target, target_of

GROUP = "/apis/metal3.io/v1alpha1"
IN_NAMESPACE = f"{GROUP}/namespaces/a"


def target(raw: str, method: str = "GET") -> Target:
    return target_of(
        method, raw, dict(parse_qsl(raw.partition("?")[2], keep_blank_values=True)), "metal3.io", {"baremetalhosts"}, "workload.metal3.io"
    )


@pytest.mark.parametrize(
    "path",
    [
        f"{GROUP}/baremetalhosts",
        f"{GROUP}/baremetalhosts?watch=true",
        f"{GROUP}/baremetalhosts?includeUninitialized=true",
        f"{IN_NAMESPACE}/baremetalhosts",
        f"{IN_NAMESPACE}/baremetalhosts/",
        f"{IN_NAMESPACE}/baremetalhosts/x/status",
        f"{IN_NAMESPACE}/baremetalhosts/x/proxy/y",
        f"{IN_NAMESPACE}/%62aremetalhosts",
        f"{IN_NAMESPACE}/baremetalhost%73/x",
        "/apis/metal3%2Eio/v1alpha1/baremetalhosts",
        "/apis/metal3.io/v1beta1/baremetalhosts",
        # Ways to watch that kube-apiserver knows, too, and that are not answered here.
        f"{GROUP}/watch/baremetalhosts",
        f"{GROUP}/watch/namespaces/a/baremetalhosts/x",
        f"{GROUP}/proxy/namespaces/a/baremetalhosts/x",
        # Another reader of these paths could find a resource of the group in them.
        "/apis/METAL3.IO/v1alpha1/baremetalhosts",
        f"{IN_NAMESPACE}/BareMetalHosts",
        f"{IN_NAMESPACE}/baremetalhosts;x=1/y",
        f"{IN_NAMESPACE}/baremetalhosts.v1alpha1.metal3.io",
        f"{IN_NAMESPACE}/baremetalhosts%20",
        f"{IN_NAMESPACE}/baremetalhosts%2500",
        f"{IN_NAMESPACE}/%2562aremetalhosts",
        f"{GROUP};x=1/baremetalhosts;x=1",
        # In these paths, readers could disagree about where the namespace ends.
        f"{IN_NAMESPACE}/status/baremetalhosts",
        f"{IN_NAMESPACE}/finalize/baremetalhosts/x",
        f"{GROUP}/namespaces/status/baremetalhosts",
        f"{GROUP}/namespaces/baremetalhosts",
        "/readyz",
    ],
)
def test_the_view_answers(path: str) -> None:
    for method in ("GET", "POST", "PUT", "PATCH", "DELETE", "HEAD", "WATCH"):
        assert target(path, method).part is Part.VIEW


@pytest.mark.parametrize(
    "path",
    [
        "/api/v1/namespaces/a/secrets",
        "/api",
        "/version",
        "/",
        f"{GROUP}/hostfirmwaresettings",
        f"{IN_NAMESPACE}/hardwaredata/x",
        "/apis/infrastructure.cluster.x-k8s.io/v1beta1/metal3machines",
        "/apis/ipam.metal3.io/v1alpha1/ippools",
        "/apis/workload.metal3.io/v1alpha1/namespaces/a/baremetalhosts",
        "/apis/x.metal3.io/v1alpha1/baremetalhosts",
        "/openapi/v3/apis/apps/v1",
        # Parameters and second encodings are parts of a group's name for kube-apiserver, which has
        # no such group.
        "/apis/metal3.io;x=1/v1alpha1/baremetalhosts",
        "/apis/metal3%252Eio/v1alpha1/baremetalhosts",
        "/openapi/v3/apis/METAL3.IO/v1alpha1",
        # Proxies of kube-apiserver send no credentials of the caller.
        "/api/v1/namespaces/a/services/https:x:443/proxy/apis/metal3.io/v1alpha1/baremetalhosts",
        "/api/v1/nodes/n/proxy/pods",
        "/apis/apiextensions.k8s.io/v1/customresourcedefinitions/baremetalhosts.metal3.io",
    ],
)
def test_kube_apiserver_answers(path: str) -> None:
    assert target(path).part is Part.PASSED


@pytest.mark.parametrize(
    "path",
    [
        "/apis",
        "/apis/",
        "/apis/metal3.io",
        "/apis/metal3.io/",
        GROUP,
        "/apis/metal3.io/v1",
        "/openapi/v2",
        "/openapi/v2?timeout=32s",
        "/openapi/v3",
        "/openapi/v3/apis/metal3.io/v1alpha1?hash=X",
        "/apis/metal3%2eio",
        "/apis/workload.metal3.io/v1alpha1",
    ],
)
def test_a_merged_document_answers(path: str) -> None:
    assert target(path).part is Part.DOCUMENT
    assert target(path, "HEAD").document == target(path).document


@pytest.mark.parametrize("version", ["v1alpha1%3Fx=1", "v1alpha1%23x", "v1%20x", "v1%C3%A9", "V1", "%3F"])
def test_what_is_no_version_names_no_document(version: str) -> None:
    # Decoded, it would be another target for kube-apiserver, and another merged document to keep.
    for path in ("/apis/metal3.io", "/apis/workload.metal3.io", "/openapi/v3/apis/metal3.io"):
        assert target(f"{path}/{version}").part is not Part.DOCUMENT


@pytest.mark.parametrize(
    "raw",
    [
        "//apis/metal3.io/v1alpha1/baremetalhosts",
        "/apis//metal3.io/v1alpha1/baremetalhosts",
        "/apis/metal3.io//v1alpha1/baremetalhosts",
        "/api/v1/../../apis/metal3.io/v1alpha1/baremetalhosts",
        "/api/v1/%2e%2e/%2e%2e/apis/metal3.io/v1alpha1/baremetalhosts",
        "/api/v1/%2E./x",
        "/apis/metal3.io/../metal3.io/v1alpha1/baremetalhosts",
        "/apis/metal3.io/v1alpha1/./baremetalhosts",
        "/apis/metal3.io%2Fv1alpha1/baremetalhosts",
        "/apis%2fmetal3.io/v1alpha1/baremetalhosts",
        "/apis\\metal3.io/v1alpha1/baremetalhosts",
        "/apis/metal3.io/v1alpha1%5Cbaremetalhosts",
        "/apis/metal3.io/v1alpha1/baremetalhosts%00",
        "/apis/metal3.io/v1alpha1/baremetalhosts%0a",
        "/apis/metal3.io/v1alpha1/%ff",
        "/apis/metal3.io#/v1alpha1/baremetalhosts",
        "/api/v1/pods#/../..",
        "https://elsewhere/apis/metal3.io/v1alpha1/baremetalhosts",
        "http:/apis",
        "elsewhere:443",
        "*",
        "",
        "/apis/\u00e9",
        "/apis /x",
        "/api/v1/watch/namespaces/a/secrets",
        "/api/v1/proxy/namespaces/a/pods/x",
        "/apis/apps/v1/watch/deployments",
    ],
)
def test_a_target_that_two_readers_could_read_differently_is_refused(raw: str) -> None:
    with pytest.raises(ApiError) as refused:
        target(raw)
    assert refused.value.code == 400


def test_streams_and_paths_that_may_be_upgraded() -> None:
    pod = "/api/v1/namespaces/a/pods/x"
    assert target(f"{pod}/exec?command=sh", "POST").info.streams
    assert target(f"{pod}/log?follow=true").info.streams
    assert not target(f"{pod}/log").info.streams
    assert not target(pod).info.streams
    for path in ("exec", "attach", "portforward", "proxy", "proxy/ws"):
        assert target(f"{pod}/{path}", "POST").upgrades
    assert target("/api/v1/pods?watch=1").upgrades
    assert not target(pod).upgrades
    assert not target(f"{pod}/eviction", "POST").upgrades
    assert not target(f"{IN_NAMESPACE}/baremetalhosts?watch=1").upgrades

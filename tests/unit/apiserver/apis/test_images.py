"""Check which URLs and deploy methods a class allows."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from apiserver.apis.images import (
    MAX_URL,
    SHOWN,
    BadURL,
    bad_rule,
    deploy_problems,
    digest_problem,
    inner_problem,
    parse,
    scrubbed,
    url_problem,
)
from apiserver.apis.workloadclass import WorkloadClassSpec

if TYPE_CHECKING:
    import ipaddress

NEVER = [
    "",
    "images.example.com/os",
    "//images.example.com/os",
    "http:/images.example.com/os",
    "http:images.example.com",
    "https://user@images.example.com/os",
    "https://user:pw@images.example.com/os",
    "https://:@images.example.com/",
    "https://images.example.com\\@127.0.0.1/",
    "https://images.example.com/a b",
    "https://images.example.com/a\n",
    "\thttps://images.example.com/a",
    "https://images.example.com/\x00",
    "https://images.exämple.com/",
    "https://images.example.com/ö",
    "https://１２７.0.0.1/",
    "https://ⓛocalhost/",
    "https://images%2eexample.com/",
    "https://images.example.com%00.evil.com/",
    "https://images.example.com:0/",
    "https://images.example.com:65536/",
    "https://images.example.com:/",
    "https://images.example.com:8o/",
    "https://images.example.com:+80/",
    "https://images.example.com?@evil.com/",
    "https://images.example.com#@evil.com/",
    "https://images.example.com/os#part",
    "https://images.example.com/a/../b",
    "https://images.example.com/a/./b",
    "https://images.example.com/..",
    "https://images.example.com/%2e%2e/b",
    "https://images.example.com/.%2E/b",
    "https://images.example.com/a%2fb",
    "https://images.example.com/a%5cb",
    "https://images.example.com/a%0ab",
    "https://images.example.com/%zz",
    "https://images..example.com/",
    "https://-images.example.com/",
    "https://2130706433/",
    "https://0x7f000001/",
    "https://0x7f.1/",
    "https://0177.0.0.1/",
    "https://127.1/",
    "https://127.0.0.01/",
    "https://1.2.3.4.5/",
    "https://256.1.1.1/",
    "https://[::1/",
    "https://[::1%25eth0]/",
    "https://[fe80::1%eth0]/",
    "https://[::1]x/",
    "https://[127.0.0.1]/",
    "https://a:b:c/",
    "https://" + "a" * MAX_URL + ".com/",
]
"""URLs that no class can allow."""

INNER = [
    "https:///os",
    "https://localhost/",
    "https://LOCALHOST./",
    "https://a.localhost/",
    "https://ironic/",
    "https://ironic.metal3/v1",
    "https://ironic.metal3.svc:6385/v1/nodes",
    "https://IRONIC.metal3.SVC/v1",
    "https://ironic.metal3.svc.cluster.local/",
    "https://ironic.metal3.svc.k8s.example.com/",
    "https://x.cluster.local./",
    "https://10-0-0-1.metal3.pod/",
    "https://printer.local/",
    "https://metadata.google.internal/computeMetadata",
    "http://127.0.0.1/",
    "http://127.9.9.9./",
    "http://0.0.0.0/",
    "http://0.1.2.3/",
    "http://169.254.169.254/latest/user-data",
    "http://100.100.100.200/",
    "http://168.63.129.16/",
    "http://192.0.0.192/",
    "http://224.0.0.1/",
    "http://255.255.255.255/",
    "http://240.0.0.1/",
    "http://[::]/",
    "http://[::1]/",
    "http://[0:0:0:0:0:0:0:1]/",
    "http://[::127.0.0.1]/",
    "http://[::ffff:127.0.0.1]/",
    "http://[::ffff:a9fe:a9fe]/",
    "http://[64:ff9b::169.254.169.254]/",
    "http://[2002:7f00:1::]/",
    "http://[2002:a9fe:a9fe::1]/",
    "http://[fe80::1]/",
    "http://[febf::1]/",
    "http://[fec0::1]/",
    "http://[ff02::1]/",
    "http://[fd00:ec2::254]/",
]
"""URLs that a rule has to name explicitly."""

GOOD = [
    "https://images.example.com/os.qcow2",
    "HTTP://Images.Example.com./os.qcow2",
    "http://images.example.com:8080/a/b?c=d/../e",
    "http://10.1.2.3/os.qcow2",
    "http://192.168.1.1:8080/os.qcow2",
    "http://[fd12:3456::1]:80/os.qcow2",
    "http://[2001:db8:1::1]/os",
    "http://images.example/os",
    "oci://ghcr.io/metal3/os:v1@sha256:abc",
    "https://xn--mgbh0fb.xn--kgbechtv/",
    "https://images.example.com",
    "https://svc.example.com/",
]


def spec(*allow: str, **more: object) -> dict[str, object]:
    """Return a class's spec that allows these."""
    return {"provisioner": "p", **more} | ({"images": {"allow": list(allow)}} if allow else {})


@pytest.mark.parametrize("url", NEVER)
def test_what_parsers_read_differently_is_never_allowed(url: str) -> None:
    assert url_problem(url, None)
    assert url_problem(url, spec())
    assert url_problem(url, spec("https://", "http://", "127.0.0.1", "images.example.com", "evil.com"))


@pytest.mark.parametrize("url", INNER)
def test_inner_hosts_are_opened_by_name_only(url: str) -> None:
    assert url_problem(url, spec())
    assert url_problem(url, spec("https://", "http://", "images.example.com"))


@pytest.mark.parametrize("url", GOOD)
def test_the_default_allows_what_is_served_elsewhere(url: str) -> None:
    assert url_problem(url, spec()) is None


@pytest.mark.parametrize(
    "url", ["file:///etc/passwd", "FILE:///etc/passwd", "gopher://a.example.com/", "glance://x", "nfs://a.example.com/x"]
)
def test_other_schemes_have_to_be_listed(url: str) -> None:
    assert url_problem(url, None) is None, "some class may allow it"
    assert url_problem(url, spec())


@pytest.mark.parametrize(
    ("rule", "allowed", "refused"),
    [
        ("images.example.com", "http://IMAGES.example.com/a", "http://images.example.com.evil.com/a"),
        ("images.example.com", "https://images.example.com:443/a", "https://images.example.com:8443/a"),
        ("images.example.com:8443", "https://images.example.com:8443/a", "https://images.example.com/a"),
        ("https://images.example.com/os", "https://images.example.com/os/a", "https://images.example.com/osx"),
        ("https://images.example.com/os/", "https://images.example.com/os/a", "https://images.example.com/o/a"),
        ("https://images.example.com/os/", "https://images.example.com/os/a?b", "http://images.example.com/os/a"),
        ("https://images.example.com/os/", "https://images.example.com./os/a", "https://images.example.com//os/a"),
        ("http://ironic.metal3.svc:6180/images", "http://ironic.metal3.svc:6180/images/a", "http://ironic.metal3.svc:6385/images/a"),
        ("http://127.0.0.1/", "http://127.0.0.1/a", "http://127.0.0.2/a"),
        ("http://[::1]:80/", "http://[0::1]/a", "http://[::2]/a"),
        ("http://image-server/", "http://image-server/os", "http://image-server.evil/os"),
        ("file:///shared/html/images/", "file:///shared/html/images/os", "file:///shared/html/other"),
        ("https://", "https://anything.example.com/a", "http://anything.example.com/a"),
        ("OCI://", "oci://quay.io/a", "https://quay.io/a"),
    ],
)
def test_rules(rule: str, allowed: str, refused: str) -> None:
    assert bad_rule(rule) is None
    assert url_problem(allowed, spec(rule)) is None
    assert url_problem(refused, spec(rule))


def test_no_rule_allows_nothing() -> None:
    assert "allows no URL" in str(url_problem(GOOD[0], {"images": {"allow": []}}))


@pytest.mark.parametrize(
    "rule",
    [
        "file://",
        "file:///",
        "https://a b/",
        "a/b",
        "https://u@a.example.com/",
        "https://a.example.com/?x",
        "https:///x",
        "::",
        "https://a/../b",
    ],
)
def test_rules_that_are_none_are_refused_in_the_class(rule: str) -> None:
    assert bad_rule(rule)
    with pytest.raises(ValidationError):
        WorkloadClassSpec.decode({"provisioner": "p", "images": {"allow": [rule]}})


def test_a_provider_s_own_schemes() -> None:
    assert url_problem("containerdisk://quay.io/a/b:1", {"provisioner": "metal3.io/kubevirt"}) is None
    assert url_problem("containerdisk://quay.io/a/b:1", {"provisioner": "metal3.io/baremetalhost"})
    assert url_problem("ami://ami-2", {"provisioner": "metal3.io/cloud"}) is None
    assert url_problem("ami://ami-2/x", {"provisioner": "metal3.io/cloud"})


@pytest.mark.parametrize(
    ("image", "field"),
    [
        ({"checksum": "a" * 64}, None),
        ({"checksum": "https://images.example.com/SUMS"}, None),
        ({"checksum": "http://127.0.0.1:6385/v1/nodes"}, "image.checksum"),
        ({"checksum": "file:///shared/ironic.conf"}, "image.checksum"),
        ({"checksum": "//127.0.0.1/"}, "image.checksum"),
        ({"checksum": "abc def"}, "image.checksum"),
        ({"url": "oci://quay.io/os:1", "checksum": "a" * 64}, "image.checksum"),
        ({"url": "OCI://quay.io/os:1"}, None),
        ({"url": "file:///x"}, "image.url"),
    ],
)
def test_checksums_follow_the_same_rules(image: dict[str, str], field: str | None) -> None:
    found = deploy_problems({"image": {"url": GOOD[0], **image}}, spec())
    assert [name for name, _ in found] == ([field] if field else [])


@pytest.mark.parametrize(("method", "allowed"), [("install", True), ("other", False), ("erase_devices; ../../x", False), ("", False)])
def test_deploy_methods_are_those_that_the_class_lists(method: str, allowed: bool) -> None:
    listed = {"customDeploy": {"methods": ["install"]}}
    assert (not deploy_problems({"customDeploy": {"method": method}}, listed)) is allowed
    assert deploy_problems({"customDeploy": {"method": method}}, {}), "none by default"


@given(st.text(max_size=200))
def test_any_text_is_judged(text: str) -> None:
    for url in (text, f"http://{text}", f"http://{text}/", f"http://images.example.com/{text}"):
        problem = url_problem(url, spec())
        if problem is None:
            found = parse(url)
            assert found.host
            assert found.scheme in ("http", "https", "oci")
            assert "@" not in url.partition("://")[2].partition("/")[0]
            assert inner_problem(found.host) is None


@given(st.ip_addresses(v=4), st.sampled_from(["{}", "[::ffff:{}]", "[64:ff9b::{}]"]))
def test_an_ipv4_address_is_judged_alike_in_all_its_forms(address: ipaddress.IPv4Address, form: str) -> None:
    plain = url_problem(f"http://{address}/", spec())
    assert (url_problem(f"http://{form.format(address)}/", spec()) is None) == (plain is None)
    for spelled in (str(int(address)), hex(int(address)), ".".join(hex(part) for part in address.packed)):
        with pytest.raises(BadURL):
            parse(f"http://{spelled}/")


@pytest.mark.parametrize(
    ("checksum", "type_", "words"),
    [
        ("0" * 32, None, None),
        ("0" * 32, "md5", None),
        ("aF" * 32, "sha256", None),
        ("0" * 128, "sha512", None),
        ("0" * 32, "auto", None),
        ("0" * 64, "auto", None),
        ("https://images.example.com/SUMS", "sha256", None),
        ("abc", "sha256", "64 (sha256)"),
        ("abc", None, "32 (md5)"),
        ("abc", "auto", "32 (md5) or 64 (sha256) or 128 (sha512)"),
        ("g" * 64, "sha256", "64 (sha256)"),
        ("0" * 63, "sha256", "64 (sha256)"),
        ("0" * 64, None, "set spec.image.checksumType to sha256"),
        ("0" * 64, "sha512", "set spec.image.checksumType to sha256"),
        ("sha256-" + "0" * 64, "sha256", "64 (sha256)"),
    ],
)
def test_a_digest_is_one_of_its_type(checksum: str, type_: str | None, words: str | None) -> None:
    image = {"url": "https://images.example.com/os", "checksum": checksum, "checksumType": type_}
    problem = digest_problem(image)
    assert (problem is None) == (words is None), problem
    assert (words or "") in (problem or "")
    assert digest_problem(image, image) is None, "what is stored stays"
    assert digest_problem({**image, "url": "https://images.example.com/other"}, image) is None


@pytest.mark.parametrize(
    ("url", "expected"),
    [
        ("https://me:pw@images.example:8443/os.qcow2?token=abc#frag", "https://images.example:8443/os.qcow2"),
        ("http://a:b@c@host/x", "http://host/x"),
        ("oci://registry.example/os:1", "oci://registry.example/os:1"),
        ("http://[::1", ""),
        ("", ""),
        ("http://host/" + "x" * 3000, "http://host/" + "x" * (SHOWN - 12)),
    ],
)
def test_urls_lose_their_secrets(url: str, expected: str) -> None:
    assert scrubbed(url) == expected

"""Cover the parts of a request besides its body: selectors, other parameters, headers, tokens and
paths, up to what an HTTP server accepts."""

from __future__ import annotations

from typing import TYPE_CHECKING
from urllib.parse import quote

import pytest

from tests.hostile.inputs import around, many, nested, repeated
from tests.hostile.judge import Request, judge

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.hostile.server import Client, Served

WORKLOADS = "/apis/workload.metal3.io/v1alpha1/namespaces/tenant-a/workloads"
SECRETS = "/api/v1/namespaces/tenant-a/secrets"
SIZES = tuple(125 << by for by in range(8))
"""Bytes of a line of a request, up to twice the accepted length."""

SELECTORS: dict[str, Callable[[int], str]] = {
    "terms": many("k%d=v"),
    "one term": many("a=v"),
    "terms without values": many("k%d"),
    "values": around("a in (", many("v%d"), ")"),
    "values that are excluded": around("a notin (", many("v%d"), ")"),
    "one value": around("a notin (", many("v"), ")"),
    "no values": around("a in (", repeated(","), ")"),
    "a key": around("", repeated("a-"), "a"),
    "a key's end": repeated("a-"),
    "a prefix": around("", repeated("a."), "a/b=c"),
    "a prefix that ends badly": around("", repeated("a-."), "/b=c"),
    "a value": around("a=", repeated("v."), "v"),
    "a value's end": around("a=", repeated("v."), ""),
    "brackets": nested("(", "a", ")"),
    "open brackets": around("a in ", repeated("("), ""),
    "exclamation marks": around("", repeated("!"), "a"),
    "equals signs": around("a", repeated("="), "b"),
    "commas": repeated(","),
    "blanks": around("a", repeated(" "), "=b"),
    "blanks between terms": repeated(" , "),
    "a number": around("a>", repeated("9"), ""),
    "numbers": many("a>%d"),
    "slashes": around("", repeated("/"), "a"),
    "escapes": around("a=", repeated("\\,"), ""),
    "backslashes": around("metadata.name=", repeated("\\"), ""),
    "characters of four bytes": around("a=", repeated("\U0001f600"), ""),
    "names": many("metadata.name=n%d"),
    "names that are excluded": many("metadata.name!=n%d"),
    "zeros": around("a=", repeated("\0"), ""),
}
ASKED = {
    "list": ("GET", WORKLOADS, ""),
    "list of secrets": ("GET", SECRETS, ""),
    "watch": ("GET", WORKLOADS, "resourceVersion=1&watch=1"),
    "deletion": ("DELETE", SECRETS, "dryRun=All"),
}


@pytest.fixture(scope="module")
def tenant(served: Served) -> Client:
    return served.client()


@pytest.mark.parametrize("asked", ASKED)
@pytest.mark.parametrize("parameter", ["labelSelector", "fieldSelector"])
@pytest.mark.parametrize("name", SELECTORS)
def test_selectors(served: Served, tenant: Client, name: str, parameter: str, asked: str) -> None:
    method, path, query = ASKED[asked]
    # Each accepted watch lasts for a second: the sizes at the ends are enough.
    sizes = (SIZES[0], SIZES[-2]) if asked == "watch" else SIZES
    lasts = "&timeoutSeconds=1" if asked == "watch" else ""
    judge(served, tenant, lambda size: Request(method, f"{path}?{query}{lasts}&{parameter}={quote(SELECTORS[name](size))}"), sizes)


PARAMETERS: dict[str, Callable[[int], str]] = {
    "parameters": many("k%d=1", "&"),
    "one parameter": many("a=1", "&"),
    "empty parameters": repeated("&"),
    "semicolons": repeated(";"),
    "a parameter": around("a=", repeated("b"), ""),
    "a parameter's name": repeated("b"),
    "escapes": around("a=", repeated("%C3%A9"), ""),
    "broken escapes": around("a=", repeated("%"), ""),
    "bytes that are no text": around("a=", repeated("%FF"), ""),
    "plus signs": around("a=", repeated("+"), ""),
    "a limit": around("limit=", repeated("9"), ""),
    "a timeout": around("timeout=", repeated("9"), "s"),
    "a timeout of parts": around("timeout=", repeated("1ns"), ""),
    "seconds": around("timeoutSeconds=", repeated("9"), ""),
    "a revision": around("resourceVersion=", repeated("9"), ""),
    "a page": around("continue=", repeated("A"), ""),
    "a page's padding": around("continue=", repeated("="), ""),
    "a manager": around("fieldManager=", repeated("m"), ""),
    "dry runs": many("dryRun=All", "&"),
    "selectors": many("labelSelector=a", "&"),
}


@pytest.mark.parametrize("path", [WORKLOADS, f"{WORKLOADS}/there", "/version", "/openapi/v3", "/healthz"])
@pytest.mark.parametrize("name", PARAMETERS)
def test_parameters(served: Served, tenant: Client, name: str, path: str) -> None:
    judge(served, tenant, lambda size: Request("GET", f"{path}?{PARAMETERS[name](size)}"), SIZES)


PATHS: dict[str, Callable[[int], str]] = {
    "a name": repeated("n"),
    "parts": repeated("a/"),
    "empty parts": repeated("/"),
    "parts that lead up": repeated("../"),
    "escapes": repeated("%2e"),
    "escaped slashes": repeated("%2F"),
    "broken escapes": repeated("%"),
    "bytes that are no text": repeated("%FF"),
}


@pytest.mark.parametrize("before", ["/", "/apis/", f"{WORKLOADS}/", "/openapi/v3/", "/healthz/"])
@pytest.mark.parametrize("method", ["GET", "POST", "OPTIONS"])
@pytest.mark.parametrize("name", PATHS)
def test_paths(served: Served, tenant: Client, name: str, method: str, before: str) -> None:
    judge(served, tenant, lambda size: Request(method, before + PATHS[name](size)), SIZES)


VALUES: dict[str, Callable[[int], str]] = {
    "media types": many("a/b%d"),
    "one media type": many("application/json"),
    "parameters": around("application/json", repeated(";a=b"), ""),
    "tables": many("application/json;as=Table;v=v1;g=meta.k8s.io"),
    "a quality": around("application/json;q=0.", repeated("9"), ""),
    "qualities": many("application/json;q=0.%d"),
    "commas": repeated(","),
    "semicolons": repeated(";"),
    "slashes": repeated("/"),
    "blanks": around("a", repeated(" "), "b"),
    "quotation marks": repeated('"'),
    "stars": repeated("*/*,"),
    "a media type": around("application/", repeated("a+"), "json"),
    "digits": repeated("9"),
    "equals signs": repeated("a="),
    "Bearer": around("Bearer ", repeated("t"), ""),
    "Bearers": repeated("Bearer "),
    "addresses": many("192.0.2.1"),
}
"""Values of headers: each is tried in each header that the server reads."""
HEADERS = (
    "Accept",
    "Accept-Encoding",
    "Content-Type",
    "Authorization",
    "User-Agent",
    "X-Forwarded-For",
    "X-Remote-User",
    "X-Remote-Group",
    "Impersonate-User",
    "Impersonate-Group",
    "Audit-ID",
    "Expect",
    "Range",
    "If-None-Match",
    "Cookie",
    "Transfer-Encoding",
    "Upgrade",
)


@pytest.mark.parametrize("header", HEADERS)
@pytest.mark.parametrize("name", VALUES)
def test_headers(served: Served, tenant: Client, name: str, header: str) -> None:
    judge(served, tenant, lambda size: Request("GET", WORKLOADS, None, {header: VALUES[name](size)}), SIZES)


@pytest.mark.parametrize("name", ["X-%d", "X-Remote-Extra-%d", "Impersonate-Extra-%d"])
def test_many_headers(served: Served, tenant: Client, name: str) -> None:
    judge(served, tenant, lambda size: Request("GET", WORKLOADS, None, {name % n: "v" for n in range(size // 20)}), SIZES)


def test_tokens_that_are_not_good_cost_less_when_there_are_many(served: Served) -> None:
    """Send many bad tokens from one address. Only some of them are reviewed, and the others are
    refused at once."""
    nobody = served.client(certificate=False)
    answers = [nobody.send("GET", WORKLOADS, headers={"Authorization": f"Bearer token-{number}"}).status for number in range(200)]
    assert set(answers) == {401, 429}
    assert answers.count(401) < 100
    judge(served, nobody, lambda size: Request("GET", WORKLOADS, None, {"Authorization": "Bearer " + "t" * size}), SIZES)

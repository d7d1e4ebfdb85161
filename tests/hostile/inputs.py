"""Generate what a request can have too much of: each is a function from a size in bytes to about as
much text.

Members belong to JSON objects, by the part of the object. Documents are whole bodies of one media
type. Surrogates in a text represent bytes that are not UTF-8; `sent` returns the bytes.
"""

from __future__ import annotations

import base64
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable


def sent(text: str) -> bytes:
    """Return the bytes of a generated text."""
    return text.encode(errors="surrogateescape")


def many(one: str, between: str = ",") -> Callable[[int], str]:
    """Return a generator of repetitions of a text, in which `%d` is the number of each, padded to
    equal length."""
    form = one.replace("%", "%%").replace("%%d", "%06d")
    uses = one.count("%d")
    length = len(one.replace("%d", "0" * 6).encode()) + len(between)

    def make(size: int) -> str:
        count = max(1, size // length)
        numbers = tuple(range(count)) if uses < 2 else tuple(number for number in range(count) for _ in range(uses))
        return between.join([form] * count) % (numbers if uses else ())

    return make


def around(before: str, inner: Callable[[int], str], after: str) -> Callable[[int], str]:
    """Return a generator of the inner text between two others."""
    return lambda size: before + inner(size) + after


def repeated(text: str) -> Callable[[int], str]:
    """Return a generator of repetitions of the same text."""
    return lambda size: text * max(1, size // len(sent(text)))


def nested(left: str, core: str, right: str) -> Callable[[int], str]:
    """Return a generator of nested texts."""

    def make(size: int) -> str:
        levels = max(1, size // len(left + right))
        return left * levels + core + right * levels

    return make


def string(field: str, inner: Callable[[int], str]) -> Callable[[int], str]:
    """Return a generator of a member whose value is a string."""
    return around(f'"{field}":"', inner, '"')


def items(field: str, one: str) -> Callable[[int], str]:
    """Return a generator of a member that is a list."""
    return around(f'"{field}":[', many(one), "]")


def mapping(field: str, one: str) -> Callable[[int], str]:
    """Return a generator of a member that is an object."""
    return around(f'"{field}":{{', many(one), "}")


OWNER = '{"apiVersion":"v1","kind":"Pod","name":"p%d","uid":"u%d"}'
MANAGER = (
    '{"manager":"m%d","operation":"Update","apiVersion":"workload.metal3.io/v1alpha1","time":"2026-01-01T00:00:00Z",'
    '"fieldsType":"FieldsV1","fieldsV1":{"f:spec":{"f:online":{}}}}'
)
ONE_MANAGER = (
    '"managedFields":[{"manager":"m","operation":"Apply","apiVersion":"workload.metal3.io/v1alpha1","fieldsType":"FieldsV1","fieldsV1":'
)
EXPRESSION = '{"key":"k%d","operator":"NotIn","values":["v"]}'
SPREAD = '{"topologyKey":"k%d","whenUnsatisfiable":"DoNotSchedule","maxSkew":1,"labelSelector":{}}'
ONE_SPREAD = '"placement":{"topologySpread":[' + SPREAD.replace("%d", "").replace("{}}", '{"matchLabels":{')
CONDITION = '{"type":"T%d","status":"True","reason":"R","message":"m","lastTransitionTime":"2026-01-01T00:00:00Z"}'
IMAGE = '"image":{"checksum":"00000000000000000000000000000000","url":"'
SELECT = '"hostSelector":{"matchExpressions":['

METADATA: dict[str, Callable[[int], str]] = {
    "labels": mapping("labels", '"k%d":"v"'),
    "labels that are none": mapping("labels", '"k %d":"!"'),
    "labels with prefixes": mapping("labels", '"a.b.c.d.e.f.g/k%d":"v"'),
    "labels of numbers": mapping("labels", '"k%d":1'),
    "a label's value": around('"labels":{"a":"', repeated("v-"), 'v"}'),
    "a label's value that ends badly": around('"labels":{"a":"', repeated("v-"), '"}'),
    "a label's key": around('"labels":{"', repeated("a."), 'a":"v"}'),
    "annotations": mapping("annotations", '"k%d":"v"'),
    "an annotation": around('"annotations":{"a":"', repeated("x"), '"}'),
    "characters of four bytes": around('"annotations":{"a":"', repeated("\U0001f600"), '"}'),
    "combining characters": around('"annotations":{"a":"', repeated("\u0301"), '"}'),
    "escaped characters": around('"annotations":{"a":"', repeated("\\u00e9"), '"}'),
    "escaped pairs": around('"annotations":{"a":"', repeated("\\ud83d\\ude00"), '"}'),
    "escaped backslashes": around('"annotations":{"a":"', repeated("\\\\"), '"}'),
    "escaped quotation marks": around('"annotations":{"a":"', repeated('\\"'), '"}'),
    "escaped control characters": around('"annotations":{"a":"', repeated("\\u0000\\n"), '"}'),
    "a configuration applied last": around(
        '"annotations":{"kubectl.kubernetes.io/last-applied-configuration":"', nested('{\\"a\\":', "1", "}"), '"}'
    ),
    "finalizers": items("finalizers", '"example.com/f%d"'),
    "one finalizer": items("finalizers", '"example.com/f"'),
    "finalizers that are none": items("finalizers", '"f %d/x/y"'),
    "owners": items("ownerReferences", OWNER),
    "one owner": items("ownerReferences", OWNER.replace("%d", "")),
    "owners without names": items("ownerReferences", '{"uid":"u%d"}'),
    "owners that are empty": items("ownerReferences", "{}"),
    "managers": items("managedFields", MANAGER),
    "fields of a manager": around(ONE_MANAGER + '{"f:spec":{', many('"f:k%d":{}'), "}}}]"),
    "depth of a manager's fields": around(ONE_MANAGER, nested('{"f:a":', "{}", "}"), "}]"),
    "keys of a manager's items": around(
        ONE_MANAGER + '{"f:metadata":{"f:ownerReferences":{', many('"k:{\\"uid\\":\\"u%d\\"}":{}'), "}}}}]"
    ),
    "a uid": string("uid", repeated("u")),
    "a generated name": string("generateName", repeated("n-")),
    "a namespace": string("namespace", repeated("n")),
    "a resource version": string("resourceVersion", repeated("7")),
    "a deletion timestamp": string("deletionTimestamp", repeated("2")),
    "a generation": around('"generation":', repeated("7"), ""),
}
SPEC: dict[str, Callable[[int], str]] = {
    "doubled keys": around("", many('"k%d":1'), ',"k000000":1'),
    "keys doubled all": around("", lambda size: ",".join([many('"k%d":1')(size // 2)] * 2), ""),
    "one key": many('"k":1'),
    "one key in objects": around('"a":{', many('"k":{"k":1}'), "}"),
    "unknown fields": many('"k%d":1'),
    "unknown objects": many('"k%d":{"a":{}}'),
    "an unknown field": around('"', repeated("k"), '":1'),
    "depth of objects": around('"a":', nested('{"a":', "1", "}"), ""),
    "depth of lists": around('"a":', nested("[", "1", "]"), ""),
    "lists of numbers": items("a", "1"),
    "lists of lists": items("a", "[]"),
    "lists of objects": items("a", "{}"),
    "lists of texts": items("a", '"t%d"'),
    "nulls": many('"k%d":null'),
    "a number's digits": around('"a":', repeated("7"), ""),
    "a number's fraction": around('"a":0.', repeated("3"), ""),
    "a number's exponent": around('"a":1e', repeated("9"), ""),
    "a URL": around(IMAGE + "https://images.example.com/", repeated("a"), '"}'),
    "a URL's host": around(IMAGE + "https://", repeated("a."), '/x"}'),
    "a URL's user": around(IMAGE + "https://", repeated("a:"), '@host/x"}'),
    "a URL's escapes": around(IMAGE + "https://images.example.com/", repeated("%2e%2e/"), '"}'),
    "a URL's brackets": around(IMAGE + "http://", repeated("["), '"}'),
    "a URL's digits": around(IMAGE + "http://", repeated("0x7f."), '1/x"}'),
    "a URL's scheme": around(IMAGE, repeated("a+"), '://host/x"}'),
    "a URL's query": around(IMAGE + "https://images.example.com/?", repeated("a=b&"), '"}'),
    "blanks": around(IMAGE, repeated(" "), 'x"}'),
    "a checksum": around('"image":{"url":"https://images.example.com/x","checksum":"', repeated("a"), '"}'),
    "labels of hosts": around('"hostSelector":{"matchLabels":{', many('"k%d":"v"'), "}}"),
    "labels of hosts that are none": around('"hostSelector":{"matchLabels":{', many('"k%d":[1]'), "}}"),
    "expressions": around(SELECT, many(EXPRESSION), "]}"),
    "expressions that are none": around(SELECT, many('{"key":"!%d","operator":"Like"}'), "]}"),
    "values of an expression": around(SELECT + '{"key":"k","operator":"NotIn","values":[', many('"v%d"'), "]}]}"),
    "one value of an expression": around(SELECT + '{"key":"k","operator":"In","values":[', many('"v"'), "]}]}"),
    "a key of an expression": around(SELECT + '{"operator":"Exists","key":"', repeated("a-"), 'a"}]}'),
    "counted resources": around('"requirements":{"resources":{', many('"example.com/r%d":"1"'), "}}"),
    "a quantity's digits": around('"requirements":{"ram":"', repeated("9"), 'Gi"}'),
    "a quantity's fraction": around('"requirements":{"ram":"0.', repeated("9"), '"}'),
    "a quantity's exponent": around('"requirements":{"ram":"1e', repeated("9"), '"}'),
    "a quantity as a number": around('"requirements":{"ram":', repeated("9"), "}"),
    "CPUs": around('"requirements":{"cpuCount":', repeated("9"), "}"),
    "the name of a secret": around('"userData":{"name":"', repeated("a-"), 'a"}'),
    "the name of a gang": around('"gang":{"minAvailable":1,"name":"', repeated("g"), '"}'),
    "members of a gang": around('"gang":{"name":"g","minAvailable":', repeated("9"), "}"),
    "failure domains": around('"placement":{"failureDomains":{"required":[', many('"d%d"'), "]}}"),
    "spreads": around('"placement":{"topologySpread":[', many(SPREAD), "]}"),
    "a spread's labels": around(ONE_SPREAD, many('"k%d":"v"'), "}}}]}"),
    "a spread's key": around('"placement":{"topologySpread":[{"topologyKey":"', repeated("a-"), 'a"}]}'),
    "anti-affinity": around('"placement":{"antiAffinity":{"required":[', many('{"topologyKey":"k%d","labelSelector":{}}'), "]}}"),
    "a priority": around('"priority":', repeated("9"), ""),
    "a failure domain": string("failureDomain", repeated("f")),
    "a consumer": around('"consumerRef":{"kind":"', repeated("K"), '"}'),
    "a deploy method": around('"customDeploy":{"method":"', repeated("m"), '"}'),
    "a name of a class": string("className", repeated("c.")),
}
STATUS: dict[str, Callable[[int], str]] = {
    "conditions": items("conditions", CONDITION),
    "one condition": items("conditions", CONDITION.replace("%d", "")),
    "a message": around('"conditions":[{"type":"T","status":"True","message":"', repeated("m"), '"}]'),
    "an error message": string("errorMessage", repeated("http:")),
    "addresses": items("addresses", '{"type":"Hostname","address":"h%d"}'),
}
MEMBERS = {"metadata": METADATA, "spec": SPEC, "status": STATUS}
"""The members of every object that has these parts."""

DATA: dict[str, Callable[[int], str]] = {
    "keys": mapping("data", '"k%d":"dg=="'),
    "keys that are none": mapping("data", '"/ %d":"dg=="'),
    "values that are no base64": mapping("data", '"k%d":"!"'),
    "a value": lambda size: f'"data":{{"k":"{base64.b64encode(b"v" * (size * 3 // 4)).decode()}"}}',
    "a value of padding": around('"data":{"k":"', repeated("="), '"}'),
    "a value of line ends": around('"data":{"k":"', repeated("\\n"), '"}'),
    "texts": mapping("stringData", '"k%d":"v"'),
    "a text": around('"stringData":{"k":"', repeated("é"), '"}'),
    "a type": string("type", repeated("t/")),
}
"""The members of Secrets and, as far as they have them, ConfigMaps."""

JSON: dict[str, Callable[[int], str]] = {
    "open lists": repeated("["),
    "open objects": repeated('{"a":'),
    "objects that end": nested('{"a":', "1", "}"),
    "white space": around("", repeated(" \n\t"), "{}"),
    "white space behind": around("{}", repeated(" "), "x"),
    "commas": repeated(","),
    "quotation marks": repeated('"'),
    "backslashes": around('{"a":"', repeated("\\"), ""),
    "a text without an end": around('{"a":"', repeated("a"), ""),
    "half of pairs before a text": lambda size: '{"a":"' + "\\ud800" * min(16_000, size // 60) + "a" * (size * 9 // 10) + '"}',
    "bytes that are no text": around('{"a":"', repeated("\udcff"), '"}'),
    "a byte that is no text before a text": around('{"a":"\udcff', repeated("é"), '"}'),
    "half of pairs": around('{"a":"', repeated("\\ud800"), '"}'),
    "zeros": repeated("\0"),
    "marks of byte order": repeated("\ufeff"),
    "documents": repeated("{}\n"),
    "minus signs": around('{"a":', repeated("-"), "1}"),
    "lists beside each other": around('{"a":[', many("[[[[[1]]]]]"), "]}"),
}
"""Bodies that are no object of ours; some are not even JSON."""

YAML: dict[str, Callable[[int], str]] = {
    "aliases": around("a: &a [1]\nb: [", many("*a"), "]\n"),
    "anchors": around("a: [", many("&a%d 1"), "]\n"),
    "aliases of aliases": lambda size: (
        "l0: &l0 [a,a,a,a,a,a,a,a,a,a]\n"
        + "".join(f"l{n}: &l{n} [{','.join([f'*l{n - 1}'] * 10)}]\n" for n in range(1, max(2, size // 60)))
    ),
    "an anchor that has itself": around("&a\nb: [", many("*a"), "]\n"),
    "an anchor's name": around("&", repeated("a"), " a: 1\n"),
    "merge keys": around("a: &a {b: 1}\nc:\n", many("  d%d: {<<: *a}", "\n"), "\n"),
    "tags": around("a: [", many("!!str a"), "]\n"),
    "a tag": around("!", repeated("a"), " a: 1\n"),
    "Python's tags": around("a: [", many("!!python/object/apply:os.getcwd []"), "]\n"),
    "flow lists": nested("[", "1", "]"),
    "flow objects": nested("{a: ", "1", "}"),
    "open flow lists": repeated("["),
    "open flow objects": repeated("{a: "),
    "lists in lists": around("", repeated("- "), "1\n"),
    "complex keys": around("", repeated("? "), "1\n"),
    "explicit keys": many("? a%d\n: 1", "\n"),
    "a staircase": lambda size: "".join(" " * n + "a:\n" for n in range(max(1, int((2 * size) ** 0.5)))),
    "block lists": many("- a%d", "\n"),
    "block objects": many("a%d: 1", "\n"),
    "doubled keys": around("", many("a%d: 1", "\n"), "\na000000: 1\n"),
    "one key": many("a: 1", "\n"),
    "colons": repeated("a: "),
    "a long key": around("", repeated("a"), ": 1\n"),
    "a long text": around("a: ", repeated("b"), "\n"),
    "a text of lines": around("a: ", repeated("b\n  "), "\n"),
    "a text of empty lines": around('a: "', repeated("\n"), '"\n'),
    "a literal text": around("a: |\n", repeated("  b\n"), ""),
    "a folded text": around("a: >\n", repeated("  b\n\n"), ""),
    "escapes": around('a: "', repeated("\\U0001F600"), '"\n'),
    "an open quotation": around('a: "', repeated("b "), ""),
    "quoted quotation marks": around("a: '", repeated("''"), "'\n"),
    "comments": around("", repeated("# c\n"), "a: 1\n"),
    "a comment": around("# ", repeated("c"), "\na: 1\n"),
    "documents": repeated("---\na: 1\n"),
    "document ends": repeated("...\n"),
    "directives": around("", repeated("%FOO bar\n"), "---\na: 1\n"),
    "empty lines": around("", repeated("\n"), "a: 1\n"),
    "blanks": around("a:", repeated(" "), "1\n"),
    "tabs": around("a:", repeated("\t"), "1\n"),
    "a number": around("a: ", repeated("7"), "\n"),
    "a hexadecimal number": around("a: 0x", repeated("f"), "\n"),
    "a binary number": around("a: 0b", repeated("1"), "\n"),
    "an octal number": around("a: 0", repeated("7"), "\n"),
    "a number in sixties": around("a: 1", repeated(":10"), "\n"),
    "a float in sixties": around("a: 1", repeated(":10"), ".5\n"),
    "underscores": around("a: 1", repeated("_"), "\n"),
    "a fraction": around("a: 0.", repeated("1"), "\n"),
    "an exponent": around("a: 1.0e+", repeated("9"), "\n"),
    "numbers": around("a: [", many("%d"), "]\n"),
    "dates": around("a: [", many("2026-01-01"), "]\n"),
    "a date's fraction": around("a: 2026-01-01 00:00:00.", repeated("0"), "\n"),
    "truths": around("a: [", many("yes"), "]\n"),
    "nulls": around("a: [", many("~"), "]\n"),
    "empty items": around("a: [", repeated(","), "]\n"),
    "marks": repeated("- ? : "),
    "exclamation marks": repeated("! "),
    "ampersands": repeated("& "),
    "brackets that close": repeated("]"),
    "characters of four bytes": around("a: ", repeated("\U0001f600"), "\n"),
    "line ends of other kinds": around("a: '", repeated("\x85\u2028"), "'\n"),
    "carriage returns": around("", repeated("\r"), "a: 1\n"),
}
"""Bodies that only YAML can express."""

ADD = '{"op":"add","path":"/metadata/annotations/k%d","value":"v"}'
START = '{"op":"add","path":"/metadata/annotations","value":{}}'
JSON_PATCH: dict[str, Callable[[int], str]] = {
    "operations": around(f"[{START},", many(ADD), "]"),
    "tests": around("[", many('{"op":"test","path":"/kind","value":"Workload"}'), "]"),
    "a value": around('[{"op":"add","path":"/metadata/annotations","value":{"a":"', repeated("v"), '"}}]'),
    "a value that is tested": around('[{"op":"test","path":"/metadata","value":', nested("[", "1", "]"), "}]"),
    "a pointer": around('[{"op":"add","path":"/', repeated("a"), '","value":1}]'),
    "parts of a pointer": around('[{"op":"add","path":"', repeated("/a"), '","value":1}]'),
    "empty parts of a pointer": around('[{"op":"remove","path":"', repeated("/"), '"}]'),
    "escapes of a pointer": around('[{"op":"test","path":"/', repeated("~1~0"), '","value":1}]'),
    "pointers": around("[", many('{"op":"test","path":"' + "/a" * 4000 + '","value":null}'), "]"),
    "copies": lambda size: (
        f"[{START}," + many('{"op":"copy","from":"/metadata","path":"/metadata/annotations/k%d"}')(min(size, 90_000)) + "]"
    ),
    "copies that double": lambda size: (
        '[{"op":"add","path":"/a","value":[1]},' + many('{"op":"copy","from":"/a","path":"/a/-"}')(min(size, 60_000)) + "]"
    ),
    "copies of a large value": lambda size: (
        '[{"op":"add","path":"/a","value":"' + "v" * (size // 2) + '"},' + many('{"op":"copy","from":"/a","path":"/b%d"}')(size // 2) + "]"
    ),
    "moves": lambda size: (
        f"[{START}," + ",".join(f'{{"op":"move","from":"/metadata","path":"/m{n:06d}"}}' for n in range(max(1, size // 48))) + "]"
    ),
    "items in front": around('[{"op":"add","path":"/a","value":[]},', many('{"op":"add","path":"/a/0","value":1}'), "]"),
    "items behind": around('[{"op":"add","path":"/a","value":[]},', many('{"op":"add","path":"/a/-","value":1}'), "]"),
    "an index": around('[{"op":"add","path":"/metadata/finalizers/', repeated("9"), '","value":1}]'),
    "documents": around("[", many('{"op":"add","path":"","value":{}}'), "]"),
    "an operation's name": around('[{"path":"/a","op":"', repeated("o"), '"}]'),
    "members of an operation": around('[{"op":"test","path":"/a","value":1,', many('"k%d":1'), "}]"),
    "what is no operation": around("[", many("1"), "]"),
}
"""JSON patches."""

STRATEGIC: dict[str, Callable[[int], str]] = {
    "keys to keep": around('{"data":{"$retainKeys":[', many('"k%d"'), "]}}"),
    "items to delete": around('{"metadata":{"$deleteFromPrimitiveList/finalizers":[', many('"f%d"'), "]}}"),
    "an order": around('{"metadata":{"$setElementOrder/finalizers":[', many('"f%d"'), '],"finalizers":["a"]}}'),
    "an order of owners": around('{"metadata":{"$setElementOrder/ownerReferences":[', many('{"uid":"u%d"}'), '],"ownerReferences":[]}}'),
    "owners": around('{"metadata":{"ownerReferences":[', many(OWNER), "]}}"),
    "owners to delete": around('{"metadata":{"ownerReferences":[', many('{"$patch":"delete","uid":"u%d"}'), "]}}"),
    "finalizers": around('{"metadata":{"finalizers":[', many('"example.com/f%d"'), "]}}"),
    "replacements": nested('{"$patch":"replace","data":', "{}", "}"),
    "depth": nested('{"metadata":', "{}", "}"),
    "keys": around('{"data":{', many('"k%d":"dg=="'), "}}"),
}
"""Strategic merge patches of core kinds, which dev mode supports."""

"""Cover path elements: what kube-apiserver writes, what it reads, and how messages show them."""

from __future__ import annotations

import tracemalloc

import pytest
from hypothesis import given
from hypothesis import strategies as st

from apiserver.registry.fieldmanager.elements import canonical, item_key, render, set_value, sort_key, text_key, whole_numbers


@pytest.mark.parametrize(
    ("keys", "wanted"),
    [
        ({"type": "Ready"}, 'k:{"type":"Ready"}'),
        ({"protocol": "TCP", "port": 80}, 'k:{"port":80,"protocol":"TCP"}'),
        ({"name": "a<b>&c"}, 'k:{"name":"a\\u003cb\\u003e\\u0026c"}'),
        ({"name": 'q"\\b\b\f\n'}, 'k:{"name":"q\\"\\\\b\\u0008\\u000c\\n"}'),
        ({"on": True}, 'k:{"on":true}'),
        ({"ratio": 2.0}, 'k:{"ratio":2}'),
    ],
)
def test_item_keys(keys: dict[str, object], wanted: str) -> None:
    assert item_key(keys) == wanted
    assert canonical(wanted) == wanted


def test_set_values_tell_texts_from_numbers_from_truth() -> None:
    assert [set_value(value) for value in ("1", 1, 1.0, 1.5, True)] == ['v:"1"', "v:1", "v:1", "v:1.5", "v:true"]


@given(st.text(max_size=5), st.text(max_size=5))
def test_one_text_key_is_a_key_like_any_other(name: str, value: str) -> None:
    assert text_key(name, value) == item_key({name: value})
    assert canonical(text_key(name, value)) == text_key(name, value)


@pytest.mark.parametrize(
    ("sent", "wanted"),
    [
        ('k:{ "b": 1, "a": "<" }', 'k:{"a":"\\u003c","b":1}'),
        ("v: 1.0", "v:1"),
        ("i:07", "i:7"),
        ("f:v:k", "f:v:k"),
        ("f:", "f:"),
        ("x:what", None),
    ],
)
def test_what_clients_send_becomes_canonical(sent: str, wanted: str | None) -> None:
    assert canonical(sent) == wanted


@pytest.mark.parametrize("sent", ["", "f", "spec", "v:{", "i:x", "k:[]", "k:1"])
def test_malformed_path_elements_are_refused(sent: str) -> None:
    with pytest.raises(ValueError):  # noqa: PT011 - several kinds of ValueError
        canonical(sent)


def test_paths_as_messages_show_them() -> None:
    ports = ("f:spec", "f:ports", 'k:{"port":80,"protocol":"TCP"}', "f:name")
    assert render(ports) == '.spec.ports[port=80,protocol="TCP"].name'
    assert render(("f:metadata", "f:finalizers", 'v:"a.x/f"')) == '.metadata.finalizers[="a.x/f"]'
    assert render(("f:metadata", "f:labels", "f:app.kubernetes.io/name")) == ".metadata.labels.app.kubernetes.io/name"
    assert render(("f:args", "i:3")) == ".args[3]"


def test_the_order_of_elements() -> None:
    ordered = ["f:a", "f:b", 'k:{"a":2}', 'k:{"a":10}', 'k:{"a":"1"}', 'k:{"b":1}', "v:2", "v:10", 'v:"a"', "v:false", "i:2", "i:10"]
    assert sorted(reversed(ordered), key=sort_key) == ordered


def test_whole_numbers_everywhere() -> None:
    assert repr(whole_numbers({"a": [1.0, 1.5, True, "2.0"]})) == "{'a': [1, 1.5, True, '2.0']}"
    assert whole_numbers(float("inf")) == float("inf")


def test_long_texts_are_not_remembered() -> None:
    tracemalloc.start()
    try:
        before, _ = tracemalloc.get_traced_memory()
        for number in range(50):
            text_key("uid", f"{number}" + "x" * 100_000)
            set_value(f"{number}" + "x" * 100_000)
        after, _ = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert after - before < 100_000
